"""History from elsewhere as the log would have told it: registry and readings of foreign files.

A file is read in pieces each time somebody walks through it, and never held: what it takes is one piece and its times.
The rows of one that is not in the order of time are set aside on disk by windows of time, and put in order window by
window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
import pyarrow as pa

from lifeline.app.foreign_files import is_nameless, scan_frame
from lifeline.app.foreign_times import epoch_ms
from lifeline.app.foreign_values import Values, quality_of
from lifeline.app.spool import Spool
from lifeline.core.batch import Readings
from lifeline.core.errors import ConfigurationError, Problem
from lifeline.core.registry import Registry
from lifeline.core.schema import POINTS
from lifeline.registry import read_points
from rules.backtest import in_log_order
from rules.conditions import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

BATCH_ROWS: Final = 250_000
LONG: Final = ("ts", "device_id", "quantity", "value")
WINDOW_PIECES: Final = 4
"""What is put in order at once: a million readings, 34 MB and as much to sort them."""
WINDOWS_MAX: Final = 256
"""Open files at most."""
SAMPLE: Final = 1 << 16
"""Times that tell where windows begin."""
LACKING_MAX: Final = 2
"""Of the columns of a long file; one that lacks more is a wide one."""
NAMED_MAX: Final = 8
"""Columns of a file that a message names."""
NEVER: Final = np.iinfo(np.int64).min
"""The time of a row that tells none."""


def foreign_history(
    data: Path, registry: Path, from_ms: int | None, to_ms: int | None, piece: int = BATCH_ROWS
) -> tuple[Registry, ForeignReadings]:
    """Registry and readings of foreign files; a reading counts as received at its event time.

    ``data`` is Parquet or CSV, long (``ts, device_id, quantity, value[, quality]``) or wide (``ts`` and one column per
    ``device_id/quantity``). ``piece``: readings that are read at once.

    Raises:
        ConfigurationError: a file or a column cannot be understood, or the registry lacks a point of the data. What is
            wrong with a value or a point far down a long file is said when that piece is read.
    """
    listed = _grouped(read_points(registry, foreign=True))
    points = listed.add_column(0, POINTS.field("point"), pa.array(range(listed.num_rows), pa.int32()))
    return Registry(points.select(POINTS.names).cast(POINTS)), ForeignReadings(
        data, points, registry, from_ms, to_ms, piece
    )


class ForeignReadings:
    """Batches of readings in the order of receipt; may be walked through again and again."""

    def __init__(
        self, path: Path, points: pa.Table, registry: Path, from_ms: int | None, to_ms: int | None, piece: int
    ) -> None:
        """Opens the file: its columns and times are checked, its values are not read yet.

        Raises:
            ConfigurationError: as ``foreign_history``.
        """
        self._path, self._registry, self._piece = path, registry, piece
        keys = pl.from_arrow(points.select(["point", "device_id", "quantity"]))
        assert isinstance(keys, pl.DataFrame)
        self._keys = keys
        self._scan = scan_frame(path, "--data")
        self._long = set(LONG) <= set(self._scan.names)
        self._skipped: list[str] = []
        """What is said of columns that are no points."""
        self._wide: dict[str, int] = {} if self._long else self._columns()
        self._ts = self._times(from_ms, to_ms)
        """Time of each row of the file, ``NEVER`` for those that are not asked for."""
        told = self._ts[self._ts != NEVER]
        self.rows = len(told) * (1 if self._long else len(self._wide))
        """How many readings there are at most."""
        self.span = (int(told.min()), int(told.max())) if self.rows else None
        """First and last time of receipt, epoch ms."""
        self.in_order = bool((np.diff(told) >= 0).all())
        """Whether nothing is set aside."""
        self.doubts: list[str] = []
        """What was left out, known when the file was read to its end."""

    def __iter__(self) -> Iterator[Readings]:
        """Batches of a bounded size.

        Raises:
            ConfigurationError: a point is not in the registry, or a column has values but no number.
        """
        if not self.rows:
            return
        if not self.in_order:
            for window in self._windows():
                yield from batched(in_log_order(window.whole()))
            return
        held = Readings.empty()
        for rows, last in self._pieces():
            known = in_log_order(Readings.concat([held, rows]))
            if not len(known):
                continue
            # what is told of one moment may go on in the next piece
            cut = len(known) if last else int(np.searchsorted(known.received_at, known.received_at[-1]))
            yield from batched(known.take(slice(0, cut)))
            held = known.take(slice(cut, None))

    def _windows(self) -> list[Spool]:
        """The rows by windows of time, one after another, of about WINDOW_PIECES pieces each."""
        told = self._ts[self._ts != NEVER]
        wanted = min(WINDOWS_MAX, 1 + self.rows // (WINDOW_PIECES * self._piece))
        sample = np.sort(told[:: 1 + len(told) // SAMPLE])
        bounds = sample[np.arange(1, wanted) * len(sample) // wanted]
        windows = [Spool() for _ in range(wanted)]
        for rows, _ in self._pieces():
            window = np.searchsorted(bounds, rows.received_at, side="right")
            order = np.argsort(window, kind="stable")
            ends = np.cumsum(np.bincount(window, minlength=wanted))
            for one, start, end in zip(windows, np.append(0, ends), ends, strict=False):
                if end > start:
                    one.append(rows.take(order[start:end]))
        return windows

    def _pieces(self) -> Iterator[tuple[Readings, bool]]:
        """Rows of the file as readings, and whether they are the last; what was no number at all is told at the end."""
        at, doubts = 0, Values(self._path, commas=self._scan.separator == ";")
        told = self._of_long if self._long else self._of_wide
        # a line with too many fields is seen only if all of them are read
        whole = self._long or self._scan.separator is not None
        names = None if whole else ["ts", *self._wide]
        for frame in self._scan.batches(max(1, self._piece // max(1, len(self._wide))), names):
            ts = self._ts[at : at + frame.height]
            if self._timeless:  # empty lines are no rows
                others = frame.select(pl.any_horizontal(pl.exclude("ts").is_not_null())).to_series()
                doubts.leave_out(_without_time(frame["ts"]) & others, "have no time", "无时间", at)
            rows = told(frame, at, ts, doubts)
            doubts.check(ended=False)
            yield rows, False
            at += frame.height
        doubts.check(ended=True)
        self.doubts = self._skipped + doubts.said
        yield Readings.empty(), True

    def _of_long(self, frame: pl.DataFrame, at: int, ts: NDArray[np.int64], doubts: Values) -> Readings:
        names = frame.select(pl.col("device_id", "quantity").cast(pl.String))
        nameless = names.select(pl.any_horizontal(pl.all().is_null())).to_series() & pl.Series(ts != NEVER)
        doubts.leave_out(nameless, "name no device or no quantity", "未写设备或指标", at)
        keep = (ts != NEVER) & ~nameless.to_numpy()
        point = names.join(self._keys, on=["device_id", "quantity"], how="left", maintain_order="left")["point"]
        unknown = names.filter(point.is_null() & pl.Series(keep)).unique(maintain_order=True).rows()
        self._known(unknown)
        rows = Readings.empty(int(keep.sum()))
        rows.point[:] = point.fill_null(0).to_numpy()[keep]
        rows.ts[:] = rows.received_at[:] = ts[keep]
        rows.value[:] = doubts.numbers(frame["value"], at).to_numpy()[keep]
        if "quality" in frame.columns:
            rows.quality[:] = quality_of(frame["quality"], self._path, at)[keep]
        return rows

    def _of_wide(self, frame: pl.DataFrame, at: int, ts: NDArray[np.int64], doubts: Values) -> Readings:
        keep = ts != NEVER
        values = np.column_stack([doubts.numbers(frame[name], at).to_numpy() for name in self._wide])
        chosen = keep[:, None] & ~np.isnan(values)
        row, column = np.nonzero(chosen)
        rows = Readings.empty(len(row))
        rows.point[:] = np.fromiter(self._wide.values(), np.int32, len(self._wide))[column]
        rows.ts[:] = rows.received_at[:] = ts[row]
        rows.value[:] = values[row, column]
        return rows

    def _columns(self) -> dict[str, int]:
        """Points of a wide file's columns; one without a value need not be in the registry."""
        self._has_ts()
        wide = [name for name in self._scan.names if name != "ts"]
        wrong = [name for name in wide if not all(name.rpartition("/")[::2])]
        if wrong:
            self._no_points(wrong, all_of=len(wrong) == len(wide))
            wide = [name for name in wide if name not in wrong]
        if not wide:
            raise ConfigurationError([Problem(str(self._path), "columns", "there is none but ts", "see docs/rules.md")])
        number = {(device, quantity): point for point, device, quantity in self._keys.iter_rows()}
        named = {name: (name.rpartition("/")[0], name.rpartition("/")[2]) for name in wide}
        strange = [name for name in wide if named[name] not in number]
        told = self._scan.told(strange)
        self._known([named[name] for name in strange if told[name][1]])
        self._skip({name: values for name, (values, _) in told.items() if values})
        return {name: number[named[name]] for name in wide if named[name] in number}

    def _no_points(self, wrong: list[str], *, all_of: bool) -> None:
        """Refuse columns that are not device_id/quantity, but for a remark or two beside those that are."""
        remedy = "long: ts, device_id, quantity, value; wide: ts and one column per device_id/quantity"
        lacks = [name for name in LONG if name not in self._scan.names]
        if len(lacks) <= LACKING_MAX:  # a long file of which one name or two are others
            others = [name for name in self._scan.names if name not in LONG]
            problems = [
                Problem(str(self._path), name, f"column is missing: {nearest(name, others)}", remedy) for name in lacks
            ]
            raise ConfigurationError(problems)
        told = self._scan.told(wrong)
        bad = wrong if all_of else [name for name in wrong if told[name][1]]
        bad = [name for name in bad if not is_nameless(name)] if not all_of else bad
        if bad:
            raise ConfigurationError([Problem(str(self._path), bad[0], "is not device_id/quantity", remedy)])
        self._skip({name: values for name, (values, _) in told.items() if values and not is_nameless(name)})

    def _skip(self, columns: Mapping[str, int]) -> None:
        """Say of columns of text that no point is behind them."""
        self._skipped += [
            f"{self._path}: {name}: no point of the registry, and none of its {values} values is a number: the column "
            "was left out (非测点，且无数值，整列已略去)"
            for name, values in columns.items()
        ]

    def _has_ts(self) -> None:
        if "ts" not in self._scan.names:
            there = ", ".join(self._scan.names[:NAMED_MAX]) or "none"
            message = f"is missing; the file's columns: {there}"
            raise ConfigurationError([Problem(str(self._path), "ts", message, "name the column of event times ts")])

    def _times(self, from_ms: int | None, to_ms: int | None) -> NDArray[np.int64]:
        self._has_ts()
        told = epoch_ms(self._scan.column("ts"), self._path)
        self._timeless = bool(told.null_count())
        ts: NDArray[np.int64] = told.fill_null(NEVER).to_numpy()
        outside = np.zeros(len(ts), bool)
        if from_ms is not None:
            outside |= ts < from_ms
        if to_ms is not None:
            outside |= ts >= to_ms
        return np.where(outside, NEVER, ts) if outside.any() else ts

    def _known(self, unknown: list[tuple[str, ...]]) -> None:
        """Refuse points that the registry does not list."""
        if unknown:
            named = ", ".join(f"{device}/{quantity}" for device, quantity in unknown[:5])
            message = f"{len(unknown)} are not in the registry: {named}"
            raise ConfigurationError([Problem(str(self._path), "points", message, self._called(unknown[0]))])

    def _called(self, unknown: tuple[str, ...]) -> str:
        """What to do about a point that the registry does not list: ``CH4 (ppm)`` may stand there as ``ch4_ppm``."""
        there = {_plain(point): point for point in self._keys.select("device_id", "quantity").iter_rows()}
        alike = there.get(_plain(unknown))
        if alike is None:
            return f"add them to {self._registry}"
        return f"{self._registry} has {'/'.join(alike)}: call {'/'.join(unknown)} alike in both"


def _plain(point: tuple[str, ...]) -> tuple[str, ...]:
    """Letters and digits of a point's names."""
    return tuple("".join(filter(str.isalnum, name.casefold())) for name in point)


def _grouped(points: pa.Table) -> pa.Table:
    """The points, those of one kind taken for one group where the registry names no group at all.

    A device of several quantities is a group by itself (``rules.groups``); but where every sensor is a device of its
    own, nothing else says that they stand in one plant.
    """
    if points["group"].null_count < len(points):
        return points
    frame = pl.from_arrow(points.select(["device_id", "kind", "group"]))
    assert isinstance(frame, pl.DataFrame)
    alone = pl.len().over("device_id") == 1
    group = frame.select(pl.when(alone).then("kind").otherwise("group").cast(pl.String).alias("group"))["group"]
    place = points.column_names.index("group")
    return points.set_column(place, POINTS.field("group"), group.to_arrow().cast(pa.string()))


def _without_time(times: pl.Series) -> pl.Series:
    if times.dtype == pl.String:
        return times.is_null() | times.str.to_lowercase().is_in(["nan"])
    return times.is_null() | (times.is_nan() if times.dtype.is_float() else False)


def batched(readings: Readings) -> Iterator[Readings]:
    """Slices of about a size; what was received at one instant stays together, for its order is not known."""
    start, received = 0, readings.received_at
    while start < len(readings):
        last = received[min(start + BATCH_ROWS, len(readings)) - 1]
        stop = start + int(np.searchsorted(received[start:], last, side="right"))
        yield readings.take(slice(start, stop))
        start = stop
