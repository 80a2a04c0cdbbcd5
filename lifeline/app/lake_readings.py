"""Readings of the lake's files in the order of receipt, decoded as somebody walks through them.

A file is sorted by point and event time, so one that holds several times of receipt must be put in order. What the
footers tell (times of receipt, points, columns of one value) says which row groups overlap; each set of those that do
is ordered by itself, and nothing else is held: first by windows of time, column by column, then within each window,
where the processor's caches hold it.

Columns of one value in a whole row group are not decoded, nor is ``seq``, unless two readings of one point, received at
one instant and of one event time, leave the order to it.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from lifeline.app.lake_pieces import ALWAYS, KINDS, NEVER, constant, joined, pieces, sealed
from lifeline.core.batch import Readings
from lifeline.core.errors import UnavailableError
from rules.backtest import in_log_order
from rules.kernels.order import count_windows, order_windows, put, rising, take, window_places

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from lifeline.app.lake_pieces import Column, Piece

BATCH_ROWS: Final = 1 << 18
"""A row group, uncut. Smaller ones are joined: to judge pieces of 20,000 rows costs a third more."""
WINDOWS_BITS: Final = 9
"""At most 512 windows: a cache line of a column for each fits the first cache."""
WINDOW_ROWS_BITS: Final = 13
"""A window of fewer rows than 8,192 gains nothing."""
NAMES: Final = ("point", "ts", "received_at", "value", "quality", "flags")


class LakeReadings:
    """Batches of readings in the order of receipt, of ``from_ms`` ≤ received_at < ``to_ms``.

    May be walked through again and again. The files stay open: it does not matter if the lake deletes them.
    ``seq`` is 0 where it does not decide the order.
    """

    def __init__(self, root: Path, files: Sequence[str], from_ms: int | None = None, to_ms: int | None = None) -> None:
        """Opens the files, of the site at ``root``, and reads their footers.

        Raises:
            UnavailableError: a file cannot be read.
        """
        self._root = root
        low, high = NEVER if from_ms is None else from_ms, ALWAYS if to_ms is None else to_ms
        with readable(root):
            found = [piece for path in files for piece in pieces(path, low, high)]
        self._clusters = _clusters(found)
        self.rows = sum(piece.rows for piece in found)
        """How many readings there are at most."""

    @property
    def piece_rows(self) -> float:
        """Rows of what is read at once, in the mean (``rules.backtest.Uncut``)."""
        return self.rows / max(1, sum(map(len, self._clusters)))

    @property
    def span(self) -> tuple[int, int] | None:
        """First and last time of receipt, epoch ms; None without readings. Reads what the footers do not tell.

        Raises:
            UnavailableError: a file cannot be read.
        """
        with readable(self._root):
            told = [piece.span() for cluster in self._clusters for piece in cluster]
        found = [span for span in told if span is not None]
        return (min(first for first, _ in found), max(last for _, last in found)) if found else None

    def __iter__(self) -> Iterator[Readings]:
        """Batches of about a size, none of them empty; what was received at one instant stays together.

        Raises:
            UnavailableError: a file cannot be read.
        """
        held: list[Readings] = []
        for some in self.uncut():
            if held and sum(map(len, held)) + len(some) > BATCH_ROWS and held[0].received_at[0] < some.received_at[0]:
                whole = joined(held)
                at = int(np.searchsorted(whole.received_at, some.received_at[0], side="left"))
                yield whole.take(slice(0, at))
                held = [whole.take(slice(at, None))] if at < len(whole) else []
            held.append(some)
        if held:
            yield joined(held)

    def uncut(self) -> Iterator[Readings]:
        """All rows in order, as they are decoded: an instant of receipt may go on in the next piece.

        Raises:
            UnavailableError: a file cannot be read.
        """
        for cluster in self._clusters:
            rows = _alone(cluster[0]) if _instant(cluster) else _ordered(cluster)
            while True:
                with readable(self._root):
                    some = next(rows, None)
                if some is None:
                    break
                if len(some):
                    yield some


@contextmanager
def readable(root: Path) -> Iterator[None]:
    """Say of which site the files are that cannot be read.

    Raises:
        UnavailableError: a file cannot be read.
    """
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise UnavailableError(f"{root}: the lake cannot be read: {error}") from error


def _clusters(found: list[Piece]) -> list[list[Piece]]:
    """Sets of pieces after one another in the order of receipt; those of a set overlap and stay in their order.

    What ends and what begins at one instant does not overlap if the former's points are all lesser.
    """
    made: list[list[int]] = []
    ends: list[tuple[int, int]] = []
    for at in sorted(range(len(found)), key=lambda at: (found[at].first, found[at].low)):
        piece, start = found[at], len(made)
        for k in range(len(made) - 1, -1, -1):
            if ends[k][0] < piece.first:
                break
            if ends[k] >= (piece.first, piece.low):
                start = k
        end = max([(piece.last, piece.high), *ends[start:]])
        made[start:], ends[start:] = [sorted([at, *(k for one in made[start:] for k in one)])], [end]
    return [[found[at] for at in cluster] for cluster in made]


def _alone(piece: Piece) -> Iterator[Readings]:
    """Rows of one time of receipt, which come by point and event time."""
    point, ts, received, value, quality, flags = piece.columns(*NAMES)
    rows = Readings(point, ts, received, value, constant("seq", 0, len(point)), quality, flags)
    if not (point[1:] > point[:-1]).all() and not rising(received, point, ts):
        (seq,) = piece.columns("seq")
        rows = in_log_order(Readings(point, ts, received, value, seq, quality, flags))
    yield sealed(rows)


def _instant(cluster: list[Piece]) -> bool:
    """Whether it is one piece of one time of receipt: in order as it is."""
    return len(cluster) == 1 and "received_at" in cluster[0].same


def _ordered(cluster: list[Piece]) -> Iterator[Readings]:
    """Rows of pieces that overlap."""
    yield from _Windows(cluster).batches()


class _Windows:
    """Pieces that overlap: their columns laid out by windows of time, and then the rows of each window in order."""

    def __init__(self, pieces: list[Piece]) -> None:
        self._pieces = pieces
        self._same = {k: v for k, v in pieces[0].same.items() if all(piece.same.get(k) == v for piece in pieces)}
        self._first = min(piece.first for piece in pieces)
        span, many = max(piece.last for piece in pieces) - self._first, sum(piece.rows for piece in pieces)
        few = many <= BATCH_ROWS  # one window, and all columns read at once
        bits = 0 if few else min(WINDOWS_BITS, (many >> WINDOW_ROWS_BITS).bit_length())
        self._shift = max(0, span.bit_length() - bits)
        self._read = [dict(zip(NAMES, piece.columns(*NAMES), strict=True)) for piece in pieces] if few else []
        self._received = [columns["received_at"] for columns in self._read] or [
            piece.columns("received_at")[0] for piece in pieces
        ]
        self._counts = np.zeros((span >> self._shift) + 1, np.int64)
        for received in self._received:
            count_windows(received, self._first, self._shift, self._counts)
        self._ends = np.cumsum(self._counts)

    def batches(self) -> Iterator[Readings]:
        """All rows in order, whole windows at once."""
        columns = self._laid(*NAMES)
        seq: dict[str, Column] = {}
        start = window = 0
        while start < self._ends[-1]:
            full = int(np.searchsorted(self._ends, start + BATCH_ROWS, side="right"))
            until = max(full, int(np.searchsorted(self._ends, start, side="right")) + 1)
            stop = int(self._ends[until - 1])
            held = {name: column[start:stop] for name, column in columns.items()}
            order = np.empty(stop - start, np.int32)
            order_windows(held["received_at"], self._first, self._shift, self._ends[window:until] - start, order)
            rows = self._rows(held, order)
            if not rising(rows.received_at, rows.point, rows.ts):
                seq = seq or self._laid("received_at", "seq")
                rows = in_log_order(
                    self._rows(held | {name: column[start:stop] for name, column in seq.items()}, order)
                )
            yield sealed(rows)
            start, window = stop, until

    def _rows(self, held: dict[str, Column], order: Column) -> Readings:
        """The rows of some columns in an order; columns that are not given have one value."""
        same = {"seq": 0} | self._same
        made = {
            name: np.empty(len(order), kind) if name in held else constant(name, same[name], len(order))
            for name, kind in KINDS.items()
        }
        for name, column in held.items():
            take(column, order, made[name])
        return sealed(Readings(**made))

    def _laid(self, *names: str) -> dict[str, Column]:
        """Columns by windows, the rows of each as they come in the pieces; without those of one value."""
        varied = [name for name in names if name not in self._same or name == "received_at"]
        made = {name: np.empty(int(self._ends[-1]), KINDS[name]) for name in varied}
        free = self._ends - self._counts
        for at, (piece, received) in enumerate(zip(self._pieces, self._received, strict=True)):
            read = self._read[at] if self._read else {}
            missing = [name for name in varied if name not in read]
            read = read | dict(zip(missing, piece.columns(*missing), strict=True))
            places = np.empty(len(received), np.int32)
            window_places(received, self._first, self._shift, free, places)
            for name in varied:
                put(read[name], places, made[name])
        return made
