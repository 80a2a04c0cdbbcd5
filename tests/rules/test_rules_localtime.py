"""The site's clock against the standard library, around every change of the clock."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.localtime import LocalClock, transitions

ZONES = ["Asia/Shanghai", "UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Africa/Casablanca"]


FIRST, LAST = 946_800_000, 3_155_000_000
"""2 January 2000 to December 2069, in seconds."""


@given(st.sampled_from(ZONES), st.lists(st.integers(FIRST, LAST), min_size=1, max_size=5))
def test_equals_zoneinfo(zone: str, times: list[int]) -> None:
    ts = np.array(times, np.int64) * 1000
    local = [datetime.fromtimestamp(t / 1000, ZoneInfo(zone)) for t in ts.tolist()]
    clock = LocalClock(zone)
    assert clock.hour(ts).tolist() == [t.hour for t in local]
    assert clock.minute(ts).tolist() == [t.minute for t in local]
    assert clock.weekday(ts).tolist() == [t.isoweekday() for t in local]
    assert clock.month(ts).tolist() == [t.month for t in local]
    season = [(t.month, t.day) >= (11, 15) or (t.month, t.day) <= (3, 15) for t in local]
    assert clock.heating(ts).tolist() == season


@pytest.mark.parametrize("zone", ZONES)
def test_every_transition_is_exact(zone: str) -> None:
    at, offsets = transitions(zone)
    for k in range(1, len(at)):
        for ms, offset in ((at[k] - 1000, offsets[k - 1]), (at[k], offsets[k])):
            there = datetime.fromtimestamp(int(ms) / 1000, ZoneInfo(zone)).utcoffset()
            assert there is not None
            assert there.total_seconds() * 1000 == offset
