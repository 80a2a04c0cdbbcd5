"""The end of a demo: what is still under way is waited for, and is never called lost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from lifeline.app import draining
from lifeline.app.demo import _finish_simulator
from lifeline.app.draining import drain, waits_for
from lifeline.core.errors import UnavailableError


def status(received: int, *, committed: int = 9, position: int = 9, reason: str | None = None) -> dict[str, Any]:
    """As the engine says it."""
    followers = [{"name": "rules", "position": position}, {"name": "lake", "position": 9}]
    log = {"committed": committed}
    told = {"received": received, "rejected_readings": 0, "followers": followers, "log": log}
    return told | {"ready": reason is None, "reason": reason}


BINDING = "rules: being bound to the points"


class Screen:
    """A line that remembers."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def update(self, status: dict[str, Any]) -> None:
        """Nothing to see."""

    def say(self, text: str) -> None:
        """A sentence."""
        self.said.append(text)

    def close(self) -> None:
        """Nothing."""


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that only sleeping moves."""
    now = [0.0]
    monkeypatch.setattr("lifeline.app.draining.time.monotonic", lambda: now[0])
    monkeypatch.setattr("lifeline.app.draining.time.sleep", lambda s: now.__setitem__(0, now[0] + s))
    return now


def told(now: list[float], *steps: tuple[float, dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    """The last of (from when, status) that holds now."""
    return lambda: [one for at, one in steps if now[0] >= at][-1]


def test_rules_that_take_half_a_minute_to_be_bound_are_waited_for(seconds: list[float]) -> None:
    screen = Screen()
    publish = told(seconds, (0, status(0, reason=BINDING)), (30, status(40)), (36, status(80)), (45, status(100)))

    assert drain(publish, 100, screen, cut=lambda: False)
    assert seconds[0] == pytest.approx(45, abs=0.2)
    assert "being bound" in screen.said[0]
    assert "60 readings still at the broker" in " ".join(screen.said)
    assert len(screen.said) <= 5


def test_a_follower_that_is_behind_is_waited_for(seconds: list[float]) -> None:
    publish = told(seconds, (0, status(100, position=3)), (20, status(100)))

    assert drain(publish, 100, Screen(), cut=lambda: False)
    assert seconds[0] == pytest.approx(20, abs=0.2)


def test_an_idle_engine_gives_up_what_does_not_come(seconds: list[float]) -> None:
    assert drain(told(seconds, (0, status(90))), 100, Screen(), cut=lambda: False), "these ten are lost"
    assert seconds[0] == pytest.approx(draining.STILL_S, abs=0.2)


def test_the_log_s_beat_over_a_silent_city_is_no_reading(seconds: list[float]) -> None:
    """What was lost before a subscription was waited for without end, as the log grew by a record a second."""

    def publish() -> dict[str, Any]:
        beat = 9 + int(seconds[0])
        return status(90, committed=beat, position=beat) | {"followers": [{"name": "rules", "position": beat}]}

    assert drain(publish, 100, Screen(), cut=lambda: seconds[0] > 60)
    assert seconds[0] == pytest.approx(draining.STILL_S, abs=1.2)


def test_what_is_stuck_or_cut_short_is_not_lost(seconds: list[float]) -> None:
    assert not drain(told(seconds, (0, status(0, reason=BINDING))), 100, Screen(), cut=lambda: False)
    assert seconds[0] == pytest.approx(draining.STUCK_S, abs=0.2)
    assert not drain(told(seconds, (0, status(90, position=3))), 100, Screen(), cut=lambda: True)


def test_a_stop_before_the_first_reading_is_no_fault_of_the_simulator() -> None:
    """Ctrl-C in the first seconds was told as ``the simulator ended with -15``."""
    early = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], stdout=subprocess.PIPE, text=True)
    with pytest.raises(UnavailableError, match="before the city had sent a reading"):
        _finish_simulator(early)


def test_what_is_waited_for_in_words() -> None:
    assert waits_for(status(100), 100) is None
    assert "rules behind the log" in (waits_for(status(100, position=3), 100) or "")
    assert "10 readings still at the broker" in (waits_for(status(90), 100) or "")
