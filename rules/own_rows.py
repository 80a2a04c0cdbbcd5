"""Rows that one rule looks at, taken from readings as they came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rules.kernels import order
from rules.memo import Memo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lifeline.core.batch import Readings


class OwnRows(Memo):
    """Some rows of readings as one rule looks at them: used as ``Chosen`` is."""

    def __init__(self, readings: Readings, row: NDArray[np.int32], slots: NDArray[np.int32]) -> None:
        super().__init__()
        self.readings, self.row, self.slots = readings, row, slots

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.row)

    def column(self, name: str) -> NDArray[Any]:
        """A column of the rows."""
        return self.once(name, lambda: order.taken(getattr(self.readings, name), self.row))

    def row_at(self, place: int) -> int:
        """The index in ``readings`` of one row."""
        return int(self.row[place])

    @property
    def received_at(self) -> NDArray[np.int64]:
        """When each row was received."""
        return self.column("received_at")
