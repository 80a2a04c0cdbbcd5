"""``lifeline simulate``: the simulated city on any broker, with a status line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from rich.live import Live
from rich.text import Text

from lifeline.app.run import stop_on_signals
from lifeline.core.errors import ConfigurationError, Problem
from simulators.drive import run
from simulators.drive_settings import DriveSettings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from simulators.drive_report import Status
    from simulators.schedule import Shape


def run_simulation(
    *,
    broker_url: str,
    sensors: int,
    interval_s: float | None,
    shape: Shape,
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
        ConfigurationError: the broker's URL cannot be used, or the name of a file says no kind that is written.
        UnavailableError: the broker cannot be reached, or a file cannot be written.
    """
    _known_kinds({"--truth": truth, "--registry": registry}, (".parquet", ".csv"))
    _known_kinds({"--ledger": ledger}, (".parquet",))
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
    with stop_on_signals() as stop, _Line(out) as line:
        return run(settings, line.update, stop).as_dict()


def _known_kinds(paths: dict[str, Path | None], kinds: Sequence[str]) -> None:
    problems = [
        Problem(
            str(path),
            option,
            f"{path.suffix or 'no ending'} is no kind that is written",
            f"end it in {' or '.join(kinds)}",
        )
        for option, path in paths.items()
        if path is not None and path.suffix.lower() not in kinds
    ]
    if problems:
        raise ConfigurationError(problems)


class _Line:
    """One live line on a terminal; nothing where nobody watches."""

    def __init__(self, out: Console) -> None:
        self._live = Live(console=out, auto_refresh=False, transient=True) if out.is_terminal else None

    def update(self, status: Status) -> None:
        """Show how it goes."""
        if self._live is not None:
            state = "" if status.connected else "not connected · "
            text = (
                f"{state}{status.readings:,} readings in {status.messages:,} messages · "
                f"{status.in_flight:,} in flight · {status.behind_s:.1f} s behind · {status.faults} faults"
            )
            self._live.update(Text(text, no_wrap=True, overflow="ellipsis"), refresh=True)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._live is not None:
            self._live.stop()
