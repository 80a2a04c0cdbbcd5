"""Keeps the analysts' catalog up to date with the registry and the governance queue.

first time      everything once, a slice a call   ──► parts
then            what was changed since the mark    ──► the tail; a full tail is folded into the parts
after a start   the parts and their mark are taken up, and it goes on from there
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from lifeline.governance.export import schema_of
from lifeline.governance.touched import Mark
from lifeline.lake.catalog import conform
from lifeline.lake.files import GRACE_MS
from lifeline.lake.parted import SHAPES, TAIL_ROWS, PartedTables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lifeline.core.ports import Clock
    from lifeline.core.registry import Registry, RegistrySource
    from lifeline.governance.desk import GovernanceDesk
    from lifeline.lake.catalog import Catalog

SLICE_S: Final = 0.5
"""Of the first time, a call: millions of rows take minutes, and other chores wait on this thread."""
READ_ROWS: Final = 65_536
TRACE_MAX: Final = 8 * TAIL_ROWS
"""Entries of the trace that may wait although the tail is short: the same few events over and over."""


class Publisher:
    """Publishes what changed since the last time; one thread calls it."""

    def __init__(
        self,
        catalog: Catalog,
        desk: GovernanceDesk,
        registry: RegistrySource,
        clock: Clock,
        *,
        grace_ms: int = GRACE_MS,
        tail_rows: int = TAIL_ROWS,
    ) -> None:
        self._catalog = catalog
        self._desk = desk
        self._registry = registry
        self._published: Registry | None = None
        schemas = {name: conform(name, schema_of(name).empty_table()).schema for name in SHAPES}
        self._tables = PartedTables(catalog.root, schemas, clock, grace_ms, tail_rows)
        self._mark = None if self._tables.mark is None else Mark(*self._tables.mark)
        """Up to where parts and tails hold everything."""
        self._filling: Iterator[None] | None = None
        self._shown: Mark | None = None
        """What the catalog shows."""

    @property
    def _folded(self) -> int:
        """The last entry of the trace that is in the parts."""
        return self._tables.mark[0] if self._tables.mark else 0

    def publish_registry(self) -> None:
        """Points and areas, when the registry is newer than what is published."""
        registry = self._registry.current()
        if registry is self._published:
            return
        self._catalog.publish_table("points", registry.coded_points)
        self._catalog.publish_table("areas", registry.areas)
        self._published = registry

    def publish_changes(self, *, may_wait: bool = False) -> None:
        """Points, areas, alarms, events and their log: what is new or has changed.

        ``may_wait``: not while the catalog rests; who calls does so again soon.

        Raises:
            UnavailableError: database or disk refuses; tried again at the next call.
        """
        self.publish_registry()
        if self._shown is not None:  # before, the catalog still shows files of the last process
            self._tables.tidy()
        if may_wait and self._catalog.rests:
            return
        if self._follow():
            for name, table in self._tables.tables.items():
                self._catalog.publish_parts(name, table.files, table.tail_path, table.schema.names, apart=table.apart)
            self._shown = self._mark
        self._catalog.publish()

    def _follow(self) -> bool:
        """Take over what has changed; whether there is something new to show."""
        if self._mark is None and not self._fill():
            return False
        if self._mark == self._shown and self._desk.newest_mark() == self._mark:
            return False
        while self._mark is not None:
            found = self._desk.changed(self._mark)
            if found is None:  # another database, or a backup of it
                self._tables.begin_anew()
                self._mark = None
                return False
            self._tables.put({name: conform(name, rows) for name, rows in found.tables.items()})
            self._mark = found.end
            if self._tables.full or self._mark.entry - self._folded > TRACE_MAX:
                self._fold()
            if found.complete:
                return True
        return False

    def _fold(self) -> None:
        assert self._mark is not None
        self._tables.fold((self._mark.entry, self._mark.stamp, self._mark.log))
        while self._desk.forget_changes(self._mark):
            pass

    def _fill(self) -> bool:
        """Go on with reading everything once, for ``SLICE_S``; whether it is done."""
        self._filling = self._filling or self._read_everything()
        until = time.monotonic() + SLICE_S
        try:
            for _ in self._filling:
                if time.monotonic() > until:
                    return False
        except BaseException:
            self._filling = None
            raise
        self._filling = None
        return True

    def _read_everything(self) -> Iterator[None]:
        self._tables.begin_anew()
        found = self._desk.whole(READ_ROWS, {name: shape.order for name, shape in SHAPES.items()})
        try:
            mark = next(found)
            assert isinstance(mark, Mark)
            held: dict[str, pa.Table] = {}
            for one in found:
                assert not isinstance(one, Mark)
                name, batch = one
                rows = conform(name, pa.Table.from_batches([batch]))
                held[name] = pa.concat_tables([held[name], rows]) if name in held else rows
                held[name] = self._append(name, held[name], last=False)
                yield
            for name, rows in held.items():
                self._append(name, rows, last=True)
        finally:
            found.close()
        self._tables.put({name: table.schema.empty_table() for name, table in self._tables.tables.items()})
        self._tables.seal((mark.entry, mark.stamp, mark.log))
        self._mark = mark

    def _append(self, name: str, rows: pa.Table, *, last: bool) -> pa.Table:
        """Append full parts; what is left waits for more: its order may go on in the next batch."""
        table = self._tables.tables[name]
        orders = rows[table.shape.order]
        whole = rows.num_rows if last else orders.index(orders[-1]).as_py()
        if last or whole >= table.shape.part_rows:
            table.append(rows.slice(0, whole))
            return rows.slice(whole)
        return rows
