"""The registry in memory: which points exist, and what is known of each.

A *device* reports one to five *quantities*; each (device, quantity) is a *point*, an int32 that is given once and
never again to another (the lake stores it). A registry is immutable; a newer one only appends.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from lifeline.core.schema import AREAS, POINTS

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Registry:
    """Points and areas, as Arrow tables for people and as arrays for kernels.

    Arrays of one entry a point: ``point_device`` and ``point_quantity`` (int32 indices), ``span_low`` and
    ``span_high`` (float64, -inf/inf where unknown), ``interval_ms`` (int64, 0 where unknown).
    ``device_ptr`` (devices + 1) and ``device_points`` are the points of each device in CSR form.
    """

    points: pa.Table
    """``POINTS`` schema, row i is point i."""
    areas: pa.Table = field(default_factory=AREAS.empty_table)
    """``AREAS`` schema."""
    devices: list[str] = field(init=False)
    quantities: list[str] = field(init=False)
    point_device: NDArray[np.int32] = field(init=False)
    point_quantity: NDArray[np.int32] = field(init=False)
    span_low: NDArray[np.float64] = field(init=False)
    span_high: NDArray[np.float64] = field(init=False)
    interval_ms: NDArray[np.int64] = field(init=False)
    device_ptr: NDArray[np.int64] = field(init=False)
    device_points: NDArray[np.int32] = field(init=False)

    def __post_init__(self) -> None:
        """Derive the arrays. Raises ValueError when ``points`` is not in the ``POINTS`` schema."""
        if not self.points.schema.equals(POINTS):
            raise ValueError(f"points must have the schema\n{POINTS}\nnot\n{self.points.schema}")
        device = self.points["device_id"].combine_chunks().dictionary_encode()
        quantity = self.points["quantity"].combine_chunks().dictionary_encode()
        put = object.__setattr__
        put(self, "devices", device.dictionary.to_pylist())
        put(self, "quantities", quantity.dictionary.to_pylist())
        put(self, "point_device", device.indices.to_numpy().astype(np.int32))
        put(self, "point_quantity", quantity.indices.to_numpy().astype(np.int32))
        put(self, "span_low", self._floats("span_low", -np.inf))
        put(self, "span_high", self._floats("span_high", np.inf))
        put(self, "interval_ms", (self._floats("interval_s", 0.0) * 1000).astype(np.int64))
        counts = np.bincount(self.point_device, minlength=len(self.devices))
        put(self, "device_ptr", np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
        put(self, "device_points", np.argsort(self.point_device, kind="stable").astype(np.int32))

    def __len__(self) -> int:
        """Number of points."""
        return int(self.points.num_rows)

    def _floats(self, name: str, missing: float) -> NDArray[np.float64]:
        column = self.points[name].combine_chunks().fill_null(missing).to_numpy(zero_copy_only=False)
        return np.ascontiguousarray(column, np.float64)

    def column(self, name: str) -> list[str | None]:
        """A text column as a Python list, one entry a point."""
        values: list[str | None] = self.points[name].to_pylist()
        return values


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
