"""History as the log would have told it: readings in order of receipt, from the lake or from foreign files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
import pyarrow as pa

from lifeline.core.batch import Readings
from lifeline.core.errors import ConfigurationError, Problem
from lifeline.core.registry import Registry
from lifeline.core.schema import POINTS
from lifeline.registry import read_points
from rules.backtest import in_log_order

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import duckdb

BATCH_ROWS: Final = 250_000
LONG: Final = ("ts", "device_id", "quantity", "value")


def lake_history(
    db: duckdb.DuckDBPyConnection, from_ms: int | None, to_ms: int | None
) -> tuple[Registry, Iterator[Readings]]:
    """Registry and readings of a published catalog, ``from_ms`` ≤ received_at < ``to_ms``."""
    points = db.sql("SELECT * FROM points ORDER BY point").to_arrow_table().select(POINTS.names).cast(POINTS)
    where = " AND ".join(
        ["true"]
        + ([] if from_ms is None else [f"received_at >= epoch_ms({from_ms})::TIMESTAMPTZ"])
        + ([] if to_ms is None else [f"received_at < epoch_ms({to_ms})::TIMESTAMPTZ"])
    )
    query = (
        "SELECT point, epoch_ms(ts) AS ts, epoch_ms(received_at) AS received_at, value, seq, quality, flags "
        "FROM readings_raw WHERE "
    )
    table = db.sql(query + where).to_arrow_table()

    def column(name: str, kind: Any, missing: float = 0) -> np.ndarray[Any, Any]:
        values = table[name].combine_chunks().fill_null(missing).to_numpy(zero_copy_only=False)
        return np.ascontiguousarray(values, kind)

    readings = Readings(
        point=column("point", np.int32),
        ts=column("ts", np.int64),
        received_at=column("received_at", np.int64),
        value=column("value", np.float64, np.nan),
        seq=column("seq", np.uint32),
        quality=column("quality", np.uint8),
        flags=column("flags", np.uint8),
    )
    return Registry(points), batched(in_log_order(readings))


def foreign_history(
    data: Path, registry: Path, from_ms: int | None, to_ms: int | None
) -> tuple[Registry, Iterator[Readings]]:
    """Registry and readings of foreign files; a reading counts as received at its event time.

    ``data`` is Parquet or CSV, long (``ts, device_id, quantity, value[, quality]``) or wide (``ts`` and one column per
    ``device_id/quantity``).

    Raises:
        ConfigurationError: a file or a column cannot be understood, or the registry lacks a point of the data.
    """
    listed = read_points(registry)
    points = listed.add_column(0, POINTS.field("point"), pa.array(range(listed.num_rows), pa.int32()))
    frame = _long(_read(data), data)
    keys = pl.from_arrow(points.select(["point", "device_id", "quantity"]))
    assert isinstance(keys, pl.DataFrame)
    joined = frame.join(keys, on=["device_id", "quantity"], how="left")
    unknown = joined.filter(pl.col("point").is_null()).select("device_id", "quantity").unique()
    if unknown.height:
        named = ", ".join(f"{d}/{q}" for d, q in unknown.head(5).iter_rows())
        remedy = f"add them to {registry}"
        raise ConfigurationError(
            [Problem(str(data), "points", f"{unknown.height} are not in the registry: {named}", remedy)]
        )
    ts = joined["ts"].to_numpy()
    keep = np.full(len(ts), fill_value=True)
    if from_ms is not None:
        keep &= ts >= from_ms
    if to_ms is not None:
        keep &= ts < to_ms
    rows = Readings.empty(int(keep.sum()))
    rows.point[:] = joined["point"].to_numpy()[keep]
    rows.ts[:] = rows.received_at[:] = ts[keep]
    rows.value[:] = joined["value"].cast(pl.Float64).fill_null(np.nan).to_numpy()[keep]
    if "quality" in joined.columns:
        rows.quality[:] = joined["quality"].fill_null(0).to_numpy()[keep]
    return Registry(points.select(POINTS.names).cast(POINTS)), batched(in_log_order(rows))


def batched(readings: Readings) -> Iterator[Readings]:
    """Slices of a bounded size."""
    for start in range(0, len(readings), BATCH_ROWS):
        yield readings.take(slice(start, start + BATCH_ROWS))


def _read(path: Path) -> pl.DataFrame:
    try:
        return pl.read_csv(path, try_parse_dates=True) if path.suffix == ".csv" else pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ConfigurationError(
            [Problem(str(path), "--data", f"cannot be read: {error}", "Parquet or CSV")]
        ) from error


def _long(frame: pl.DataFrame, path: Path) -> pl.DataFrame:
    if "ts" not in frame.columns:
        raise ConfigurationError([Problem(str(path), "ts", "is missing", "name the column of event times ts")])
    if not set(LONG) <= set(frame.columns):
        wide = [name for name in frame.columns if name != "ts"]
        wrong = [name for name in wide if name.count("/") != 1]
        if wrong:
            remedy = "long: ts, device_id, quantity, value; wide: ts and one column per device_id/quantity"
            raise ConfigurationError([Problem(str(path), wrong[0], "is not device_id/quantity", remedy)])
        frame = (
            frame.unpivot(wide, index="ts", variable_name="name", value_name="value")
            .with_columns(pl.col("name").str.split_exact("/", 1).struct.rename_fields(["device_id", "quantity"]))
            .unnest("name")
            .drop_nulls("value")
        )
    kind = frame.schema["ts"]
    if kind.is_numeric():
        return frame.with_columns(pl.col("ts").cast(pl.Int64))
    if not kind.is_temporal():
        remedy = "epoch milliseconds, ISO 8601, or a timestamp column"
        raise ConfigurationError([Problem(str(path), "ts", f"holds {kind}, not times", remedy)])
    return frame.with_columns(pl.col("ts").cast(pl.Datetime("ms")).dt.epoch("ms"))
