"""One file of history from elsewhere: its columns as points, its times, and its rows as readings, piece by piece."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from lifeline.app.foreign_files import is_cut, is_nameless, scan_frame, short_lines
from lifeline.app.foreign_times import epoch_ms
from lifeline.app.foreign_values import Values, quality_of
from lifeline.core.batch import Readings
from lifeline.core.errors import ConfigurationError, Problem
from rules.conditions import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

LONG: Final = ("ts", "device_id", "quantity", "value")
LACKING_MAX: Final = 2
"""Of the columns of a long file; one that lacks more is a wide one."""
NAMED_MAX: Final = 8
"""Columns of a file that a message names."""
NEVER: Final = np.iinfo(np.int64).min
"""The time of a row that tells none."""


class ForeignFile:
    """The readings of one file in its own order; may be walked through again and again."""

    def __init__(self, path: Path, keys: pl.DataFrame, registry: Path, from_ms: int | None, to_ms: int | None) -> None:
        """Opens the file: its columns and times are checked, its values are not read yet.

        ``keys``: ``point, device_id, quantity`` of the points there are, which ``registry`` lists.

        Raises:
            ConfigurationError: it cannot be understood, or the registry lacks a point of a column.
        """
        self.path = path
        self._registry, self._keys = registry, keys
        self._scan = scan_frame(path, "--data")
        self._long = set(LONG) <= set(self._scan.names)
        self._skipped: list[str] = []
        """What is said of columns that are no points."""
        self._wide: dict[str, int] = {} if self._long else self._columns()
        self._ts = self._times(from_ms, to_ms)
        """Time of each row of the file, ``NEVER`` for those that are not asked for."""
        self.times = self._ts[self._ts != NEVER]
        """Of the rows that are asked for, epoch ms."""
        self.rows = len(self.times) * (1 if self._long else len(self._wide))
        """How many readings there are at most."""
        self.in_order = bool((np.diff(self.times) >= 0).all())
        self._cut: list[str] | None = None
        """What is said of lines with too few fields; looked at once, when a row may be such a line."""
        self.doubts: list[str] = []
        """What was left out, known when the file was read to its end."""
        if self._timeless and self._timeless == len(self._ts):
            self.doubts = [f"{path}: none of its {len(self._ts)} rows has a time (所有行均无时间)"]

    def pieces(self, readings: int) -> Iterator[Readings]:
        """Its readings, about so many at once.

        Raises:
            ConfigurationError: a point is not in the registry, or a column has values but no number.
        """
        at, doubts = 0, Values(self.path, commas=self._scan.separator in {";", "\t"})
        told = self._of_long if self._long else self._of_wide
        # a line with too many fields is seen only if all of them are read
        whole = self._long or self._scan.separator is not None
        names = None if whole else ["ts", *self._wide]
        for frame in self._scan.batches(max(1, readings // max(1, len(self._wide))), names):
            ts = self._ts[at : at + frame.height]
            if self._timeless:  # empty lines are no rows
                others = frame.select(pl.any_horizontal(pl.exclude("ts").is_not_null())).to_series()
                doubts.leave_out(_without_time(frame["ts"]) & others, "have no time", "无时间", at)
            if self._cut is None and self._scan.separator is not None and is_cut(frame):
                self._cut = self._short()
            rows = told(frame, at, ts, doubts)
            doubts.check(ended=False)
            yield rows
            at += frame.height
        doubts.check(ended=True)
        self.doubts = self._skipped + (self._cut or []) + doubts.said

    def _short(self) -> list[str]:
        few = short_lines(self.path, self._scan.separator or ",")
        return (
            [f"{self.path}: {few}: fields that are not there were read as empty (缺少的字段按空值处理)"] if few else []
        )

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
            rows.quality[:] = quality_of(frame["quality"], self.path, at)[keep]
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
            raise ConfigurationError([Problem(str(self.path), "columns", "there is none but ts", "see docs/rules.md")])
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
                Problem(str(self.path), name, f"column is missing: {nearest(name, others)}", remedy) for name in lacks
            ]
            raise ConfigurationError(problems)
        told = self._scan.told(wrong)
        bad = wrong if all_of else [name for name in wrong if told[name][1]]
        bad = [name for name in bad if not is_nameless(name)] if not all_of else bad
        if bad:
            raise ConfigurationError([Problem(str(self.path), bad[0], "is not device_id/quantity", remedy)])
        self._skip({name: values for name, (values, _) in told.items() if values and not is_nameless(name)})

    def _skip(self, columns: Mapping[str, int]) -> None:
        """Say of columns of text that no point is behind them."""
        self._skipped += [
            f"{self.path}: {name}: no point of the registry, and none of its {values} values is a number: the column "
            "was left out (非测点，且无数值，整列已略去)"
            for name, values in columns.items()
        ]

    def _has_ts(self) -> None:
        if "ts" not in self._scan.names:
            there = ", ".join(self._scan.names[:NAMED_MAX]) or "none"
            message = f"is missing; the file's columns: {there}"
            raise ConfigurationError([Problem(str(self.path), "ts", message, "name the column of event times ts")])

    def _times(self, from_ms: int | None, to_ms: int | None) -> NDArray[np.int64]:
        self._has_ts()
        told = epoch_ms(self._scan.column("ts"), self.path)
        self._timeless = told.null_count()
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
            raise ConfigurationError([Problem(str(self.path), "points", message, self._called(unknown[0]))])

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


def _without_time(times: pl.Series) -> pl.Series:
    if times.dtype == pl.String:
        return times.is_null() | times.str.to_lowercase().is_in(["nan"])
    return times.is_null() | (times.is_nan() if times.dtype.is_float() else False)
