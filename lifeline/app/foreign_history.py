"""History from elsewhere as the log would have told it: registry and readings of foreign files.

Files are read in pieces each time somebody walks through them, and never held: what that takes is one piece and the
times. The rows of one that is not in the order of time, or of several whose times overlap, are set aside on disk by
windows of time, and put in order window by window.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
import pyarrow as pa

from lifeline.app.foreign_file import ForeignFile
from lifeline.app.foreign_files import history_files
from lifeline.app.spool import Spool
from lifeline.core.batch import Readings
from lifeline.core.registry import Registry
from lifeline.core.schema import POINTS
from lifeline.registry import read_points
from rules.backtest import in_log_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    Progress = Callable[[str, int, int], None]
    """What is being done, how much of it is done, and of how much: 0 where that is not known."""

BATCH_ROWS: Final = 250_000
WINDOW_PIECES: Final = 4
"""What is put in order at once: a million readings, 34 MB and as much to sort them."""
WINDOWS_MAX: Final = 256
"""Open files at most."""
SAMPLE: Final = 1 << 16
"""Times that tell where windows begin."""


def foreign_history(
    data: Path | Sequence[Path],
    registry: Path,
    from_ms: int | None,
    to_ms: int | None,
    piece: int = BATCH_ROWS,
    progress: Progress | None = None,
) -> tuple[Registry, ForeignReadings]:
    """Registry and readings of foreign files; a reading counts as received at its event time.

    ``data`` is Parquet or CSV, long (``ts, device_id, quantity, value[, quality]``) or wide (``ts`` and one column per
    ``device_id/quantity``), or a folder of such files, or several. ``piece``: readings that are read at once.

    Raises:
        ConfigurationError: a file or a column cannot be understood, or the registry lacks a point of the data. What is
            wrong with a value or a point far down a long file is said when that piece is read.
    """
    listed = _grouped(read_points(registry, foreign=True))
    points = listed.add_column(0, POINTS.field("point"), pa.array(range(listed.num_rows), pa.int32()))
    keys = pl.from_arrow(points.select(["point", "device_id", "quantity"]))
    assert isinstance(keys, pl.DataFrame)
    paths = history_files(data, registry)
    files = []
    for number, path in enumerate(paths):
        if progress is not None:
            progress("reading times 读取时间", number, len(paths) if len(paths) > 1 else 0)
        files.append(ForeignFile(path, keys, registry, from_ms, to_ms))
    return Registry(points.select(POINTS.names).cast(POINTS)), ForeignReadings(files, piece, progress)


class ForeignReadings:
    """Batches of readings in the order of receipt; may be walked through again and again."""

    def __init__(self, files: Sequence[ForeignFile], piece: int, progress: Progress | None = None) -> None:
        self._piece, self._progress = piece, progress
        told = [file for file in files if file.rows]
        if all(file.in_order for file in told):  # so that files that follow one another need no sorting
            told.sort(key=lambda file: (int(file.times[0]), int(file.times[-1])))
        self._files, self._silent = told, [file for file in files if not file.rows]
        self.rows = sum(file.rows for file in told)
        """How many readings there are at most."""
        firsts, lasts = ([int(end(file.times)) for file in told] for end in (np.min, np.max))
        self.span = (min(firsts), max(lasts)) if told else None
        """First and last time of receipt, epoch ms."""
        self.in_order = all(file.in_order for file in told) and all(
            one.times[-1] <= two.times[0] for one, two in pairwise(told)
        )
        """Whether nothing is set aside."""

    @property
    def doubts(self) -> list[str]:
        """What was left out, known when the files were read to their ends."""
        return [doubt for file in (*self._silent, *self._files) for doubt in file.doubts]

    def __iter__(self) -> Iterator[Readings]:
        """Batches of a bounded size.

        Raises:
            ConfigurationError: a point is not in the registry, or a column has values but no number.
        """
        if not self.in_order:
            for window in self._windows():
                yield from batched(in_log_order(window.whole()))
            return
        held = Readings.empty()
        for rows in self._pieces():
            known = in_log_order(Readings.concat([held, rows]))
            if not len(known):
                continue
            # what is told of one moment may go on in the next piece
            cut = int(np.searchsorted(known.received_at, known.received_at[-1]))
            yield from batched(known.take(slice(0, cut)))
            held = known.take(slice(cut, None))
        yield from batched(held)

    def _windows(self) -> list[Spool]:
        """The rows by windows of time, one after another, of about WINDOW_PIECES pieces each."""
        wanted = min(WINDOWS_MAX, 1 + self.rows // (WINDOW_PIECES * self._piece))
        every = 1 + sum(len(file.times) for file in self._files) // SAMPLE
        sample = np.sort(np.concatenate([file.times[::every] for file in self._files]))
        bounds = sample[np.arange(1, wanted) * len(sample) // wanted]
        windows = [Spool() for _ in range(wanted)]
        aside = 0
        for rows in self._pieces():
            window = np.searchsorted(bounds, rows.received_at, side="right")
            order = np.argsort(window, kind="stable")
            ends = np.cumsum(np.bincount(window, minlength=wanted))
            for one, start, end in zip(windows, np.append(0, ends), ends, strict=False):
                if end > start:
                    one.append(rows.take(order[start:end]))
            aside += len(rows)
            if self._progress is not None:
                self._progress("putting in order of time 按时间排序", aside, self.rows)
        return windows

    def _pieces(self) -> Iterator[Readings]:
        for file in self._files:
            yield from file.pieces(self._piece)


def _grouped(points: pa.Table) -> pa.Table:
    """The points, those of one kind taken for one group where the registry names no group at all.

    A device of several quantities is a group by itself (``rules.groups``); but where every sensor is a device of its
    own, nothing else says that they stand in one plant.
    """
    if points["group"].null_count < len(points):
        return points
    frame = pl.from_arrow(points.select(["device_id", "kind", "group"]))
    assert isinstance(frame, pl.DataFrame)
    alone = pl.len().over("device_id") == 1
    group = frame.select(pl.when(alone).then("kind").otherwise("group").cast(pl.String).alias("group"))["group"]
    place = points.column_names.index("group")
    return points.set_column(place, POINTS.field("group"), group.to_arrow().cast(pa.string()))


def batched(readings: Readings) -> Iterator[Readings]:
    """Slices of about a size; what was received at one instant stays together, for its order is not known."""
    start, received = 0, readings.received_at
    while start < len(readings):
        last = received[min(start + BATCH_ROWS, len(readings)) - 1]
        stop = start + int(np.searchsorted(received[start:], last, side="right"))
        yield readings.take(slice(start, stop))
        start = stop
