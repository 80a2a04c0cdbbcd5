"""The ledger: one JSON line a run, appended; what was measured when, on what, by which version of the program.

    {"at", "commit", "machine", "seconds", "workloads": {id: {"scale", "hash", "figures": {name: value}}}}
                                                     or {id: {"scale", "error"}}

Absolute figures of different machines do not compare; the ledger only informs. What must hold is in the gate.
"""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT: Final = Path(__file__).resolve().parent.parent


def entry(about: Mapping[str, Any], results: Sequence[Mapping[str, Any]], seconds: float) -> dict[str, Any]:
    """A run as a line's object."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": dict(about),
        "seconds": round(seconds, 1),
        "workloads": {result["workload"]: _short(result) for result in results},
    }


def append(path: Path, line: Mapping[str, Any]) -> None:
    """Add one line; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")


def commit(root: Path = ROOT) -> str | None:
    """Version of the tree, with ``+`` when it was changed since; None outside a repository."""
    try:
        asked = ["git", "-C", str(root), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
        return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _short(result: Mapping[str, Any]) -> dict[str, Any]:
    if "error" in result:
        return {"scale": result["scale"], "error": result["error"].splitlines()[0]}
    figures = {name: round_to(figure["value"]) for name, figure in result["figures"].items()}
    return {"scale": result["scale"], "hash": result["hash"], "figures": figures}


def round_to(value: float, digits: int = 5) -> float:
    """So many digits that matter: a ledger is read by people, too."""
    return float(f"{value:.{digits}g}")
