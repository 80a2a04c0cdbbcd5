"""Children that end with their parent, however it ended."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def die_with_parent(parent: int, sig: int = signal.SIGTERM) -> None:
    """Ask the kernel to send us ``sig`` when ``parent`` (a pid) dies (Linux, prctl(2)); elsewhere nothing happens.

    The parent says its own id: one that died while we were still importing would otherwise never be noticed, and an
    orphan would go on holding its port.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, sig, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), sig)
