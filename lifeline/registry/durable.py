"""Replacing a small table file so that a crash leaves either the old or the new one, whole.

    write NAME.tmp ──► fsync(NAME.tmp) ──► rename(NAME.tmp, NAME) ──► fsync(directory)

Rules of this file: the only module of the registry that writes. Pages carry CRC-32 checksums, checked at reading.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from lifeline.core.errors import CorruptionError, UnavailableError

if TYPE_CHECKING:
    from pathlib import Path


def replace_table(path: Path, table: pa.Table) -> None:
    """Make ``path`` hold ``table``, durably, on return.

    Raises:
        UnavailableError: the disk refused; the old file is still there, unchanged.
    """
    draft = path.with_name(path.name + ".tmp")
    try:
        with draft.open("wb") as file:
            pq.write_table(table, file, compression="zstd", write_page_checksum=True)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise UnavailableError(f"{path}: cannot be written: {error}") from error


def sync_directory(directory: Path) -> None:
    """Make names created in or removed from ``directory`` durable."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """Remove a file if it is there, durably.

    Raises:
        UnavailableError: the disk refused.
    """
    try:
        path.unlink(missing_ok=True)
        sync_directory(path.parent)
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be removed: {error}") from error


def load_table(path: Path, schema: pa.Schema) -> pa.Table | None:
    """The table at ``path``, None when there is no such file.

    Raises:
        CorruptionError: the file is not what ``replace_table`` wrote.
        UnavailableError: the disk refused.
    """
    try:
        table = pq.ParquetFile(path, page_checksum_verification=True).read()
    except FileNotFoundError:
        return None
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise CorruptionError(f"{path}: {error}") from error
    except OSError as error:
        # Arrow reports a failed checksum or a broken page as OSError without errno; the disk's errors carry one.
        if error.errno is None:
            raise CorruptionError(f"{path}: {error}") from error
        raise UnavailableError(f"{path}: cannot be read: {error}") from error
    if not table.schema.equals(schema):
        raise CorruptionError(f"{path}: has the columns {table.schema.names}, not {schema.names}")
    return table
