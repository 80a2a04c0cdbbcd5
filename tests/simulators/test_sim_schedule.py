"""Who reports when: every report once however time is cut, late batches, dirt at its rates."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from lifeline.core.limits import FUTURE_MS_MAX
from simulators.dirt import CLEAN, Dirt, DirtSettings
from simulators.fleet import KIND_INDEX, Fleet, FleetSettings
from simulators.fleet_build import build_fleet
from simulators.schedule import Objects, Schedule

T0 = 1_795_000_000_000
DAY = 86_400_000


def schedule(fleet: Fleet, dirt: DirtSettings = CLEAN, shape: Any = "single") -> Schedule:
    return Schedule(fleet, Dirt(fleet.settings.seed, len(fleet), dirt), shape)


def keys(objects: Objects) -> list[tuple[int, int, int]]:
    return list(zip(objects.device.tolist(), objects.ts.tolist(), objects.seq.tolist(), strict=True))


def ordered(objects: Objects) -> np.ndarray:
    """Device, time and number of each object, by device and time."""
    order = np.lexsort((objects.ts, objects.device))
    return np.stack([objects.device[order], objects.ts[order], objects.seq[order]])


def test_each_device_reports_once_an_interval(small_fleet: Fleet) -> None:
    objects = schedule(small_fleet).tick(T0, T0 + 30_000)

    assert Counter(objects.device.tolist()) == dict.fromkeys(range(len(small_fleet)), 3)
    assert (objects.t >= T0).all()
    assert (objects.t < T0 + 30_000).all()
    assert (objects.ts == objects.t).all()


@pytest.mark.parametrize("shape", ["single", "gateway"])
def test_the_cut_of_time_does_not_matter(native_fleet: Fleet, shape: Any) -> None:
    """A minute and a quarter of a day (with an upload) in one piece or in many: the same reports."""
    for length, pieces in ((60_000, 97), (DAY // 4, 24)):
        whole = schedule(native_fleet, shape=shape).tick(T0, T0 + length)
        cut = schedule(native_fleet, shape=shape)
        edges = np.linspace(T0, T0 + length, pieces + 1).astype(int).tolist()
        parts = Objects.concat([cut.tick(a, b) for a, b in pairwise(edges)])
        assert np.array_equal(ordered(parts), ordered(whole))


def test_seq_rises_by_one() -> None:
    """Without dirt, each slow device's numbers of two days follow each other, and each fast one's of 2 minutes."""
    native_fleet = build_fleet(FleetSettings(sensors=400))
    slow = schedule(native_fleet).tick(T0, T0 + 2 * DAY)
    slow = slow.take(native_fleet.interval_ms[slow.device] > 300_000)
    fast = schedule(native_fleet).tick(T0, T0 + 120_000)
    objects = Objects.concat([slow, fast.take(native_fleet.interval_ms[fast.device] <= 300_000)])
    order = np.lexsort((objects.t, objects.device))
    device, seq = objects.device[order], objects.seq[order].astype(np.int64)
    same = device[1:] == device[:-1]

    assert (np.diff(seq)[same] == 1).all()


def test_batch_meters_upload_yesterday_at_once(native_fleet: Fleet) -> None:
    """96 quarter-hours of the local day before, at 11:00 or 16:00 local time, 11 to 41 hours old."""
    objects = schedule(native_fleet).tick(T0, T0 + DAY)
    batch = objects.take(native_fleet.device_kind[objects.device] == KIND_INDEX["water", "batch-meter"])
    meters = int((native_fleet.device_kind == KIND_INDEX["water", "batch-meter"]).sum())
    hour = (batch.due // 3_600_000 + 8) % 24
    age_h = (batch.due - batch.t) / 3_600_000

    assert set(Counter(batch.device.tolist()).values()) == {96}
    assert len(set(batch.device.tolist())) == meters
    assert set(hour.tolist()) == {11, 16}
    assert age_h.min() > 11
    assert age_h.max() < 41
    assert (batch.t % 900_000 == 0).all()


def test_gateway_devices_leave_together(small_fleet: Fleet) -> None:
    objects = schedule(small_fleet, shape="gateway").tick(T0, T0 + 10_000)
    gateway = small_fleet.device_gateway[objects.device]

    assert (np.diff(gateway) >= 0).all()
    assert all(len(set(objects.t[gateway == g].tolist())) == 1 for g in range(5))


def test_dirt_comes_at_its_rates() -> None:
    """Repeats and losses of 200,000 objects, skewed clocks and restarts of 20,000 devices, within a third."""
    fleet = build_fleet(FleetSettings(sensors=20_000, interval_s=10.0))
    clean, dirty = schedule(fleet), schedule(fleet, DirtSettings())
    sent = [dirty.tick(T0 + i * 10_000, T0 + (i + 1) * 10_000) for i in range(10)]
    everything = Objects.concat(sent)
    expected = clean.tick(T0, T0 + 100_000)
    fresh = everything.take(~everything.repeat)
    skew = np.abs(fresh.ts - fresh.t)

    assert (len(expected) - len(fresh)) / len(expected) == pytest.approx(1 / 1000, rel=0.33)
    assert everything.repeat.sum() / len(expected) == pytest.approx(0.9 / 2000, rel=0.4)
    assert (skew > 0).mean() == pytest.approx(1 / 200, rel=0.33)
    assert skew.max() < FUTURE_MS_MAX
    assert (Dirt(1, 20_000, DirtSettings()).seq_modulus < 2**32).mean() == pytest.approx(0.1, rel=0.1)


def test_a_repeat_is_the_same_object_a_tick_later(small_fleet: Fleet) -> None:
    dirty = schedule(small_fleet, DirtSettings(repeat=0.2))
    first, second = dirty.tick(T0, T0 + 10_000), dirty.tick(T0 + 10_000, T0 + 20_000)
    repeats = second.take(second.repeat)

    assert not first.repeat.any()
    assert 200 < len(repeats) < 600
    assert set(keys(repeats)) <= set(keys(first))


def test_a_loss_skips_its_number(small_fleet: Fleet) -> None:
    objects = schedule(small_fleet, DirtSettings(0, 0.2, 0, 0, 0)).tick(T0, T0 + 200_000)
    of_one = objects.take(objects.device == 5)
    order = np.argsort(of_one.t)

    assert len(of_one) < 20
    assert (np.diff(of_one.seq[order].astype(np.int64)) == np.diff(of_one.t[order]) // 10_000).all()


def test_restarts_begin_at_zero_again(small_fleet: Fleet) -> None:
    dirt = Dirt(1, len(small_fleet), DirtSettings(restarting=1))
    seq = dirt.seq(np.zeros(20_000, np.int32), np.arange(20_000)).astype(np.int64)
    steps = np.diff(seq)

    assert set(np.unique(steps[steps != 1]).tolist()) == {1 - int(dirt.seq_modulus[0])}
    assert 500 <= dirt.seq_modulus[0] <= 8000


def test_shares_must_be_shares() -> None:
    with pytest.raises(ValueError, match="share"):
        DirtSettings(loss=1.5)
