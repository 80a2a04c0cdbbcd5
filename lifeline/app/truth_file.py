"""Labelled truth of others: a row a fault, or a row a moment with its label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from lifeline.app.backtest_report import ENDLESS_MS
from lifeline.app.foreign_files import NAMES, as_numbers, place, read_frame
from lifeline.app.foreign_times import epoch_ms
from lifeline.core.errors import ConfigurationError, Problem
from lifeline.core.schema import TRUTH

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

LABELS: Final = ("ts", "label")
"""What a file with a row a moment has at least."""
NORMAL: Final = ("", "0", "0.0", "false", "no", "normal", "none", "ok", "nan", "null", "正常", "否", "无")
"""Labels of moments without a fault."""
FAULT: Final = "fault"
"""Kind of those that a label only says there are."""


def read_truth(path: Path) -> pa.Table:
    """The labels in the columns of ``TRUTH``, times in epoch ms; a fault without an end is still going on.

    A file with ``ts`` and ``label`` (perhaps ``device_id``, ``quantity``) in place of ``start`` and ``end`` has a row a
    moment: what lies together under one label is a fault, from its first moment to the next one without.

    Raises:
        ConfigurationError: a column is missing, or a row says what cannot be.
    """
    frame = read_frame(path, "--truth")
    names = [pl.col(name).cast(pl.String).str.strip_chars() for name in NAMES if name in frame.columns]
    frame = frame.with_columns(pl.when(name != "").then(name) for name in names)  # an empty one is none
    frame = frame.filter(~pl.all_horizontal(pl.all().is_null()))  # empty lines
    if set(LABELS) <= set(frame.columns) and not {"start", "end"} & set(frame.columns):
        frame = _spells(frame.with_columns(epoch_ms(frame["ts"], path)))
    for name in ("start", "end"):
        if name in frame.columns:
            frame = frame.with_columns(epoch_ms(frame[name], path))
    _check(frame, path)
    return frame.with_columns(pl.col("end").fill_null(ENDLESS_MS)).to_arrow()


def _check(frame: pl.DataFrame, path: Path) -> None:
    absent = [name for name in TRUTH.names if name not in frame.columns]
    if absent:
        remedy = (
            f"a truth file has {', '.join(TRUTH.names)} (an empty device or quantity is anywhere), or a row a moment: "
            "ts, label"
        )
        message = "column is missing" if len(absent) == 1 else "columns are missing"
        raise ConfigurationError([Problem(str(path), ", ".join(absent), message, remedy)])
    missing = [name for name in ("fault_id", "kind", "start") if frame[name].null_count()]
    if missing:
        problems = [
            Problem(str(path), name, "is empty in a row", "every fault has an id, a kind, a start") for name in missing
        ]
        raise ConfigurationError(problems)
    turned = frame["end"] < frame["start"]
    row = turned.arg_max()
    if row is not None and turned.any():
        told = f"{place(path, row)}: {frame['fault_id'][row]!r} ends before it starts"
        raise ConfigurationError([Problem(str(path), "end", told, "exchange start and end")])


def _spells(frame: pl.DataFrame) -> pl.DataFrame:
    """Faults of a frame with a row a moment; the last one of the file goes on for as long as moments usually do."""
    points = [name for name in ("device_id", "quantity") if name in frame.columns]
    text = frame["label"].cast(pl.String).str.strip_chars().fill_null("")
    number = as_numbers(frame["label"])
    quiet = text.str.to_lowercase().is_in(NORMAL) | (number.fill_null(1) <= 0)
    kind = pl.select(pl.when(quiet).then(None).when(number.is_null()).then(text).otherwise(pl.lit(FAULT))).to_series()
    told = frame.with_columns(kind.alias("kind")).drop_nulls("ts").sort([*points, "ts"], maintain_order=True)
    step = told["ts"].unique().sort().diff().median() or 1
    following = pl.col("ts").shift(-1).over(points) if points else pl.col("ts").shift(-1)
    changed = pl.struct([*points, "kind"])
    told = told.with_columns(
        run=(changed != changed.shift(1)).fill_null(value=True).cum_sum(),
        next=following.fill_null(pl.col("ts") + step),
    )
    spells = told.drop_nulls("kind").group_by("run", maintain_order=True)
    firsts = [pl.col(name).first() for name in ("kind", *points)]
    made = spells.agg(*firsts, start=pl.col("ts").first(), end=pl.col("next").last())
    absent = [pl.lit(None, pl.String).alias(name) for name in ("device_id", "quantity") if name not in points]
    return made.with_columns(pl.int_range(1, pl.len() + 1).cast(pl.String).alias("fault_id"), *absent).drop("run")
