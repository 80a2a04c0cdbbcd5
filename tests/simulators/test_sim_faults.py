"""Faults: their labels are sound, each can be seen in the values, and the harmless ones stay below what alarms."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest

from lifeline.core.schema import TRUTH
from simulators.dirt import CLEAN
from simulators.faults import Faults, FaultSettings
from simulators.fleet import KINDS, Fleet, FleetSettings
from simulators.fleet_build import build_fleet
from simulators.generator import Generator
from simulators.scenarios import SCENARIOS
from simulators.truth import Truth
from simulators.world import World

if TYPE_CHECKING:
    from pathlib import Path

T0 = 1_795_000_000_000  # heating season
SUMMER = 1_782_900_000_000
HOUR = 3_600_000


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return build_fleet(FleetSettings(sensors=20_000, interval_s=10.0))


@pytest.fixture(scope="module")
def staged(fleet: Fleet) -> tuple[World, Truth]:
    """An hour with 1,500 faults an hour, sixty times as fast as nature."""
    world = World(fleet)
    faults = Faults(world, T0, FaultSettings(1500, 60))
    faults.extend(T0 + HOUR)
    return world, faults.truth


def test_truth_is_well_formed(staged: tuple[World, Truth], fleet: Fleet) -> None:
    table = staged[1].table()
    rows = table.to_pylist()
    quantities = {
        fleet.ids[d]: {fleet.quantity(p) for p in range(int(fleet.device_ptr[d]), int(fleet.device_ptr[d + 1]))}
        for d in range(len(fleet))
    }

    assert table.schema == TRUTH
    assert {row["kind"] for row in rows} == set(SCENARIOS)
    assert all(row["start"] < row["end"] for row in rows)
    assert all(row["quantity"] is None or row["quantity"] in quantities[row["device_id"]] for row in rows)
    assert all((row["quantity"] is None) == (row["kind"] in {"dropout", "gateway-outage"}) for row in rows)
    assert len({row["fault_id"] for row in rows if not row["kind"].startswith("harmless-")}) == staged[1].count(
        T0 + HOUR
    )


def test_rates_are_kept(staged: tuple[World, Truth]) -> None:
    """Poisson: 1,500 real faults and 375 look-alikes an hour, but for the few that found no free place."""
    truth = staged[1]

    assert truth.count(T0 + HOUR) == pytest.approx(1500, rel=0.12)
    assert truth.count(T0 + HOUR, harmless=True) == pytest.approx(375, rel=0.25)


def test_no_device_is_in_two_faults_at_once(staged: tuple[World, Truth]) -> None:
    spans: dict[str, list[tuple[object, object, str]]] = {}
    for row in staged[1].table().to_pylist():
        spans.setdefault(row["device_id"], []).append((row["start"], row["end"], row["fault_id"]))
    for own in spans.values():
        own.sort()
        for (_, end, fault), (start, _, other) in pairwise(own):
            assert fault == other or start >= end  # type: ignore[operator]


def _extremes(world: World, calm: World, row: dict[str, object]) -> tuple[np.ndarray, np.ndarray]:
    """Values under the fault and without it, at 60 times of a truth row."""
    fleet = world.fleet
    device = fleet.ids.index(str(row["device_id"]))
    start, end = (int(row[key].timestamp() * 1000) for key in ("start", "end"))  # type: ignore[attr-defined]
    times = np.linspace(start, end - 1, 60).astype(np.int64)
    devices = np.full(60, device, np.int32)
    at = fleet.point_of(device, str(row["quantity"])) - int(fleet.device_ptr[device])
    found = []
    for one in (world, calm):
        ptr, scaled = one.values(devices, times)
        found.append(one.decimal(one.points(devices, ptr), scaled).reshape(60, -1)[:, at])
    return found[0], found[1]


def test_every_label_can_be_seen(staged: tuple[World, Truth], fleet: Fleet) -> None:
    """Under each label (three of a kind and quantity) the value departs from that of the healthy twin."""
    world, truth = staged
    calm = World(fleet)
    seen: dict[tuple[str, str], int] = {}
    for row in truth.table().to_pylist():
        key = (row["kind"], str(row["quantity"]))
        if row["quantity"] is None or seen.get(key, 0) >= 3:
            continue
        seen[key] = seen.get(key, 0) + 1
        sick, healthy = _extremes(world, calm, row)
        assert np.abs(sick - healthy).max() > 0, row
    assert len(seen) > 25


def test_faults_reach_their_sizes(staged: tuple[World, Truth], fleet: Fleet) -> None:
    """Gas goes past 25 %LEL, covers past 20 degrees, regulators past 3.6 kPa; look-alikes do not, or lack ethane."""
    world, truth = staged
    calm = World(fleet)
    kind_of = {fleet.ids[d]: KINDS[fleet.device_kind[d]].name for d in range(len(fleet))}
    checked = 0
    for row in truth.table().to_pylist():
        kind, quantity = row["kind"], row["quantity"]
        if quantity is None:
            continue
        place = kind_of[row["device_id"]]
        limits: tuple[float, float] | None = {
            ("gas-accumulation", "ch4"): (25.0, 101.0),
            ("gas-accumulation", "c2h6"): (60, 200),
            ("cover-opened", "tilt"): (20, 181),
            ("harmless-sewer-biogas", "ch4"): (25, 46),
            ("harmless-maintenance", "tilt"): (0, 8.01),
        }.get((kind, quantity))
        if kind == "regulator-overpressure" and place == "regulator":
            limits = (3.6, 6.1)
        if limits is None:
            continue
        sick, _ = _extremes(world, calm, row)
        assert limits[0] <= sick.max() <= limits[1], row
        checked += 1
    assert checked > 100


def test_a_stuck_sensor_shows_one_value(staged: tuple[World, Truth], fleet: Fleet) -> None:
    world, truth = staged
    rows = [row for row in truth.table().to_pylist() if row["kind"] == "sensor-stuck"][:10]

    assert rows
    for row in rows:
        sick, healthy = _extremes(world, World(fleet), row)
        assert len(set(sick.tolist())) == 1
        assert sick[0] == healthy[0]
        assert len(set(healthy.tolist())) > 1


def test_silent_devices_send_nothing(fleet: Fleet) -> None:
    """No object of a device within its dropout or outage; before and after there are some."""
    generator = Generator(fleet, T0, FaultSettings(2000, 600), CLEAN)
    ticks = [generator.tick(10_000) for _ in range(60)]
    sent: dict[str, list[int]] = {}
    for tick in ticks:
        for device, t in zip(tick.objects.device.tolist(), tick.objects.t.tolist(), strict=True):
            sent.setdefault(fleet.ids[device], []).append(t)
    silences = [row for row in generator.truth.table().to_pylist() if row["quantity"] is None]

    assert {row["kind"] for row in silences} == {"dropout", "gateway-outage"}
    for row in silences:
        start, end = (int(row[key].timestamp() * 1000) for key in ("start", "end"))
        assert not [t for t in sent[row["device_id"]] if start <= t < end]


def test_first_faults_of_a_demonstration_come_within_ten_seconds(fleet: Fleet) -> None:
    """Sped up: eight faults of the clear kinds 5 .. 10 s after the start; in summer without those of heat."""
    for start, least in ((T0, 8), (SUMMER, 6)):
        faults = Faults(World(fleet), start, FaultSettings(12, 60))
        starts = [
            int(row["start"].timestamp() * 1000) - start for row in faults.truth.table(start + 11_000).to_pylist()
        ]
        assert faults.truth.count(start + 10_000) == least
        assert min(starts) == 5000
        assert max(starts) <= 10_000
    assert Faults(World(fleet), T0, FaultSettings(12, 1)).truth.table().num_rows == 0
    assert Faults(World(fleet), T0, FaultSettings(0, 60)).truth.table().num_rows == 0


def test_no_heat_fault_in_summer(fleet: Fleet) -> None:
    faults = Faults(World(fleet), SUMMER, FaultSettings(500, 60))
    faults.extend(SUMMER + HOUR)
    kinds = {row["kind"] for row in faults.truth.table().to_pylist()}

    assert kinds.isdisjoint({"heat-supply-collapse", "makeup-surge"})
    assert "pipe-burst" in kinds


def test_the_schedule_does_not_depend_on_how_it_is_asked(fleet: Fleet) -> None:
    one, many = (Faults(World(fleet), T0, FaultSettings(600, 60)) for _ in range(2))
    one.extend(T0 + HOUR)
    for minute in range(60):
        many.extend(T0 + (minute + 1) * 60_000)

    assert one.truth.table().equals(many.truth.table())


def test_values_under_faults_stay_in_span(staged: tuple[World, Truth], fleet: Fleet) -> None:
    """Even a burst on a drifting sensor reports nothing that its physical span forbids."""
    world = staged[0]
    devices = np.arange(len(fleet), dtype=np.int32)
    low, high = fleet.model_table[:, 11][fleet.point_model], fleet.model_table[:, 12][fleet.point_model]
    for minute in range(5, 60, 5):
        ptr, scaled = world.values(devices, np.full(len(devices), T0 + minute * 60_000, np.int64))
        value = world.decimal(world.points(devices, ptr), scaled)
        assert ((value >= low) & (value <= high)).all()


def test_truth_file_is_what_the_table_says(staged: tuple[World, Truth], tmp_path: Path) -> None:
    path = tmp_path / "truth.parquet"
    staged[1].write(path, T0 + HOUR // 2)

    assert pq.read_table(path).equals(staged[1].table(T0 + HOUR // 2))
    assert pq.read_table(path).num_rows < staged[1].table().num_rows
    assert [p.name for p in tmp_path.iterdir()] == ["truth.parquet"]


@pytest.mark.parametrize("bad", [{"faults_per_hour": -1}, {"fault_speed": 0}, {"faults_per_hour": float("nan")}])
def test_rates_that_make_no_sense_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="give another"):
        FaultSettings(**bad)  # type: ignore[arg-type]
