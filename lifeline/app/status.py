"""``lifeline status``: what the running engine last said of itself."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Final

import orjson

from lifeline.app.site import load_site
from lifeline.core.errors import UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    from lifeline.app.site import Site

STALE_MS: Final = 5_000


def read_status(config: Path) -> dict[str, Any]:
    """The status file's content; not ``ready`` when nobody renews it.

    Raises:
        UnavailableError: no engine has ever run on this data directory.
    """
    site = load_site(config)
    try:
        status: dict[str, Any] = orjson.loads(site.status_path.read_bytes())
    except FileNotFoundError:
        raise UnavailableError(
            f"{site.status_path}: no engine has run here yet; start it with: lifeline run -c {config}"
        ) from None
    age_ms = time.time_ns() // 1_000_000 - status["at"]
    if status.get("stopped") or not _alive(status["pid"]):
        status |= {"ready": False, "reason": f"the engine is not running (last seen {age_ms / 1000:.0f} s ago)"}
    elif age_ms > STALE_MS:
        status |= {"ready": False, "reason": f"the engine has said nothing for {age_ms / 1000:.0f} s"}
    return status


def engine_runs(site: Site) -> bool:
    """Whether an engine is at work on this data directory."""
    try:
        status = orjson.loads(site.status_path.read_bytes())
    except FileNotFoundError:
        return False
    return _alive(status["pid"]) and not status.get("stopped", False)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
