"""``lifeline status``: what the running engine last said of itself."""

from __future__ import annotations

import os
import urllib.request
from typing import TYPE_CHECKING, Any, Final
from urllib.error import HTTPError

import orjson

from lifeline.app.clock import now_ms
from lifeline.app.site import load_site
from lifeline.core.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lifeline.app.site import Site

STALE_MS: Final = 5_000
RENEWED_MS: Final = 2_000
"""The engine renews its status file twice a second, unless the disk refuses; then its endpoint is asked why."""
ASK_S: Final = 1.0


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
    status = with_engines_word(lambda: status)
    age_ms = now_ms() - status["at"]
    if status.get("stopped") or not _alive(status["pid"]):
        status |= {"ready": False, "reason": f"the engine is not running (last seen {age_ms / 1000:.0f} s ago)"}
    elif age_ms > STALE_MS:
        status |= {"ready": False, "reason": f"the engine has said nothing for {age_ms / 1000:.0f} s"}
    return status


def with_engines_word(read: Callable[[], dict[str, Any]], endpoint: str | None = None) -> dict[str, Any]:
    """What ``read`` says; when nobody renews it, with ``ready`` and ``reason`` from the engine's own endpoint.

    A full or dead disk takes the status file with it, and that is when the reason matters most. Figures stay those of
    the file; ``stale`` says so.

    Raises:
        UnavailableError: ``read`` has nothing and the engine does not answer.
    """
    now = now_ms()
    try:
        status = read()
    except UnavailableError:
        if (word := _ask(endpoint)) is None:
            raise
        return word | {"at": now, "stale": True}
    if status.get("stopped") or now - status.get("at", 0) <= RENEWED_MS:
        return status
    word = _ask(endpoint or status.get("endpoint"))
    return status if word is None else status | word | {"at": now, "stale": True}


def _ask(endpoint: str | None) -> dict[str, Any] | None:
    """``ready`` and ``reason`` by the engine's ``/readyz``; None when it does not answer."""
    if endpoint is None:
        return None
    try:
        with urllib.request.urlopen(f"{endpoint}/readyz", timeout=ASK_S):  # noqa: S310 - the engine's own address
            return {"ready": True, "reason": None}
    except HTTPError as error:
        with error:
            return {"ready": False, "reason": error.read(4096).decode("utf-8", "replace").strip()}
    except (OSError, ValueError):
        return None


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
