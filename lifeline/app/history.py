"""History as the log would have told it: registry and readings of the published lake of a site."""

from __future__ import annotations

import resource
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lifeline.app.lake_readings import LakeReadings, readable
from lifeline.core.registry import NEEDED, Registry
from lifeline.core.schema import AREAS, POINTS
from lifeline.lake.points import read_mapped
from lifeline.lake.query import published_files

if TYPE_CHECKING:
    from collections.abc import Sequence

TEXTS: Final = [field.name for field in POINTS if pa.types.is_string(field.type)]


def lake_history(data_dir: Path, from_ms: int | None, to_ms: int | None) -> tuple[Registry, LakeReadings]:
    """Registry (with its areas) and readings of the published lake of a site, ``from_ms`` ≤ received_at < ``to_ms``.

    Read from the files behind the published views: no query engine copies what Parquet decodes. Of the points, columns
    that nobody asks for are not read either.

    Raises:
        ConfigurationError: nothing was published in this directory.
        UnavailableError: a file cannot be read.
    """
    files = published_files(data_dir)
    with suppress(OSError, ValueError):  # all are kept open; more than a thousand are many years
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with readable(data_dir):
        registry = _registry(files)
    return registry, LakeReadings(data_dir, files.get("readings", []), from_ms, to_ms)


def _registry(files: dict[str, list[str]]) -> Registry:
    """The points of the lake's files."""
    areas = [pq.read_table(path, columns=AREAS.names, partitioning=None) for path in files.get("areas", [])]
    told = pa.concat_tables(areas).cast(AREAS) if areas else None
    paths = files.get("points", [])
    if len(paths) == 1:
        file = pq.ParquetFile(paths[0], memory_map=True, read_dictionary=TEXTS)
        found = read_mapped(Path(paths[0]), file.metadata.num_rows)
        if found is None and _numbered(_columns(file, ["point"])["point"]):
            found = _columns(file, NEEDED)
        if found is not None:
            return Registry(found, told, lambda name: _columns(file, [name])[name])
    parts = [_columns(pq.ParquetFile(path), POINTS.names) for path in paths]
    return Registry(pa.concat_tables(parts or [POINTS.empty_table()]).sort_by("point"), told)


def _columns(file: pq.ParquetFile, names: Sequence[str]) -> pa.Table:
    """Columns of a file of points, in the order and with the types of the schema; texts may be dictionaries."""
    read = file.read(columns=list(names), use_threads=False)
    columns = {f.name: read[f.name] for f in POINTS if f.name in names}
    kinds = [
        POINTS.field(name).with_type(column.type) if _coded(column) else POINTS.field(name)
        for name, column in columns.items()
    ]
    return pa.table(columns).cast(pa.schema(kinds))


def _coded(column: pa.ChunkedArray) -> bool:
    """Whether it is a dictionary as a registry takes it."""
    return bool(pa.types.is_dictionary(column.type))


def _numbered(point: pa.ChunkedArray) -> bool:
    """Whether row i is point i."""
    return bool(np.array_equal(point.to_numpy(), np.arange(len(point))))
