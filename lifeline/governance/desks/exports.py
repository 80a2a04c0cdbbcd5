"""What is published for analysts, by what has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lifeline.governance import export, touched
from lifeline.governance.desks.base import BaseDesk

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping

    import pyarrow as pa

    from lifeline.governance.touched import Mark

Row = dict[str, Any]


class ExportDesk(BaseDesk):
    """What is published for analysts, by what has changed."""

    def newest_mark(self) -> Mark:
        """The end of the trace of changes; equal marks: nothing has changed between them. Cheap."""
        with self._database.read() as connection:
            return touched.newest(connection)

    def changed(self, mark: Mark) -> export.Changes | None:
        """Rows of the published views that were changed after a mark; as ``export.changed``."""
        with self._database.read() as connection:
            return export.changed(connection, mark)

    def whole(self, rows: int, orders: Mapping[str, str]) -> Generator[Mark | tuple[str, pa.RecordBatch], None, None]:
        """The mark of a moment, then every row of the published views at that moment; as ``export.whole``.

        One transaction is open until the last has been taken, or the iterator is closed.
        """
        with self._database.read() as connection:
            yield touched.newest(connection)
            yield from export.whole(connection, rows, orders)

    def forget_changes(self, before: Mark) -> bool:
        """Some of the trace before a mark, which is needed no more; whether there is more of it."""
        with self._database.write() as connection:
            return touched.forget(connection, before)

    def snapshot_tables(self, names: Iterable[str] = ("alarms", "events", "event_log")) -> dict[str, pa.Table]:
        """The published views as Arrow tables, all of one moment."""
        with self._database.read() as connection:
            return export.snapshot_tables(connection, names)
