"""A registry as the arrays that kernels look names up in.

One index belongs to one registry and never changes; ``Indexes`` makes a new one when the source gives a newer registry
(an identity test a batch). The layout of the arrays is told in ``kernels/names.py``.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import weakref
from typing import TYPE_CHECKING, ClassVar, Final, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ingest.payload.kernels.names import build_slots, find_bytes, find_row
from lifeline.core import limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lifeline.core.registry import Registry, RegistrySource

DEVICE_ROWS_MAX: Final = 0xFFFF
"""Points of one device that a slot can tell; a registry beyond it is refused (limits.POINTS_PER_DEVICE_MAX is 64)."""


_Table = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]
"""Slots, entries, key bytes."""

LARGE_BYTES: Final = 4 << 20
"""Tables below it fit the second-level cache, and its page table the processor's."""

Scalar = TypeVar("Scalar", bound=np.generic)


def frozen(array: NDArray[Scalar]) -> NDArray[Scalar]:
    """A read-only view: kernels see one type whether the caller's bytes are writable or not, and compile once."""
    view = array.view()
    view.flags.writeable = False
    return view


def _large(shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Zeros in large pages where there are any: a look-up at a random place otherwise waits for its page's address."""
    size = math.prod(shape) * 8
    if size < LARGE_BYTES or not hasattr(mmap, "MADV_HUGEPAGE"):
        return np.zeros(shape, np.int64)
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel without them
        pages.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(pages, np.int64).reshape(shape)


def _names(names: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """UTF-8 of all names in a row, and where each begins (names + 1 offsets)."""
    array = pa.array(names, pa.large_string())
    _, offsets, data = array.buffers()
    keys = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8)
    return keys, np.frombuffer(offsets, np.int64)[: len(names) + 1] if len(names) else np.zeros(1, np.int64)


def _table(names: Sequence[str], payload: NDArray[np.int64]) -> _Table:
    keys, offsets = _names(names)
    slots = _large((1 << max(2, (2 * len(names) - 1).bit_length()),))
    entries = _large((len(names), 4))
    build_slots(frozen(keys), frozen(offsets), frozen(payload), slots, entries)
    return frozen(slots), frozen(entries), frozen(keys)


class PointIndex:
    """Names to points, for one registry.

    ``devices`` and ``quantities`` are (slots, entries, key bytes) of the two hash tables; ``rows_int`` and
    ``rows_real`` the points grouped by device, seen as int64 and as float64. About 0.15 s for 219,300 devices with
    500,000 points.
    """

    def __init__(self, registry: Registry) -> None:
        """Build the tables. Raises ValueError when a device has more than 65,535 points."""
        self.registry = registry
        counts = np.diff(registry.device_ptr)
        if len(counts) and counts.max() > DEVICE_ROWS_MAX:
            worst = registry.devices[int(counts.argmax())]
            raise ValueError(f"device {worst!r} has {counts.max()} points, more than {DEVICE_ROWS_MAX}")
        self.devices = _table(registry.devices, (registry.device_ptr[:-1] << 16) | counts)
        self.quantities = _table(registry.quantities, np.arange(len(registry.quantities), dtype=np.int64))
        points = registry.device_points
        rows = _large((len(points), 4))
        rows[:, 0] = (registry.point_quantity[points].astype(np.int64) << 32) | points
        real = rows.view(np.float64)
        real[:, 1] = registry.span_low[points]
        real[:, 2] = registry.span_high[points]
        rows[:, 3] = np.maximum(limits.LATE_MS_MIN, 2 * registry.interval_ms[points])
        self.rows_int = frozen(rows)
        self.rows_real = frozen(real)
        self._units: pa.StringArray | None = None

    def device(self, name: str) -> int | None:
        """Handle of a device for ``row``, or None when the registry has no such device."""
        found = find_bytes(*self.devices, np.frombuffer(name.encode("utf-8", "surrogatepass") or b"\0", np.uint8))
        return None if found < 0 or not name else int(found)

    def row(self, device: int, quantity: str) -> int | None:
        """Row of the device's quantity, or None when it does not report such a thing."""
        name = np.frombuffer(quantity.encode("utf-8", "surrogatepass"), np.uint8)
        found = find_row(self.rows_int, device, find_bytes(*self.quantities, name))
        return None if found < 0 else int(found)

    def point(self, row: int) -> int:
        """The registry's point in this row."""
        return int(self.rows_int[row, 0]) & 0xFFFFFFFF

    def span(self, row: int) -> tuple[float, float]:
        """Lowest and highest value allowed, in the point's unit."""
        return float(self.rows_real[row, 1]), float(self.rows_real[row, 2])

    def late_ms(self, row: int) -> int:
        """The age beyond which a reading of this point is late."""
        return int(self.rows_int[row, 3])

    def unit(self, row: int) -> str | None:
        """The point's unit as the registry writes it."""
        if self._units is None:
            self._units = self.registry.select(["unit"])["unit"].combine_chunks()
        unit: str | None = self._units[self.point(row)].as_py()
        return unit


class Indexes:
    """The newest index of a registry source. All that look at one registry share its index (40 MiB for a fleet)."""

    _newest: ClassVar[weakref.ref[PointIndex] | None] = None

    def __init__(self, source: RegistrySource) -> None:
        self.source = source
        self._index = self._of(source.current())

    def current(self) -> PointIndex:
        """The index of the newest registry; rebuilt only when the source holds another one."""
        registry = self.source.current()
        if registry is not self._index.registry:
            self._index = self._of(registry)
        return self._index

    @classmethod
    def _of(cls, registry: Registry) -> PointIndex:
        index = None if cls._newest is None else cls._newest()
        if index is None or index.registry is not registry:  # two at once make two: equal, and one is soon gone
            index = PointIndex(registry)
            cls._newest = weakref.ref(index)
        return index
