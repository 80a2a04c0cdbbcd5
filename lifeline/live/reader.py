"""Reading the last values from another process: no lock, no request, no torn record."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lifeline.core.errors import UnavailableError
from lifeline.live.kernels.seqlock import read_rows
from lifeline.live.layout import HEADER, HEADER_BYTES, MAGIC, RECORD

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class LastValues:
    """Columns of equal length, one entry a point (or a chosen point, in the order asked for)."""

    position: int
    """The values are at least as new as this log record."""
    seen: NDArray[np.bool_]
    """False: no reading yet; the other columns are 0 and NaN there."""
    ts: NDArray[np.int64]
    received_at: NDArray[np.int64]
    value: NDArray[np.float64]
    """NaN also where the last reading was null."""
    quality: NDArray[np.uint8]
    flags: NDArray[np.uint8]
    unreadable: int
    """Records whose writer died in the middle; they are whole again once the engine has restarted."""

    def __len__(self) -> int:
        """Number of points."""
        return len(self.ts)


class LiveReader:
    """Reads the file of a ``LiveValues`` in any process; follows it when it grows or is replaced.

    One thread an instance.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._map: mmap.mmap | None = None
        self._identity = (-1, -1, -1)
        self._header: NDArray[Any] = np.zeros(1, HEADER)
        self._records: NDArray[Any] = np.zeros(0, RECORD)

    def read(self, points: NDArray[np.int32] | None = None) -> LastValues:
        """The last values of all points, or of the chosen ones.

        Each record is whole; records of different points may be of different moments.

        Raises:
            UnavailableError: there is no such file (the engine has never run), or it is not ours.
            IndexError: a chosen point is outside the file.
        """
        self._follow()
        position = int(self._header["position"][0])
        r = self._records
        rows = len(r) if points is None else len(points)
        chosen = np.zeros(0, np.int32) if points is None else np.ascontiguousarray(points, np.int32)
        if len(chosen) and not (int(chosen.min()) >= 0 and int(chosen.max()) < len(r)):
            raise IndexError(f"points must be within 0 and {len(r) - 1}: {int(chosen.min())} to {int(chosen.max())}")
        ts, received_at = np.empty(rows, np.int64), np.empty(rows, np.int64)
        value = np.empty(rows, np.float64)
        quality, flags, seen = np.empty(rows, np.uint8), np.empty(rows, np.uint8), np.empty(rows, np.bool_)
        unreadable = read_rows(
            chosen,
            r["version"],
            r["ts"],
            r["received_at"],
            r["value"],
            r["quality"],
            r["flags"],
            ts,
            received_at,
            value,
            quality,
            flags,
            seen,
        )
        return LastValues(position, seen, ts, received_at, value, quality, flags, int(unreadable))

    def close(self) -> None:
        """Let go of the file."""
        self._header, self._records = np.zeros(1, HEADER), np.zeros(0, RECORD)
        if self._map is not None:
            self._map.close()
        self._map = None
        self._identity = (-1, -1, -1)

    def _follow(self) -> None:
        try:
            status = self._path.stat()
            identity = (status.st_dev, status.st_ino, status.st_size)
            if identity == self._identity:
                return
            self.close()
            with self._path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise UnavailableError(f"{self._path}: no last values: {error} (has the engine run?)") from error
        if len(self._map) < HEADER_BYTES or self._map[:8] != MAGIC:
            self.close()
            raise UnavailableError(f"{self._path}: is not a file of last values")
        count = (len(self._map) - HEADER_BYTES) // RECORD.itemsize
        self._header = np.frombuffer(self._map, HEADER, 1)
        self._records = np.frombuffer(self._map, RECORD, count, HEADER_BYTES)
        self._identity = identity
