"""What the publisher is told: fleet, faults, broker and files; and what is wrong with it, all at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lifeline.core.errors import ConfigurationError, Problem
from simulators.faults import FaultSettings
from simulators.fleet import SENSORS, FleetSettings
from simulators.link import parse_url

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from simulators.dirt import DirtSettings
    from simulators.schedule import Shape


@dataclass(frozen=True, slots=True)
class DriveSettings:
    """What to publish, where to, and what to write down."""

    broker_url: str
    sensors: int = SENSORS
    interval_s: float | None = None
    shape: Shape = "single"
    pack: int = 100
    qos: int = 1
    seconds: float | None = None
    """None: until stopped."""
    seed: int = 1
    faults_per_hour: float = 12.0
    fault_speed: float = 1.0
    early_faults: int | None = None
    """See ``FaultSettings.early``."""
    dirt: DirtSettings | None = None
    truth: Path | None = None
    registry: Path | None = None
    """POINTS as Parquet; AREAS goes beside it as ``<stem>.areas.parquet``."""
    ledger: Path | None = None
    client_id: str | None = None
    username: str | None = None
    password: str | None = None
    ca_file: Path | None = None
    ack_idle_s: float = 10.0
    """At the end: give up on acknowledgements when none has come for so long (60 s in all)."""
    start_ms: int | None = None
    """Simulated time of the first tick (epoch ms); None: now."""


def checked(settings: DriveSettings) -> DriveSettings:
    """The settings.

    Raises:
        ConfigurationError: all that is wrong with them.
    """
    problems: list[Problem] = []
    checks: dict[str, Callable[[], object]] = {
        "broker": lambda: parse_url(settings.broker_url, settings.username, settings.password),
        "sensors, interval or pack": lambda: fleet_settings(settings),
        "faults": lambda: fault_settings(settings),
    }
    for key, check in checks.items():
        try:
            check()
        except ConfigurationError as error:
            problems += error.problems
        except ValueError as error:
            problems.append(Problem("simulate", key, str(error)))
    if settings.qos not in {0, 1}:
        problems.append(Problem("simulate", "qos", f"{settings.qos} is not supported", "give 0 or 1"))
    if settings.shape not in {"single", "gateway"}:
        problems.append(Problem("simulate", "shape", f"{settings.shape!r} is unknown", "give single or gateway"))
    if settings.seconds is not None and not settings.seconds > 0:
        problems.append(Problem("simulate", "seconds", f"{settings.seconds} s is no time", "give more than 0"))
    for key in ("truth", "registry", "ledger"):
        path: Path | None = getattr(settings, key)
        if path is not None and not path.parent.is_dir():
            problems.append(Problem("simulate", key, f"{path.parent} is no folder", "make it first"))
    if problems:
        raise ConfigurationError(problems)
    return settings


def fleet_settings(settings: DriveSettings) -> FleetSettings:
    """Which fleet there is to build."""
    return FleetSettings(settings.sensors, settings.seed, settings.interval_s, settings.pack)


def fault_settings(settings: DriveSettings) -> FaultSettings:
    """What goes wrong in it."""
    return FaultSettings(settings.faults_per_hour, settings.fault_speed, settings.early_faults)
