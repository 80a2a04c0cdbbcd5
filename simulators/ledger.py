"""The publisher's own book: every reading it handed to the broker, and whether the broker acknowledged it.

A crash test compares it with what the engine holds afterwards: an acknowledged reading that is missing there was lost.
One row a reading, ``LEDGER`` columns; written as the acknowledgements arrive, complete once ``close`` has returned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lifeline.core.schema import TIME

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from simulators.generator import Tick
    from simulators.world import World

LEDGER: Final = pa.schema(
    [
        pa.field("point", pa.int32(), nullable=False),
        pa.field("device_id", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("quantity", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("ts", TIME, nullable=False),
        pa.field("seq", pa.uint32(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("repeat", pa.bool_(), nullable=False),
        pa.field("acked", pa.bool_(), nullable=False),
    ]
)
"""``repeat``: sent on purpose a second time; ``ts`` as the device reported it."""

_GROUP_ROWS: Final = 1 << 18


class Ledger:
    """Writes one Parquet file."""

    def __init__(self, path: Path, world: World) -> None:
        self._world = world
        self._ids = pa.array(world.fleet.ids)
        quantities = sorted({model.quantity for model in world.fleet.models})
        self._quantities = pa.array(quantities)
        of_model = np.array([quantities.index(model.quantity) for model in world.fleet.models], np.int32)
        self._quantity_of_point = of_model[world.fleet.point_model]
        self._writer = pq.ParquetWriter(path, LEDGER, compression="zstd")
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def add(self, tick: Tick, acked: NDArray[np.bool_], handed: NDArray[np.bool_]) -> None:
        """The objects of a tick: ``acked`` and ``handed`` (given to the socket at all) have one entry an object."""
        sizes = np.diff(tick.ptr)
        keep = np.repeat(handed, sizes)
        points = self._world.points(tick.objects.device, tick.ptr)
        values = self._world.decimal(points, tick.scaled)[keep]
        points = points[keep]

        def spread(column: NDArray[np.generic]) -> NDArray[np.generic]:
            return np.repeat(column, sizes)[keep]

        columns = [
            pa.array(points),
            pa.DictionaryArray.from_arrays(pa.array(spread(tick.objects.device)), self._ids),
            pa.DictionaryArray.from_arrays(pa.array(self._quantity_of_point[points]), self._quantities),
            pa.array(spread(tick.objects.ts)).cast(TIME),
            pa.array(spread(tick.objects.seq)),
            pa.array(values),
            pa.array(spread(tick.objects.repeat)),
            pa.array(spread(acked)),
        ]
        self._waiting.append(pa.Table.from_arrays(columns, schema=LEDGER))
        self._rows += len(points)
        if self._rows >= _GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting))
        self._waiting, self._rows = [], 0

    def close(self) -> None:
        """Write the rest and the footer."""
        self._flush()
        self._writer.close()
