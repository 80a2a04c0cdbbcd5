"""Published tables whose rows change: what is old in immutable parts, what changed lately in a tail.

    catalog/parts/parts.json              the parts, and the mark up to which they hold everything; durable, by rename
    catalog/parts/events-….parquet        a part: a range of ``order``; ranges do not overlap, no key is in two parts
    catalog/parts/events-tail-….parquet   newer rows, some of them in place of a part's; written anew with each change

    view = parts without the keys of the tail ∪ tail       (the parts as they are while the tail is ``apart``)

Millions of rows stay cheap: a change writes the tail (``TAIL_ROWS`` at most), and a full tail is *folded*: the parts
whose rows it replaces are written anew, the rest goes to the last part. A row's part is found by its ``order``, which
must never change. After a restart the parts are taken up with their mark; the tail is not: whatever changed after the
mark is asked for again. One thread.
"""

from __future__ import annotations

import json
import uuid
from bisect import bisect_right
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lifeline.core.errors import UnavailableError
from lifeline.files import write_atomic
from lifeline.lake.files import Trash, make_dir, sync_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from lifeline.core.ports import Clock

TAIL_ROWS: Final = 16_384
"""Written anew with each change: some 30 ms."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How a table is cut."""

    key: str
    """Identifies a row; a newer row takes the place of the one with its key."""
    order: str
    """Finds a row's part; never changes. A time or an integer."""
    part_rows: int


SHAPES: Final = {
    "events": Shape("event_id", "detected_at", 65_536),
    "alarms": Shape("alarm_id", "raised_at", 65_536),
    "event_log": Shape("entry", "entry", 262_144),
}


@dataclass(frozen=True, slots=True)
class Part:
    """A file whose rows have an order from ``low`` up to the next part's."""

    path: str
    low: int
    rows: int


@dataclass(slots=True)
class PartedTable:
    """One table: its parts on disk, its tail in memory and on disk."""

    name: str
    shape: Shape
    folder: Path
    schema: pa.Schema
    parts: list[Part] = field(default_factory=list)
    tail: pa.Table = field(init=False)
    tail_path: str = ""
    _high: tuple[str, int] = ("", 0)
    """The last part's path and highest order."""

    def __post_init__(self) -> None:
        """An empty tail."""
        self.tail = self.schema.empty_table()

    def put(self, rows: pa.Table) -> list[str]:
        """Rows that are new or have changed; the newest tail is on disk afterwards. Returns files that went out of use.

        Raises:
            UnavailableError: the disk refuses; nothing has changed.
        """
        if not rows.num_rows and self.tail_path:
            return []
        kept = self.tail.filter(pc.invert(pc.is_in(self.tail[self.shape.key], rows[self.shape.key].combine_chunks())))
        tail = pa.concat_tables([kept, rows]).combine_chunks()
        old, self.tail_path = self.tail_path, self._write(tail, "tail-")
        self.tail = tail
        return [old] if old else []

    def fold(self) -> list[str]:
        """Bring the tail's rows into the parts; files that went out of use.

        Raises:
            UnavailableError: the disk refuses; nothing has changed.
        """
        lows = [part.low for part in self.parts]
        orders = _orders(self.tail, self.shape.order)
        homes = np.array([max(0, bisect_right(lows, one) - 1) for one in orders.tolist()], np.int64)
        parts, written, gone = list(self.parts), [], []
        try:
            for home in sorted(set(homes.tolist()), reverse=True):  # from behind, so that places stay good
                rows = self.tail.filter(pa.array(homes == home))
                if parts:
                    old = self._read(parts[home])
                    new = pc.invert(pc.is_in(old[self.shape.key], rows[self.shape.key].combine_chunks()))
                    rows = pa.concat_tables([old.filter(new), rows])
                    gone.append(parts[home].path)
                made = self._cut(rows)
                written += [part.path for part in made]
                parts[home : home + 1] = made
            tail_path = self._write(self.schema.empty_table(), "tail-")
        except BaseException:
            _remove(written)
            raise
        self.parts = parts
        gone += [self.tail_path] if self.tail_path else []
        self.tail, self.tail_path = self.schema.empty_table(), tail_path
        return gone

    def append(self, rows: pa.Table) -> None:
        """Rows whose order is above that of all that are there, as a part. Raises UnavailableError."""
        self.parts += self._cut(rows)

    @property
    def files(self) -> list[str]:
        """Parts, the oldest first; without the tail."""
        return [part.path for part in self.parts]

    @property
    def apart(self) -> bool:
        """Whether the whole tail comes after the parts, so that no key is in both: the rule where rows never change.

        Not if rows are told again that are in a part. Raises UnavailableError.
        """
        if not self.parts or not self.tail.num_rows:
            return True
        last = self.parts[-1]
        if self._high[0] != last.path:
            self._high = last.path, int(_orders(self._read(last, [self.shape.order]), self.shape.order).max())
        return int(_orders(self.tail, self.shape.order).min()) > self._high[1]

    def _cut(self, rows: pa.Table) -> list[Part]:
        """Sorted and cut into parts of at most ``part_rows``, but never between rows of the same order."""
        rows = rows.sort_by([(self.shape.order, "ascending"), (self.shape.key, "ascending")]).combine_chunks()
        orders = _orders(rows, self.shape.order)
        made, start = [], 0
        while start < len(orders):
            end = _border(orders, start, self.shape.part_rows)
            path = self._write(rows.slice(start, end - start), "")
            made.append(Part(path, int(orders[start]), end - start))
            start = end
        return made

    def _write(self, rows: pa.Table, mark: str) -> str:
        path = self.folder / f"{self.name}-{mark}{uuid.uuid4().hex}.parquet"
        try:
            pq.write_table(rows, path, compression="zstd")
            if not mark:
                sync_file(path)  # parts outlive a power cut, a tail need not
        except (OSError, UnavailableError) as error:
            path.unlink(missing_ok=True)
            raise UnavailableError(f"{path}: cannot be written: {error}") from error
        return str(path)

    def _read(self, part: Part, columns: list[str] | None = None) -> pa.Table:
        try:
            return pq.read_table(part.path, schema=self.schema, columns=columns, partitioning=None)
        except (OSError, pa.ArrowException) as error:
            raise UnavailableError(f"{part.path}: cannot be read: {error}") from error


class PartedTables:
    """The parted tables of a catalog. ``mark``: what their parts hold everything up to; None: begin anew.

    Args:
        root: The catalog's directory.
        schemas: Columns of each table as they are published.
        clock: Epoch milliseconds.
        grace_ms: How long files that went out of use stay.

    Raises:
        UnavailableError: the directory cannot be made.
    """

    def __init__(
        self, root: Path, schemas: Mapping[str, pa.Schema], clock: Clock, grace_ms: int, tail_rows: int = TAIL_ROWS
    ) -> None:
        self._folder = root / "parts"
        self._schemas = dict(schemas)
        self._clock = clock
        self._trash = Trash(grace_ms)
        self._tail_rows = tail_rows
        make_dir(self._folder)
        self.tables = self._fresh()
        self.mark: list[int] | None = None
        self._take_up()

    def begin_anew(self) -> None:
        """Forget everything; the files stay until their grace is over."""
        gone = [path for table in self.tables.values() for path in (*table.files, table.tail_path) if path]
        self._discard(gone)
        self.tables = self._fresh()
        self.mark = None

    def put(self, changed: Mapping[str, pa.Table]) -> None:
        """Rows that are new or have changed, by table. Raises UnavailableError: call it again with the same."""
        for name, rows in changed.items():
            self._discard(self.tables[name].put(rows))

    @property
    def full(self) -> bool:
        """Whether a tail is long enough to be folded."""
        return any(table.tail.num_rows > self._tail_rows for table in self.tables.values())

    def fold(self, mark: Sequence[int]) -> None:
        """Bring all tails into parts that hold everything up to ``mark``; durable. Raises UnavailableError."""
        for table in self.tables.values():
            self._discard(table.fold())
        self.seal(mark)

    def seal(self, mark: Sequence[int]) -> None:
        """Say that the parts hold everything up to ``mark``; durable on return. Raises UnavailableError."""
        tables = {
            name: {"columns": table.schema.names, "parts": [[p.path, p.low, p.rows] for p in table.parts]}
            for name, table in self.tables.items()
        }
        write_atomic(self._folder / "parts.json", json.dumps({"mark": list(mark), "tables": tables}).encode())
        self.mark = list(mark)

    def tidy(self) -> None:
        """Delete files whose grace is over."""
        self._trash.empty(self._clock())

    def _fresh(self) -> dict[str, PartedTable]:
        return {name: PartedTable(name, SHAPES[name], self._folder, schema) for name, schema in self._schemas.items()}

    def _discard(self, paths: Sequence[str]) -> None:
        self._trash.add([Path(path) for path in paths], self._clock())

    def _take_up(self) -> None:
        """Go on with the parts of the last process, if they are whole; what they do not name begins its grace."""
        try:
            known: dict[str, Any] = json.loads((self._folder / "parts.json").read_bytes())
            tables, mark = known["tables"], [int(one) for one in known["mark"]]
            parts = {
                name: [Part(str(path), int(low), int(rows)) for path, low, rows in tables[name]["parts"]]
                for name in self._schemas
            }
            same = all(tables[name]["columns"] == schema.names for name, schema in self._schemas.items())
        except (OSError, ValueError, KeyError, TypeError):
            parts, mark, same = {}, [], False
        if same and all(_whole(part) for found in parts.values() for part in found):
            for name, found in parts.items():
                self.tables[name].parts = found
            self.mark = mark
        used = {path for table in self.tables.values() for path in table.files}
        self._discard([str(path) for path in self._folder.glob("*.parquet") if str(path) not in used])


def _orders(rows: pa.Table, column: str) -> NDArray[np.int64]:
    found: NDArray[np.int64] = rows[column].cast(pa.int64()).to_numpy()
    return found


def _border(orders: NDArray[np.int64], start: int, size: int) -> int:
    """Where a part that begins at ``start`` ends: rows of one order stay together, however many they are."""
    end = start + size
    if end >= len(orders):
        return len(orders)
    first = start + int(np.searchsorted(orders[start:end], orders[end]))
    return first if first > start else start + int(np.searchsorted(orders[start:], orders[end], "right"))


def _whole(part: Part) -> bool:
    try:
        return int(pq.read_metadata(part.path).num_rows) == part.rows
    except (OSError, pa.ArrowException):
        return False


def _remove(paths: Sequence[str]) -> None:
    for path in paths:
        with suppress(OSError):
            Path(path).unlink(missing_ok=True)
