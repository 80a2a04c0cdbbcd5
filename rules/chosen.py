"""The rows that a set of rules looks at, with what is known of them; rules of one set share it.

Rows of a piece are sorted by the band of their point, once for all rules; a column is gathered in that order when the
first rule asks for it. The rows of most sets are then one or a few stretches of it, taken without looking at a row.
Within a point rows keep their order, which is all that features and alarm states ask for. Rules over groups want the
order of reading among all members, and so do their siblings among the points of a device: ``Chosen.placed``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rules.kernels import order, select
from rules.memo import Memo

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from rules.bands import Bands, Ranks
    from rules.memory import Rows

MERGED_MAX = 8
"""Stretches that are merged by looking at the head of each; more are sorted."""


class Arranged(Memo):
    """Rows of a piece by band."""

    def __init__(self, rows: Rows, bands: Bands, layout: NDArray[np.int64]) -> None:
        """``layout`` has the bands but the first in the order in which they shall lie."""
        super().__init__()
        self.rows = rows
        counts, of = np.zeros(len(bands.lanes), np.int64), np.empty(len(rows.point), bands.of.dtype)
        select.count_bands(rows.point, bands.of, counts, of)
        self.bands: dict[int, tuple[int, int]] = {}
        """Where the rows of each band lie, of those that have any, in the order of the layout."""
        cursor, known, at = np.zeros(len(counts), np.int64), counts.tolist(), 0
        for band in layout.tolist():
            if known[band]:
                cursor[band] = at
                self.bands[band] = at, at + known[band]
                at += known[band]
        self.order = np.empty(at, np.int32)
        """Index in ``rows`` of each."""
        select.place_bands(of, cursor, self.order)

    def spans(self, bands: Iterable[int], *, joined: bool) -> list[tuple[int, int]]:
        """Where the rows of some bands lie, given in the order of the layout.

        Joined they are as few stretches as can be; else one a band, in which rows come in the order of reading.
        """
        found: list[tuple[int, int]] = []
        for band in bands:
            span = self.bands.get(band)
            if span is None:
                continue
            if joined and found and found[-1][1] == span[0]:
                found[-1] = found[-1][0], span[1]
            else:
                found.append(span)
        return found

    def column(self, name: str) -> NDArray[Any]:
        """A column of ``rows`` in this order."""
        return self.once(name, lambda: order.taken(getattr(self.rows, name), self.order))

    def merged(self, spans: Sequence[tuple[int, int]]) -> NDArray[np.int32]:
        """Places in this order, of some stretches, in the order of reading."""
        if len(spans) == 1:
            return np.arange(*spans[0], dtype=np.int32)
        if len(spans) > MERGED_MAX:
            places = np.concatenate([np.arange(start, end, dtype=np.int32) for start, end in spans])
            return places[np.argsort(self.order[places])]
        made = np.empty(sum(end - start for start, end in spans), np.int32)
        starts, ends = np.array(spans, np.int64).T.copy()
        select.merge(self.order, starts, ends, made)
        return made


class Chosen(Memo):
    """Rows of one set. Columns by name are those of ``Rows``."""

    def __init__(self, arranged: Arranged, spans: Sequence[tuple[int, int]], ranks: Ranks) -> None:
        super().__init__()
        self.readings = arranged.rows.readings
        self._arranged, self._spans, self._ranks = arranged, spans, ranks
        self._places: NDArray[np.int32] | None = None
        self._alone = False
        """Whether nobody else asks for these rows' columns, so that those of all rows need not be gathered."""
        self._rows = sum(end - start for start, end in spans)

    @classmethod
    def placed(cls, arranged: Arranged, spans: Sequence[tuple[int, int]], ranks: Ranks) -> Chosen:
        """The rows in the order of reading; the spans are not joined."""
        made = cls(arranged, spans, ranks)
        made._alone = True
        if len(spans) > 1:
            made._places = arranged.merged(spans)
        return made

    def __len__(self) -> int:
        """Number of rows."""
        return self._rows

    def column(self, name: str) -> NDArray[Any]:
        """A column, to be read only."""
        if self._alone:
            return self.once(name, lambda: order.taken(getattr(self._arranged.rows, name), self.places))
        return self.once(name, lambda: self.cut(self._arranged.column(name)))

    @property
    def slots(self) -> NDArray[np.int32]:
        """The slot of each row's point among those of the set."""
        return self.once("slots", lambda: self._ranks.of(self.column("point")))

    @property
    def places(self) -> NDArray[np.int32]:
        """The index of each row among those that were arranged."""
        return self.once("places", lambda: self.cut(self._arranged.order))

    @property
    def row(self) -> NDArray[np.int32]:
        """The index of each row in ``readings``."""
        return self.column("row")

    def row_at(self, place: int) -> int:
        """The same of one row."""
        return int(self._arranged.rows.row[self.places[place]])

    @property
    def received_at(self) -> NDArray[np.int64]:
        """When each row was received."""
        return self.once("received_at", lambda: order.taken(self.readings.received_at, self.row))

    def of(self, other: Chosen, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Numbers of another choice of the same rows, one for each of its rows, as a column of these; NaN elsewhere."""
        first, last = self._spans[0][0], self._spans[-1][1]
        wide = np.full(last - first, np.nan)
        if other._places is None:
            start, end = other._spans[0]
            low, high = max(start, first), min(end, last)
            if low < high:
                wide[low - first : high - first] = values[low - start : high - start]
        else:
            order.put_within(values, other._places, first, wide)
        if self._places is not None:
            return order.taken(wide, self._places - np.int32(first))
        return np.concatenate([wide[start - first : end - first] for start, end in self._spans])

    def cut(self, column: NDArray[Any]) -> NDArray[Any]:
        """Of a column by place in the order of bands, what is of these rows."""
        if self._places is not None:
            return order.taken(column, self._places)
        if len(self._spans) == 1:
            start, end = self._spans[0]
            return column[start:end]
        return np.concatenate([column[start:end] for start, end in self._spans])
