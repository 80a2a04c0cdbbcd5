"""The past that rules are judged over: the lake of a site, or files of others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from lifeline.app.foreign_history import ForeignReadings, foreign_history
from lifeline.app.history import lake_history
from lifeline.app.overriding import past_spans
from lifeline.app.since import parse_time
from lifeline.app.site import load_site
from lifeline.app.spool import Spool
from lifeline.core.batch import Readings
from lifeline.core.errors import ConfigurationError, Problem
from rules.backtest import Uncut, looked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from lifeline.app.backtest_report import Series
    from lifeline.app.foreign_history import Progress
    from lifeline.core.override import ParameterSpan
    from lifeline.core.registry import Registry
    from rules.backtest import Looked

READINGS: Final = "readings 读数"
LOOKING: Final = "looking for what can raise 预览数据"
JUDGING: Final = "judging 判定"


@dataclass(frozen=True)
class Past:
    """Points and readings in order of receipt, and how to read chosen points again."""

    points: Registry
    batches: Iterable[Readings]
    """To be walked through again and again; they are read again each time."""
    rows: int
    """How many readings there are at most."""
    span: tuple[int, int] | None
    """First and last time of receipt, epoch ms; None without readings."""
    zone: str
    spans: Sequence[ParameterSpan] = ()
    """What emergencies set of the rules' parameters at that time."""

    @property
    def said(self) -> list[str]:
        """What reading the file to its end has found."""
        return self.batches.doubts if isinstance(self.batches, ForeignReadings) else []

    def ready(self, progress: Progress | None) -> Iterable[Readings]:
        """Its batches, to be walked through dozens of times: what a foreign file tells is worked out once."""
        if not isinstance(self.batches, ForeignReadings):
            return self.batches
        spool = Spool()
        for batch in Watched(self.batches, self.rows, progress):
            spool.append(batch)
        return spool

    def looked(self, progress: Progress | None) -> Looked | Iterator[Readings]:
        """Its batches, to be judged once: those of a lake looked at, a foreign file as it is read."""
        if isinstance(self.batches, ForeignReadings):
            return iter(Watched(self.batches, self.rows, progress))
        lake = Watched(self.batches, self.rows, progress, LOOKING)
        seen = looked(self.points, lake)
        again = self.batches if seen.batches is lake else seen.batches
        return replace(seen, batches=Watched(again, self.rows, progress, JUDGING))

    def series(self, points: Sequence[int]) -> list[Series]:
        """Name, times and values of points."""
        kept = [batch.take(np.isin(batch.point, points)) for batch in self.batches]
        made = []
        for point in points:
            rows = Readings.concat([part.take(part.point == point) for part in kept])
            order = np.argsort(rows.ts, kind="stable")
            device = self.points.device_of(point)
            quantity = self.points.quantities[self.points.point_quantity[point]]
            made.append((f"{device}/{quantity}", rows.ts[order], rows.value[order]))
        return made


def past(
    config: Path,
    data: Path | Sequence[Path] | None,
    registry: Path | None,
    start: str | None,
    end: str | None,
    timezone: str | None,
    progress: Progress | None,
) -> Past:
    """The lake of a site, or the files ``data`` with their ``registry``; times of receipt from ``start`` to ``end``.

    Raises:
        ConfigurationError: times or files are wrong, or there is no such site.
    """
    from_ms, to_ms = parse_time(start, "--from"), parse_time(end, "--to")
    if from_ms is not None and to_ms is not None and to_ms <= from_ms:
        remedy = "give a later --to, or leave it out (请给出更晚的 --to，或省略此项)"
        raise ConfigurationError([Problem("command line", "--to", f"{end} is not after --from {start}", remedy)])
    _known_zone(timezone)
    if data is not None:
        if registry is None:
            remedy = "give --registry FILE: which points the data speaks of"
            raise ConfigurationError([Problem("command line", "--registry", "is missing beside --data", remedy)])
        points, readings = foreign_history(data, registry, from_ms, to_ms, progress=progress)
        return Past(points, readings, readings.rows, readings.span, timezone or "UTC")
    if not config.exists():
        remedy = "over the lake of a site: -c FILE; over files of others: --data FILE --registry FILE"
        raise ConfigurationError([Problem(str(config), "file", "does not exist", remedy)])
    site = load_site(config)
    points, stored = lake_history(site.data, from_ms, to_ms)
    zone = timezone or site.config.site.timezone
    return Past(points, stored, stored.rows, stored.span, zone, past_spans(site))


def _known_zone(timezone: str | None) -> None:
    if timezone is None:
        return
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        problem = Problem("command line", "--timezone", f"{timezone!r} is no time zone", "e.g. Asia/Shanghai or UTC")
        raise ConfigurationError([problem]) from error


@dataclass(frozen=True)
class Watched:
    """Batches; progress is told after each, and in the end how many readings there really were."""

    batches: Iterable[Readings]
    rows: int
    """How many readings there are at most."""
    progress: Progress | None
    what: str = READINGS

    def __iter__(self) -> Iterator[Readings]:
        """The batches, each time anew."""
        return self._told(self.batches)

    @property
    def piece_rows(self) -> float:
        """Rows of what is read at once."""
        return self.batches.piece_rows if isinstance(self.batches, Uncut) else 0.0

    def uncut(self) -> Iterator[Readings]:
        """Their rows as they are read (``rules.backtest.Uncut``)."""
        assert isinstance(self.batches, Uncut)
        return self._told(self.batches.uncut())

    def _told(self, batches: Iterable[Readings]) -> Iterator[Readings]:
        done, tell = 0, self.progress
        for batch in batches:
            yield batch
            done += len(batch)
            if tell is not None:
                tell(self.what, done, max(done, self.rows))
        if tell is not None:
            tell(self.what, done, done)
