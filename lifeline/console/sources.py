"""Where the console's news comes from: the status file, and a guard that asks costly sources once a while only.

Rules of this file: sources are plain callables; whatever goes wrong in one becomes a not-ready status or an
``UnavailableError``, never a crash of the console.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import orjson

from lifeline.core.errors import UnavailableError
from lifeline.core.reasons import in_chinese

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lifeline.core.ports import Clock

STALE_MS: Final = 5_000
"""Ten missed turns of the engine, which writes twice a second."""

T = TypeVar("T")


def wall_clock() -> int:
    """Now, epoch milliseconds."""
    return time.time_ns() // 1_000_000


class StatusFile:
    """``state/status.json`` as a callable; replaced atomically by the engine, so a read is always whole."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self) -> dict[str, Any]:
        """The engine's last words.

        Raises:
            UnavailableError: there is no such file, or it is not one.
        """
        try:
            status = orjson.loads(self._path.read_bytes())
        except FileNotFoundError:
            raise UnavailableError("the engine has not run yet: no status file") from None
        except (OSError, ValueError) as error:
            raise UnavailableError(f"the status file cannot be read: {error}") from error
        if not isinstance(status, dict):
            raise UnavailableError("the status file holds no status")
        return status


def judged(status: Callable[[], dict[str, Any]], now_ms: int) -> dict[str, Any]:
    """The status with a judgement of our own: not ready without one or when it is old; ``reason_zh`` too."""
    try:
        news = dict(status())
    except (UnavailableError, OSError) as error:
        return {"ready": False, "reason": str(error), "reason_zh": in_chinese(str(error))}
    at = news.get("at")
    age_ms = now_ms - at if isinstance(at, int | float) else 0
    if age_ms > STALE_MS:
        news |= {"ready": False, "reason": f"the engine has said nothing for {age_ms / 1000:.0f} s", "stale": True}
    news["ready"] = bool(news.get("ready"))
    reason = news.get("reason")
    news["reason_zh"] = in_chinese(reason) if isinstance(reason, str) else None
    return news


class Cached(Generic[T]):
    """Asks at most once in ``ttl_ms``, whatever the number of viewers; they share the answer."""

    def __init__(self, ask: Callable[[], T], ttl_ms: int, clock: Clock = wall_clock) -> None:
        self._ask = ask
        self._ttl_ms = ttl_ms
        self._clock = clock
        self._lock = threading.Lock()
        self._answer: tuple[int, T] | None = None

    def __call__(self) -> T:
        """The newest answer; errors of ``ask`` are not kept."""
        with self._lock:
            now = self._clock()
            if self._answer is None or not 0 <= now - self._answer[0] < self._ttl_ms:
                self._answer = (now, self._ask())
            return self._answer[1]
