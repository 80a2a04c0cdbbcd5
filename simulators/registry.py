"""The fleet's registry as files: what an engine must know before the first reading comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulators.fleet import SENSORS, FleetSettings
from simulators.fleet_build import build_fleet
from simulators.truth import write_table

if TYPE_CHECKING:
    from pathlib import Path

    from simulators.fleet import Fleet


def areas_path(registry: Path) -> Path:
    """Where the areas lie: ``<stem>.areas.parquet`` beside the registry."""
    return registry.with_name(f"{registry.stem}.areas.parquet")


def write_fleet(fleet: Fleet, path: Path) -> None:
    """Points (``POINTS``, row i is point i) into ``path`` (``.parquet`` or ``.csv``), areas (``AREAS``) beside it."""
    write_table(fleet.points, path)
    write_table(fleet.areas, areas_path(path))


def write_registry(
    path: Path, *, sensors: int = SENSORS, interval_s: float | None = None, seed: int = 1, pack: int = 100
) -> Fleet:
    """Build the fleet that ``drive.run`` with the same arguments publishes, and write its registry."""
    fleet = build_fleet(FleetSettings(sensors, seed, interval_s, pack))
    write_fleet(fleet, path)
    return fleet
