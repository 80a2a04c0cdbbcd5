"""What a figure was measured on. A number without its machine is none."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import psutil

LIBRARIES: Final = ("numpy", "numba", "polars", "pyarrow", "duckdb", "deltalake", "paho-mqtt")


def machine() -> dict[str, Any]:
    """Processor, cores, memory, kernel, Python, libraries, and how busy the machine was when asked."""
    one, five, _ = os.getloadavg()
    return {
        "cpu": _cpu_model(),
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "libraries": {name: found for name in LIBRARIES if (found := _version(name))},
        "load_1min": round(one, 2),
        "load_5min": round(five, 2),
    }


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
