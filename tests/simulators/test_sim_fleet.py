"""The fleet: exact counts, sound registry, the same from the same settings."""

from __future__ import annotations

import pytest

import simulators.fleet as fleet_module
from lifeline.core.registry import Registry
from lifeline.core.schema import POINTS, UTILITIES
from simulators.fleet import KINDS, Fleet, FleetSettings
from simulators.fleet_build import build_fleet, scaled_counts


def test_the_full_fleet_has_exactly_its_mix() -> None:
    assert sum(kind.count for kind in KINDS) == 219_300
    assert scaled_counts(219_300) == [kind.count for kind in KINDS]


@pytest.mark.parametrize("sensors", [1, 5, 17, 18, 100, 999, 50_000, 400_000])
def test_any_size_is_met_exactly(sensors: int) -> None:
    counts = scaled_counts(sensors)

    assert sum(counts) == sensors
    assert sensors < len(KINDS) or min(counts) >= 1


@pytest.mark.parametrize("sensors", [1, 3, 17, 40])
def test_tiny_fleets_can_be_built(sensors: int) -> None:
    fleet = build_fleet(FleetSettings(sensors=sensors))

    assert len(Registry(fleet.points, fleet.areas).devices) == sensors


def test_registry_agrees_with_the_arrays(small_fleet: Fleet) -> None:
    """The registry gives devices and points the numbers that the fleet uses."""
    registry = Registry(small_fleet.points, small_fleet.areas)

    assert registry.points.schema == POINTS
    assert registry.devices == small_fleet.ids
    assert registry.device_ptr.tolist() == small_fleet.device_ptr.tolist()
    assert registry.device_points.tolist() == list(range(len(registry)))
    assert set(registry.points["utility"].to_pylist()) == set(UTILITIES)
    sizes = registry.device_ptr[1:] - registry.device_ptr[:-1]
    assert (sizes.min(), sizes.max()) == (2, 5)


def test_nothing_is_null_but_the_group(small_fleet: Fleet) -> None:
    points = small_fleet.points

    assert [name for name in points.column_names if points[name].null_count] == ["group"]


def test_area_codes_are_leaf_grids(small_fleet: Fleet) -> None:
    level = dict(zip(small_fleet.areas["area_code"].to_pylist(), small_fleet.areas["level"].to_pylist(), strict=True))

    assert {level[code] for code in small_fleet.points["area_code"].to_pylist()} <= {"grid", "microgrid"}


def test_a_cover_lies_on_its_well(native_fleet: Fleet) -> None:
    rows = {(row["asset_id"], row["kind"]): row for row in native_fleet.points.to_pylist() if row["utility"] == "gas"}
    covers = [row for (_, kind), row in rows.items() if kind == "manhole-cover"]
    wells = [rows.get((row["asset_id"], "valve-well")) or rows[row["asset_id"], "adjacent-space"] for row in covers]

    assert covers
    assert [row["area_code"] for row in covers] == [row["area_code"] for row in wells]
    assert [(row["lon"], row["lat"]) for row in covers] == [(row["lon"], row["lat"]) for row in wells]


def test_equal_settings_make_equal_fleets_and_other_seeds_others() -> None:
    settings = FleetSettings(sensors=500, seed=7)

    assert build_fleet(settings).points.equals(build_fleet(settings).points)
    assert not build_fleet(settings).points.equals(build_fleet(FleetSettings(sensors=500, seed=8)).points)


def test_the_docstring_lists_every_quantity() -> None:
    """The table that rule authors read names each kind's quantities, units and spans in their order."""
    lines = [line for line in (fleet_module.__doc__ or "").splitlines() if line[:5].strip() in UTILITIES]
    told = [(line[:6].strip(), line[26:42].strip(), line[43:52].strip(), line[53:72].strip()) for line in lines]
    real = [
        (kind.utility, m.quantity, m.unit, f"{m.span[0]:g} .. {_plain(m.span[1])}")
        for kind in KINDS
        for m in kind.models
    ]

    assert told == real


def _plain(number: float) -> str:
    return str(number) if number != int(number) else str(int(number))


@pytest.mark.parametrize(
    "bad", [{"sensors": 0}, {"interval_s": 0.0}, {"interval_s": float("nan")}, {"gateway_devices": 0}]
)
def test_settings_that_make_no_sense_are_refused_with_a_remedy(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="give another"):
        FleetSettings(**bad)  # type: ignore[arg-type]
