"""Runs workloads, each in a process of its own with an end: no threads, memory or warm caches of the one before."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.workloads import Workload


def run_isolated(workload: Workload, scale: float) -> dict[str, Any]:
    """The workload's result (contract, section 8), or ``{"workload", "scale", "error"}`` when it failed."""
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
                code = process.wait(workload.seconds_max)
            except BaseException as ended:
                _end_group(process)
                if not isinstance(ended, subprocess.TimeoutExpired):
                    raise
                return _failed(workload, scale, f"given up after {workload.seconds_max:.0f} s", errors)
            _end_group(process)
        if code != 0 or not path.exists():
            return _failed(workload, scale, f"ended with {code}", errors)
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return result


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """The worker and whatever it left behind: brokers, senders, engines."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _failed(workload: Workload, scale: float, why: str, errors: Path) -> dict[str, Any]:
    tail = errors.read_text("utf-8", "replace")[-2000:].strip()
    return {"workload": workload.id, "scale": scale, "error": f"{why}\n{tail}".strip()}
