"""History as the log would have told it: readings in order of receipt, from the lake or from foreign files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
import pyarrow as pa

from lifeline.app.foreign_files import epoch_ms, numbers, read_frame
from lifeline.core.batch import Readings
from lifeline.core.errors import ConfigurationError, Problem
from lifeline.core.registry import Registry
from lifeline.core.schema import AREAS, POINTS
from lifeline.registry import read_points
from rules.backtest import in_log_order

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import duckdb
    from numpy.typing import NDArray

BATCH_ROWS: Final = 250_000
LONG: Final = ("ts", "device_id", "quantity", "value")


def lake_history(
    db: duckdb.DuckDBPyConnection, from_ms: int | None, to_ms: int | None
) -> tuple[Registry, Iterator[Readings]]:
    """Registry (with its areas) and readings of a published catalog, ``from_ms`` ≤ received_at < ``to_ms``."""
    points = db.sql("SELECT * FROM points").to_arrow_table().select(POINTS.names).cast(POINTS)
    if (np.diff(points["point"].to_numpy()) < 0).any():  # published in order: sorting them all again costs seconds
        points = points.sort_by("point")
    where = " AND ".join(
        ["true"]
        + ([] if from_ms is None else [f"received_at >= epoch_ms({from_ms})::TIMESTAMPTZ"])
        + ([] if to_ms is None else [f"received_at < epoch_ms({to_ms})::TIMESTAMPTZ"])
    )
    query = "SELECT point, ts, received_at, value, seq, quality, flags FROM readings_raw WHERE "
    table = db.sql(query + where).to_arrow_table()

    readings = Readings(
        point=_column(table["point"], np.int32),
        ts=_times(table["ts"]),
        received_at=_times(table["received_at"]),
        value=_column(table["value"], np.float64, np.nan),
        seq=_column(table["seq"], np.uint32),
        quality=_column(table["quality"], np.uint8),
        flags=_column(table["flags"], np.uint8),
    )
    del table
    areas = db.sql("SELECT * FROM areas").to_arrow_table().select(AREAS.names).cast(AREAS)
    return Registry(points, areas), batched(in_log_order(readings))


def _column(column: pa.ChunkedArray, kind: Any, missing: float = 0) -> NDArray[Any]:
    """Numbers in one piece, each copied once."""
    made, at = np.empty(len(column), kind), 0
    for chunk in column.chunks:
        known = chunk.fill_null(missing) if chunk.null_count else chunk
        made[at : at + len(chunk)] = known.to_numpy(zero_copy_only=True)
        at += len(chunk)
    return made


def _times(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Epoch ms of DuckDB's microseconds; by numpy, in a third of the time that Arrow's cast takes."""
    assert column.type.unit == "us", column.type
    made = _column(pa.chunked_array([chunk.view(pa.int64()) for chunk in column.chunks], pa.int64()), np.int64)
    made //= 1000
    return made


def foreign_history(
    data: Path, registry: Path, from_ms: int | None, to_ms: int | None
) -> tuple[Registry, Iterator[Readings]]:
    """Registry and readings of foreign files; a reading counts as received at its event time.

    ``data`` is Parquet or CSV, long (``ts, device_id, quantity, value[, quality]``) or wide (``ts`` and one column per
    ``device_id/quantity``).

    Raises:
        ConfigurationError: a file or a column cannot be understood, or the registry lacks a point of the data.
    """
    listed = _grouped(read_points(registry, foreign=True))
    points = listed.add_column(0, POINTS.field("point"), pa.array(range(listed.num_rows), pa.int32()))
    keys = pl.from_arrow(points.select(["point", "device_id", "quantity"]))
    assert isinstance(keys, pl.DataFrame)
    joined = _of_points(read_frame(data, "--data"), data, keys, registry)
    ts = joined["ts"].to_numpy()
    keep = np.full(len(ts), fill_value=True)
    if from_ms is not None:
        keep &= ts >= from_ms
    if to_ms is not None:
        keep &= ts < to_ms
    rows = Readings.empty(int(keep.sum()))
    rows.point[:] = joined["point"].to_numpy()[keep]
    rows.ts[:] = rows.received_at[:] = ts[keep]
    rows.value[:] = joined["value"].fill_null(np.nan).to_numpy()[keep]
    if "quality" in joined.columns:
        rows.quality[:] = _quality(joined["quality"], data)[keep]
    return Registry(points.select(POINTS.names).cast(POINTS)), batched(in_log_order(rows))


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


def batched(readings: Readings) -> Iterator[Readings]:
    """Slices of a bounded size."""
    for start in range(0, len(readings), BATCH_ROWS):
        yield readings.take(slice(start, start + BATCH_ROWS))


def _of_points(frame: pl.DataFrame, path: Path, keys: pl.DataFrame, registry: Path) -> pl.DataFrame:
    """``ts`` (epoch ms), point, value[, quality]; ``keys`` are the registry's point, device_id and quantity."""
    if "ts" not in frame.columns:
        raise ConfigurationError([Problem(str(path), "ts", "is missing", "name the column of event times ts")])
    frame = frame.with_columns(epoch_ms(frame["ts"], path)).drop_nulls("ts")
    if set(LONG) <= set(frame.columns):
        frame = frame.with_columns(pl.col("device_id", "quantity").cast(pl.String), numbers(frame["value"], path))
        joined = frame.join(keys, on=["device_id", "quantity"], how="left")
        unknown = joined.filter(pl.col("point").is_null()).select("device_id", "quantity").unique().rows()
        _known(unknown, path, registry)
        return joined
    wide = [name for name in frame.columns if name != "ts"]
    wrong = [name for name in wide if not all(name.rpartition("/")[::2])]
    if wrong:
        remedy = "long: ts, device_id, quantity, value; wide: ts and one column per device_id/quantity"
        raise ConfigurationError([Problem(str(path), wrong[0], "is not device_id/quantity", remedy)])
    if not wide:
        raise ConfigurationError([Problem(str(path), "columns", "there is none but ts", "see docs/rules.md")])
    number = {(device, quantity): point for point, device, quantity in keys.iter_rows()}
    place = {name: (name.rpartition("/")[0], name.rpartition("/")[2]) for name in wide}
    _known([place[name] for name in wide if place[name] not in number and frame[name].count()], path, registry)
    if not any(place[name] in number for name in wide):
        return pl.DataFrame(schema={"ts": pl.Int64, "point": pl.Int32, "value": pl.Float64})
    # names would weigh more than values: each column is its point's number at once
    return pl.concat(
        frame.select("ts", point=pl.lit(number[place[name]], pl.Int32), value=numbers(frame[name], path)).drop_nulls(
            "value"
        )
        for name in wide
        if place[name] in number
    )


def _known(unknown: list[tuple[str, ...]], path: Path, registry: Path) -> None:
    """Refuse points that the registry does not list."""
    if unknown:
        named = ", ".join(f"{device}/{quantity}" for device, quantity in unknown[:5])
        remedy = f"add them to {registry}"
        raise ConfigurationError(
            [Problem(str(path), "points", f"{len(unknown)} are not in the registry: {named}", remedy)]
        )


def _quality(quality: pl.Series, path: Path) -> NDArray[np.uint8]:
    """0 good, 1 uncertain, 2 bad; nothing means good."""
    found = quality.cast(pl.Int64, strict=False).fill_null(0)
    if not found.is_between(0, 2).all():
        remedy = "0 good, 1 uncertain, 2 bad; leave it empty when unknown"
        raise ConfigurationError([Problem(str(path), "quality", "has values other than 0, 1 and 2", remedy)])
    return found.cast(pl.UInt8).to_numpy()
