"""``strace`` as a saboteur: makes chosen system calls of a running victim fail, lie, hang, or be its last.

    inject("fdatasync", "error=EIO", when="3")    the third call of each thread fails
    inject("fdatasync", "retval=0")               reports success and does nothing: a lying disk
    inject("pwritev", "signal=SIGKILL", when="7") killed as the call begins
    inject("fdatasync", "delay_exit=2s")          a slow disk

Counting is per thread; the log's writer is one thread. The victim must be held (``hold=True``) until we are attached.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from functools import cache

from tests.conftest import missing


@cache
def why_no_tracer() -> str | None:
    """Why strace cannot be used, None when it can."""
    if shutil.which("strace") is None:
        return "strace is not installed (Debian: apt-get install strace)"
    probe = subprocess.run(
        ["strace", "-qq", "-e", "inject=getpid:retval=1", "true"], capture_output=True, text=True, check=False
    )
    return None if probe.returncode == 0 else f"strace may not trace here: {probe.stderr.strip()}"


def inject(calls: str, what: str, *, when: str = "") -> str:
    """One injection in strace's own words."""
    return f"inject={calls}:{what}" + (f":when={when}" if when else "")


class Tracer:
    """Attached to a victim; a held one goes on now, injected."""

    def __init__(self, pid: int, *injections: str, held: bool = True) -> None:
        if (reason := why_no_tracer()) is not None:
            missing(reason)
        traced = ",".join(
            sorted({name for text in injections for name in text.split("=", 1)[1].split(":")[0].split(",")})
        )
        options = [word for text in injections for word in ("-e", text)]
        self._trace = tempfile.NamedTemporaryFile("r", prefix="lifeline-trace-")  # noqa: SIM115 - closed by ``close``
        self.hits = 0
        """Calls that were injected, known after ``close``."""
        if held:
            wait_stopped(pid)
        self._process = subprocess.Popen(
            ["strace", "-f", "-p", str(pid), "-o", self._trace.name, "-e", f"trace={traced}", *options],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        line = self._process.stderr.readline()
        assert "attached" in line, line
        if held:
            os.kill(pid, signal.SIGCONT)

    def detach(self) -> None:
        """Let the victim go on untouched."""
        self._process.send_signal(signal.SIGINT)
        self.close()

    def close(self) -> None:
        """Wait for the tracer, which ends with its victim."""
        assert self._process.stderr is not None
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._process.stderr.close()
        self.hits = sum("(INJECTED)" in line or "(DELAYED)" in line for line in self._trace)
        self._trace.close()


def wait_stopped(pid: int) -> None:
    """Until the victim has stopped itself."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:  # noqa: PTH123 - procfs
            if file.read().rpartition(")")[2].split()[0] in {"T", "t"}:
                return
        time.sleep(0.002)
    raise AssertionError(f"victim {pid} did not hold")
