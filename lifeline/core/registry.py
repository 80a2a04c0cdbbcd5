"""The registry in memory: which points exist, and what is known of each.

A *device* reports one to five *quantities*; each (device, quantity) is a *point*, an int32 that is given once and
never again to another (the lake stores it). A registry is immutable; a newer one only appends.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import pyarrow as pa

from lifeline.core.schema import AREAS, POINTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray


REPEATING: Final = frozenset({"span_low", "span_high", "interval_s", "install_date"})
"""Columns that are no texts and have few values."""
NEEDED: Final = ("device_id", "quantity")
"""Columns of which arrays are made at once."""


class Registry:
    """Points and areas, as Arrow tables for people and as arrays for kernels. Nothing in it changes once it is made.

    Arrays of one entry a point: ``point_device`` and ``point_quantity`` (int32 indices), ``span_low`` and
    ``span_high`` (float64, -inf/inf where unknown), ``interval_ms`` (int64, 0 where unknown).
    ``device_ptr`` (devices + 1) and ``device_points`` are the points of each device in CSR form. But for device and
    quantity they are made when first asked for: to look at a history needs no more.

    What repeats from point to point is kept once, with numbers as narrow as they can be: a fleet of 624,800 points
    takes 35 MiB instead of 125.
    """

    def __init__(
        self, points: pa.Table, areas: pa.Table | None = None, later: Callable[[str], pa.ChunkedArray] | None = None
    ) -> None:
        """``points`` in the ``POINTS`` schema (ValueError for others), row i is point i; ``areas`` in ``AREAS``.

        Columns may come as dictionaries in the order of first appearance. ``later`` gives the columns that ``points``
        lacks, when they are first asked for; ``NEEDED`` it must have.
        """
        wanted = (
            POINTS if later is None else pa.schema([f for f in POINTS if f.name in {*NEEDED, *points.column_names}])
        )
        if not plain_schema(points.schema).equals(wanted):
            raise ValueError(f"points must have the schema\n{wanted}\nnot\n{points.schema}")
        self._later = later
        self._kept = {name: self._compacted(points[name], name) for name in wanted.names}
        self.areas: pa.Table = AREAS.empty_table() if areas is None else areas
        device, quantity = self.coded("device_id"), self.coded("quantity")
        self._names = device.dictionary
        self._devices: list[str] | None = None
        self.quantities: list[str] = quantity.dictionary.to_pylist()
        self.point_device: NDArray[np.int32] = np.array(device.indices, np.int32)
        self.point_quantity: NDArray[np.int32] = np.array(quantity.indices, np.int32)

    @cached_property
    def span_low(self) -> NDArray[np.float64]:
        """Lowest physical value of each point."""
        return _floats(self._column("span_low"), -np.inf)

    @cached_property
    def span_high(self) -> NDArray[np.float64]:
        """Highest physical value of each point."""
        return _floats(self._column("span_high"), np.inf)

    @cached_property
    def interval_ms(self) -> NDArray[np.int64]:
        """Reporting interval of each point."""
        return (_floats(self._column("interval_s"), 0.0) * 1000).astype(np.int64)

    @cached_property
    def device_ptr(self) -> NDArray[np.int64]:
        """Where the points of each device begin in ``device_points``, and the end."""
        counts = np.bincount(self.point_device, minlength=len(self._names))
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    @cached_property
    def device_points(self) -> NDArray[np.int32]:
        """The points, device after device."""
        return np.argsort(self.point_device, kind="stable").astype(np.int32)

    @property
    def devices(self) -> list[str]:
        """The devices' names, by number; made when first asked for, as to judge a history nobody needs them all."""
        if self._devices is None:
            self._devices = self._names.to_pylist()
        return self._devices

    def device_of(self, point: int) -> str:
        """The name of a point's device, without making those of all."""
        device = int(self.point_device[point])
        name: str = self._names[device].as_py() if self._devices is None else self._devices[device]
        return name

    @property
    def device_count(self) -> int:
        """Number of devices."""
        return len(self._names)

    @property
    def points(self) -> pa.Table:
        """Everything, in the ``POINTS`` schema; made anew by each call (125 MiB for a fleet): prefer ``select``."""
        return self.select(POINTS.names)

    @property
    def coded_points(self) -> pa.Table:
        """``points`` as they are kept, what repeats as dictionaries: hardly anything is made."""
        columns = {name: self._column(name) for name in POINTS.names}
        return pa.table(columns, pa.schema([POINTS.field(n).with_type(c.type) for n, c in columns.items()]))

    def select(self, names: Sequence[str], start: int = 0) -> pa.Table:
        """These columns of the points from ``start`` on."""
        return _plain({name: self._column(name).slice(start) for name in names})

    def coded(self, name: str, start: int = 0) -> pa.DictionaryArray:
        """A column of the points from ``start`` on, as a dictionary in which every value stands once."""
        column = self._column(name).slice(start)
        return column if pa.types.is_dictionary(column.type) else column.dictionary_encode()

    def rows(self, points: Sequence[int] | NDArray[np.integer], names: Sequence[str]) -> pa.Table:
        """These columns of these points."""
        chosen = pa.array(points, pa.int64())
        return _plain({name: self._column(name).take(chosen) for name in names})

    def row(self, point: int, names: Sequence[str]) -> tuple[Any, ...]:
        """These values of one point: a tenth of the work of ``rows`` for it alone."""
        return tuple([self._column(name)[point].as_py() for name in names])

    def __len__(self) -> int:
        """Number of points."""
        return len(self.point_device)

    def column(self, name: str) -> list[str | None]:
        """A text column as a Python list, one entry a point."""
        values: list[str | None] = self._column(name).to_pylist()
        return values

    def _column(self, name: str) -> pa.Array:
        found = self._kept.get(name)
        if found is None:
            if self._later is None or name not in POINTS.names:
                raise KeyError(name)
            if name == "point":
                found = pa.array(np.arange(len(self), dtype=np.int32))
            else:
                found = self._compacted(self._later(name), name)
            self._kept[name] = found
        return found

    def _compacted(self, column: pa.ChunkedArray, name: str) -> pa.Array:
        """A column as it is kept. Who reads columns when they are asked for keeps few: numbers stay as they come."""
        whole = column.combine_chunks()
        return whole if self._later is not None and name in REPEATING else compacted(whole, name)


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """With the type of the values in place of each dictionary."""
    return pa.schema([f.with_type(f.type.value_type) if pa.types.is_dictionary(f.type) else f for f in schema])


def compacted(column: pa.Array, name: str) -> pa.Array:
    """A column of this name, what repeats as a dictionary in the order of first appearance.

    One more number than it needs must fit too.
    """
    if not pa.types.is_dictionary(column.type):
        if not pa.types.is_string(column.type) and name not in REPEATING:
            return column
        column = column.dictionary_encode()
    for narrow in (pa.int8(), pa.int16(), pa.int32()):
        if len(column.dictionary) < np.iinfo(narrow.to_pandas_dtype()).max:
            break
    if column.type.index_type == narrow:
        return column
    return pa.DictionaryArray.from_arrays(column.indices.cast(narrow), column.dictionary)


def _floats(column: pa.Array, missing: float) -> NDArray[np.float64]:
    """A column of numbers as an array of its own."""
    if not pa.types.is_dictionary(column.type):
        return np.array(column.cast(pa.float64()).fill_null(missing).to_numpy(zero_copy_only=False), np.float64)
    known = column.dictionary.cast(pa.float64()).fill_null(missing).to_numpy(zero_copy_only=False)
    codes = column.indices.fill_null(len(known)).to_numpy(zero_copy_only=False)
    values: NDArray[np.float64] = np.append(known, missing)[codes]
    return values


def _plain(columns: dict[str, pa.Array]) -> pa.Table:
    """With the types of ``POINTS``."""
    return pa.table(columns).cast(pa.schema([POINTS.field(name) for name in columns]))


class RegistrySource(Protocol):
    """Who holds the newest registry. Points are only ever appended, so an older one stays right as far as it goes."""

    def current(self) -> Registry:
        """The newest registry; every point that a committed log record names is in it."""
        ...

    def register(self, pairs: list[tuple[str, str, str]]) -> Registry:
        """Append points for (device_id, quantity, utility) triples not known yet; durable on return.

        Raises:
            UnavailableError: the ledger could not be written; nothing was appended.
        """
        ...
