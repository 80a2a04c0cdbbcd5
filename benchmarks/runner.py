"""Runs workloads, each in a process of its own with an end: no threads, memory or warm caches of the one before."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.harness import PROGRESS

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.workloads import Workload

POLL_S: Final = 0.1
ERROR_CHARS: Final = 2000
NOISE: Final = (" - leaked ", " - ... skipped", "nanobind:")
"""What a library says after the error, of processes that end by one."""


def run_isolated(
    workload: Workload, scale: float, on_progress: Callable[[str, float], None] | None = None
) -> dict[str, Any]:
    """The workload's result (contract, section 8), or ``{"workload", "scale", "error"}`` when it failed.

    ``on_progress`` gets what the workload says it is doing, and the seconds so far, ten times a second.
    """
    with tempfile.TemporaryDirectory(prefix="lifeline-bench-") as folder:
        path, errors = Path(folder) / "result.json", Path(folder) / "errors.txt"
        with errors.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.worker", workload.id, str(scale), str(path)],
                stdout=stderr,
                stderr=stderr,
                start_new_session=True,
            )
        try:
            code = _wait(process, workload.seconds_max, errors, on_progress)
        finally:
            _end_group(process)
        if code is None:
            return _failed(workload, scale, f"given up after {workload.seconds_max:.0f} s", errors)
        if code != 0 or not path.exists():
            return _failed(workload, scale, f"ended with {code}", errors)
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return result


def _wait(
    process: subprocess.Popen[bytes], seconds: float, errors: Path, on_progress: Callable[[str, float], None] | None
) -> int | None:
    """Exit status; None when it took too long."""
    began = time.monotonic()
    while True:
        try:
            return process.wait(POLL_S)
        except subprocess.TimeoutExpired:
            spent = time.monotonic() - began
            if spent > seconds:
                return None
            if on_progress is not None:
                on_progress(_latest(errors), spent)


def _latest(errors: Path) -> str:
    """The latest line of progress."""
    with errors.open("rb") as file:
        file.seek(max(0, errors.stat().st_size - 4096))
        lines = file.read().decode("utf-8", "replace").splitlines()
    said = [line for line in lines if line.startswith(PROGRESS)]
    return said[-1].removeprefix(PROGRESS) if said else ""


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """The worker and whatever it left behind: brokers, senders, engines."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _failed(workload: Workload, scale: float, why: str, errors: Path) -> dict[str, Any]:
    lines = errors.read_text("utf-8", "replace").splitlines()
    tail = "\n".join(line for line in lines if not line.startswith((*NOISE, PROGRESS)))[-ERROR_CHARS:].strip()
    return {"workload": workload.id, "scale": scale, "error": f"{why}\n{tail}".strip()}
