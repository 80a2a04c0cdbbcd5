"""Replacing a small table file so that a crash leaves either the old or the new one, whole.

Rules of this file: the only module of the registry that writes (by ``lifeline.files``: temporary file, fsync, rename,
fsync of the directory). Pages carry CRC-32 checksums, checked at reading.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from lifeline.core.errors import CorruptionError, UnavailableError
from lifeline.core.registry import plain_schema
from lifeline.files import fsync_directory, write_atomic

if TYPE_CHECKING:
    from pathlib import Path


def replace_table(path: Path, table: pa.Table) -> None:
    """Make ``path`` hold ``table``, durably, on return.

    Raises:
        UnavailableError: the disk refused; the old file is still there, unchanged.
    """
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    write_atomic(path, memoryview(buffer.getvalue()))


def remove(path: Path) -> None:
    """Remove a file if it is there, durably.

    Raises:
        UnavailableError: the disk refused.
    """
    try:
        path.unlink(missing_ok=True)
        fsync_directory(path.parent)
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be removed: {error}") from error


def load_table(path: Path, schema: pa.Schema) -> pa.Table | None:
    """The table at ``path``, None when there is no such file. Its texts come as dictionaries.

    Raises:
        CorruptionError: the file is not what ``replace_table`` wrote.
        UnavailableError: the disk refused.
    """
    try:
        texts = [field.name for field in schema if pa.types.is_string(field.type)]
        table = pq.ParquetFile(path, page_checksum_verification=True, read_dictionary=texts).read()
    except FileNotFoundError:
        return None
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise CorruptionError(f"{path}: {error}") from error
    except OSError as error:
        # Arrow reports a failed checksum or a broken page as OSError without errno; the disk's errors carry one.
        if error.errno is None:
            raise CorruptionError(f"{path}: {error}") from error
        raise UnavailableError(f"{path}: cannot be read: {error}") from error
    if not plain_schema(table.schema).equals(schema):
        raise CorruptionError(f"{path}: has the columns {table.schema.names}, not {schema.names}")
    return table.unify_dictionaries().combine_chunks()
