"""History as the log would have told it: readings of the lake in order of receipt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
import pyarrow as pa

from lifeline.core.batch import Readings
from lifeline.core.errors import UnavailableError
from lifeline.core.registry import Registry
from lifeline.core.schema import AREAS, LOG_READINGS, POINTS
from lifeline.lake.query import published_files
from rules.backtest import in_log_order, ordered

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BATCH_ROWS: Final = 250_000
TABLES: Final = (("points", POINTS), ("areas", AREAS))
_TIME: Final = pl.Datetime("ms", "UTC")
_READINGS: Final = {
    "point": pl.Int32,
    "ts": pl.Int64,
    "received_at": pl.Int64,
    "value": pl.Float64,
    "seq": pl.UInt32,
    "quality": pl.UInt8,
    "flags": pl.UInt8,
}


def lake_history(data_dir: Path, from_ms: int | None, to_ms: int | None) -> tuple[Registry, Iterator[Readings]]:
    """Registry (with its areas) and readings of the published lake of a site, ``from_ms`` ≤ received_at < ``to_ms``.

    Read from the files behind the published views: no query engine copies what Parquet decodes.

    Raises:
        ConfigurationError: nothing was published in this directory.
        UnavailableError: a file cannot be read.
    """
    files = published_files(data_dir)
    try:
        registry = Registry(*(_table(files.get(name, []), schema) for name, schema in TABLES))
        parts = list(_parts(_readings(files.get("readings", []), from_ms, to_ms)))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UnavailableError(f"{data_dir}: the lake cannot be read: {error}") from error
    if ordered(parts):
        return registry, _joined(parts)  # a lake that was not merged yet: files follow one another
    whole = Readings.concat(parts)
    del parts
    return registry, batched(in_log_order(whole))


def _table(files: list[str], schema: pa.Schema) -> pa.Table:
    """Points or areas, texts as dictionaries; points come in the order of their numbers."""
    if not files:
        return schema.empty_table()
    frame = pl.read_parquet(files, columns=schema.names, hive_partitioning=False)
    if "point" in schema.names and not frame["point"].is_sorted():
        frame = frame.sort("point")
    columns = [_coded(frame[f.name]) if pa.types.is_string(f.type) else _plain(frame[f.name], f.type) for f in schema]
    return pa.table(columns, pa.schema([f.with_type(c.type) for f, c in zip(schema, columns, strict=True)]))


def _plain(column: pl.Series, kind: pa.DataType) -> pa.Array:
    return column.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest()).cast(kind)


def _coded(texts: pl.Series) -> pa.DictionaryArray:
    """Texts as a dictionary in the order of first appearance.

    Most texts are those of the device, and its points follow one another: of each run one is looked up.
    """
    begins = texts.ne_missing(texts.shift()).to_numpy(writable=True)
    begins[:1] = True  # a first row that is null equals what is before it
    starts = np.flatnonzero(begins)
    coded = _plain(texts.gather(starts), pa.string()).dictionary_encode()
    rows = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(texts)))
    return pa.DictionaryArray.from_arrays(coded.indices.take(pa.array(rows)), coded.dictionary)


def _readings(files: list[str], from_ms: int | None, to_ms: int | None) -> pl.DataFrame:
    if not files:
        return pl.DataFrame(schema=_READINGS)
    found = pl.scan_parquet(files, hive_partitioning=False)
    if from_ms is not None:
        found = found.filter(pl.col("received_at") >= pl.lit(from_ms).cast(_TIME))
    if to_ms is not None:
        found = found.filter(pl.col("received_at") < pl.lit(to_ms).cast(_TIME))
    times = [pl.col(name).dt.cast_time_unit("ms").to_physical() for name in ("ts", "received_at")]
    narrow = [pl.col(name).fill_null(0).cast(_READINGS[name]) for name in ("point", "seq", "quality", "flags")]
    return found.select(*times, "value", *narrow).select(list(_READINGS)).collect()


def _parts(frame: pl.DataFrame) -> Iterator[Readings]:
    """Its rows in pieces as they lie in memory, each of a bounded size."""
    start = 0
    for rows in frame["ts"].chunk_lengths():
        for at in range(start, start + rows, BATCH_ROWS):
            piece = frame.slice(at, min(BATCH_ROWS, start + rows - at))
            yield Readings(*(piece[field.name].to_numpy() for field in LOG_READINGS))
        start += rows


def _joined(parts: list[Readings]) -> Iterator[Readings]:
    """The same rows in larger parts: judging costs by the part as well as by the row.

    What was received at one instant stays together.
    """
    held: list[Readings] = []
    for part in parts:
        if held and sum(map(len, held)) + len(part) > BATCH_ROWS:
            whole = Readings.concat(held)
            at = int(np.searchsorted(whole.received_at, part.received_at[0], side="left"))
            if at:
                yield whole.take(slice(0, at))
            held = [whole.take(slice(at, None))] if at < len(whole) else []
        held.append(part)
    if held:
        yield Readings.concat(held)


def batched(readings: Readings) -> Iterator[Readings]:
    """Slices of about a size; what was received at one instant stays together, for its order is not known."""
    start, received = 0, readings.received_at
    while start < len(readings):
        last = received[min(start + BATCH_ROWS, len(readings)) - 1]
        stop = start + int(np.searchsorted(received[start:], last, side="right"))
        yield readings.take(slice(start, stop))
        start = stop
