"""Readings set aside on disk: what must be put in order, or is walked through again and again, need not be held."""

from __future__ import annotations

import os
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from lifeline.core.batch import Readings
from lifeline.core.errors import UnavailableError
from lifeline.core.schema import LOG_READINGS

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS: Final = {field.name: np.dtype(field.type.to_pandas_dtype()) for field in LOG_READINGS}


class Spool:
    """Batches in a file of no name, 34 bytes a reading; may be walked through again and again. Gone with its object.

    Raises:
        UnavailableError: the folder of temporary files has no room.
    """

    def __init__(self) -> None:
        self._file: int | None = None
        self._rows: list[int] = []
        self._end = 0

    def append(self, rows: Readings) -> None:
        """One more batch."""
        try:
            file = self._file
            if file is None:
                file = self._file = _nameless()
                weakref.finalize(self, os.close, file)
            at = self._end
            for name in KINDS:
                at = _write(file, np.ascontiguousarray(getattr(rows, name)).data.cast("B"), at)
        except OSError as error:
            told = f"{tempfile.gettempdir()}: readings cannot be set aside: {error}"
            raise UnavailableError(f"{told}; set TMPDIR to a folder with room for 34 bytes a reading") from error
        self._end = at
        self._rows.append(len(rows))

    def __iter__(self) -> Iterator[Readings]:
        """The batches, as they came."""
        at = 0
        for rows in self._rows:
            columns = [np.empty(rows, kind) for kind in KINDS.values()]
            for column in columns:
                at = self._read(column.data.cast("B"), at)
            yield Readings(*columns)

    def whole(self) -> Readings:
        """All of it as one batch."""
        return Readings.concat(list(self))

    def _read(self, into: memoryview, at: int) -> int:
        while into:
            assert self._file is not None
            done = os.preadv(self._file, [into], at)
            if not done:
                raise UnavailableError(f"{tempfile.gettempdir()}: readings that were set aside are gone")
            into, at = into[done:], at + done
        return at


def _nameless() -> int:
    """A file that is gone when it is closed, however that comes about."""
    file, name = tempfile.mkstemp(prefix="lifeline-")
    Path(name).unlink()
    return file


def _write(file: int, data: memoryview, at: int) -> int:
    """All of it, from ``at`` on; where it ends."""
    while data:
        done = os.pwrite(file, data, at)
        data, at = data[done:], at + done
    return at
