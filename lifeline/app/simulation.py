"""``lifeline simulate``: the simulated city on any broker, with a status line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lifeline.app.run import stop_on_signals
from simulators.drive import DriveSettings, run

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console


def run_simulation(
    *,
    broker_url: str,
    sensors: int,
    interval_s: float | None,
    shape: str,
    pack: int,
    qos: int,
    seconds: float | None,
    seed: int,
    faults_per_hour: float,
    fault_speed: float,
    truth: Path | None,
    registry: Path | None,
    ledger: Path | None,
    out: Console,
) -> dict[str, Any]:
    """Publish until the seconds are over or a signal comes; the contract's summary.

    Raises:
        ConfigurationError: the broker's URL cannot be used.
        UnavailableError: the broker cannot be reached, or a file cannot be written.
    """
    settings = DriveSettings(
        broker_url=broker_url,
        sensors=sensors,
        interval_s=interval_s,
        shape=shape,
        pack=pack,
        qos=qos,
        seconds=seconds,
        seed=seed,
        faults_per_hour=faults_per_hour,
        fault_speed=fault_speed,
        truth=truth,
        registry=registry,
        ledger=ledger,
    )
    with stop_on_signals() as stop:
        return run(settings, None, stop).as_dict()
