"""The end of a demo: wait until what was published is in the log and judged, and say what is waited for.

A slow machine, or one that still compiles, may bind rules for a minute, and then works off what the broker has
kept meanwhile. As long as anything moves, or has a reason to stand still, nothing is lost yet: only what has not come
after a long silence of an engine that has nothing left to do is. What the wait was cut short on is *undrained*.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from lifeline.core.reasons import in_both

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lifeline.app.run import Line

STILL_S: Final = 10.0
"""An engine that is ready and has consumed everything, and hears nothing for so long, will hear nothing more."""
STUCK_S: Final = 300.0
"""Nor will one that is not ready, or behind, and does not move for so long; but what it has not read is not lost."""
LOOK_S: Final = 0.1
TELL_S: Final = 10.0
"""How often it is told what is waited for."""


def waits_for(status: Mapping[str, Any], published: int) -> str | None:
    """What a status shows to be still under way, in both languages; None when nothing is."""
    behind = [one["name"] for one in status["followers"] if one["position"] < status["log"]["committed"]]
    if not status["ready"]:
        return in_both(status["reason"])
    if behind:
        return f"{', '.join(behind)} behind the log 尚未处理完日志"
    missing = published - status["received"] - status["rejected_readings"]
    if missing > 0:
        return f"{missing:,} readings still at the broker 条读数仍在代理中"
    return None


def drain(
    publish: Callable[[], dict[str, Any]],
    published: int,
    line: Line,
    *,
    cut: Callable[[], bool],
    still_s: float = STILL_S,
    stuck_s: float = STUCK_S,
) -> bool:
    """Wait until ``published`` readings have arrived and every follower has consumed them.

    Args:
        publish: the engine's status now (``StatusBoard.publish``).
        published: readings that the simulator has sent.
        line: where the status and what is waited for is shown.
        cut: whether somebody wants no more waiting (a second Ctrl-C).
        still_s: silence after which what is missing is given up, once nothing else is under way.
        stuck_s: standing still after which an engine that has something under way is not waited for.

    Returns:
        True when the books may be closed: what has not arrived by now is lost. False when the wait was cut short.
    """
    began = moved = time.monotonic()
    told: float | None = None
    seen: object = None
    heard: object = None
    target = 0
    """The log's end when the last reading came: over a silent city it goes on growing by a beat a second."""
    while True:
        status = publish()
        line.update(status)
        waiting, now = waits_for(status, published), time.monotonic()
        if waiting is None:
            return True
        arrived = status["received"], status["rejected_readings"]
        if arrived != heard:
            heard, target = arrived, status["log"]["committed"]
        state = arrived, [min(one["position"], target) for one in status["followers"]]
        if state != seen:
            seen, moved = state, now
        idle = waits_for(status, 0) is None  # what is missing is at the broker, or nowhere
        if idle and now - moved >= still_s:
            return True
        if cut() or now - moved >= stuck_s:
            return False
        if now - began >= 1 and (told is None or now - told >= TELL_S):
            told = now
            line.say(f"waiting for: {waiting} (Ctrl-C: wait no longer 不再等待)")
        time.sleep(LOOK_S)
