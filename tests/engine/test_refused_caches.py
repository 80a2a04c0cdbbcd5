"""A kernel that was compiled while nothing may be written is used all the same."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

KERNEL = """
from numba import njit

@njit(cache=True)
def doubled(x):
    return 2 * x
"""
CALL = """
import logging, resource, signal, sys
from lifeline.app.compiled import outlive_refused_caches

logging.basicConfig(level=logging.WARNING, stream=sys.stdout)
if "outlive" in sys.argv:
    outlive_refused_caches()
    outlive_refused_caches()
import kernel

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # each write to a file is refused
print(kernel.doubled(21), kernel.doubled(0.5))
"""


@pytest.mark.parametrize("outlive", [True, False])
def test_a_kernel_that_cannot_be_kept_is_used(tmp_path: Path, *, outlive: bool) -> None:
    (tmp_path / "kernel.py").write_text(KERNEL)
    script = tmp_path / "call.py"
    script.write_text(CALL)
    done = subprocess.run(
        [sys.executable, str(script), *(["outlive"] if outlive else [])],
        env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if outlive:
        assert done.stdout.endswith("42 1.0\n"), done.stderr
        assert done.stdout.count("used but not kept") == 2
    else:
        assert "File too large" in done.stderr, "the disk's error ends the call: what this is for"
