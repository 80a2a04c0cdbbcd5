"""History: the same readings as the publisher's, as a collector would hold them."""

from __future__ import annotations

import numpy as np
import pytest

from lifeline.core.batch import Readings
from lifeline.core.schema import Flag
from simulators.dirt import CLEAN, DirtSettings
from simulators.faults import FaultSettings
from simulators.fleet import KINDS, Fleet
from simulators.history import History

T0 = 1_795_000_000_000
DAY = 86_400_000


def test_a_day_of_the_native_fleet(native_fleet: Fleet) -> None:
    """Every point as often as its interval says; batches of meters are late, nothing else without dirt."""
    history = History(native_fleet, T0, T0 + DAY, tick_ms=600_000, faults=FaultSettings(0), dirt=CLEAN)
    readings = Readings.concat(list(history.ticks()))
    counts = np.bincount(readings.point, minlength=native_fleet.points_count)
    expected = DAY / native_fleet.interval_ms[native_fleet.point_device]
    late = np.unique(native_fleet.point_device[readings.point[(readings.flags & Flag.LATE) != 0]])
    slow = native_fleet.interval_ms[late] >= 900_000  # ticks of ten minutes make each fast one late

    assert np.abs(counts - expected).max() <= 1
    assert {KINDS[k].name for k in native_fleet.device_kind[late[slow]]} == {"batch-meter"}
    assert not np.isnan(readings.value).any()


def test_received_at_never_falls_and_flags_mark_repeats(small_fleet: Fleet) -> None:
    history = History(small_fleet, T0, T0 + 60_000, tick_ms=5000, dirt=DirtSettings(repeat=0.1))
    batches = list(history.ticks())
    readings = Readings.concat(batches)
    repeated = (readings.flags & Flag.DUPLICATE) != 0
    identity = np.stack([readings.point.astype(np.int64), readings.ts, readings.seq.astype(np.int64)])

    assert len(batches) == 12
    assert (np.diff(readings.received_at) >= 0).all()
    assert 0.05 < repeated.mean() < 0.15
    assert len(np.unique(identity[:, ~repeated], axis=1).T) == int((~repeated).sum())


def test_an_exact_history_does_not_depend_on_its_ticks(small_fleet: Fleet) -> None:
    """Received when due and in that order, so that a tick of a second and one of a minute hold the same."""
    one, many = (
        Readings.concat(list(History(small_fleet, T0, T0 + 60_000, tick_ms=ms, dirt=CLEAN, exact=True).ticks()))
        for ms in (60_000, 1000)
    )
    rows = [sorted(zip(r.received_at.tolist(), r.point.tolist(), r.ts.tolist(), strict=True)) for r in (one, many)]

    assert (np.diff(one.received_at) >= 0).all()
    assert (one.received_at >= one.ts).all()
    assert rows[0] == rows[1]


def test_two_histories_are_equal(small_fleet: Fleet) -> None:
    one, two = (
        Readings.concat(list(History(small_fleet, T0, T0 + 60_000, faults=FaultSettings(600, 60)).ticks()))
        for _ in range(2)
    )

    assert one.to_arrow().equals(two.to_arrow())


def test_a_history_needs_a_period(small_fleet: Fleet) -> None:
    with pytest.raises(ValueError, match="end after its start"):
        History(small_fleet, T0, T0)
