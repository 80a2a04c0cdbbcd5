"""Which CAP message a change of an event makes, with a name that is taken once and kept over attempts and restarts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select

from lifeline.governance.outgoing import cap
from lifeline.governance.outgoing.cap import CapSettings, Issue
from lifeline.governance.schema import warnings_issued

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from lifeline.core.ports import Clock
    from lifeline.governance.database import Database
    from lifeline.governance.outgoing.outbox import Message


class Warner:
    """Renders the messages of one sink."""

    def __init__(self, sink: str, settings: CapSettings, database: Database, clock: Clock) -> None:
        self._sink = sink
        self._settings = settings
        self._database = database
        self._clock = clock

    def render(self, message: Message) -> tuple[str, bytes] | None:
        """Content type and XML; None when the change issues nothing.

        Raises:
            UnavailableError: the database refuses.
        """
        with self._database.read() as connection:
            known, earlier = self._issued(connection, message)
        kind = cap.message_type(message, earlier)
        if kind is None:
            return None
        if known is None:
            with self._database.write() as connection:
                known = self._take(connection, message)
        return cap.CONTENT_TYPE, cap.render(message, kind, known, earlier, self._settings)

    def _issued(self, connection: Connection, message: Message) -> tuple[Issue | None, list[Issue]]:
        """This message's name, if it has been taken, and those of the event's earlier ones."""
        of = warnings_issued.c.sink == self._sink, warnings_issued.c.event_id == message.subject
        rows = connection.execute(select(warnings_issued).where(*of).order_by(warnings_issued.c.entry)).mappings().all()
        earlier = [_issue(row) for row in rows if row["entry"] < message.entry]
        known = next((_issue(row) for row in rows if row["entry"] == message.entry), None)
        return known, earlier

    def _take(self, connection: Connection, message: Message) -> Issue:
        """The next free name: at most ten a second, so a flood borrows from the seconds that follow."""
        now_ms = self._clock() // 1000 * 1000
        columns = warnings_issued.c.sent_at, warnings_issued.c.serial
        query = select(*columns).where(warnings_issued.c.sink == self._sink)
        last = connection.execute(query.order_by(*(column.desc() for column in columns)).limit(1)).first()
        sent_at, serial = now_ms, 0
        if last is not None and last.sent_at >= now_ms:
            borrowed = last.serial + 1 == cap.SERIALS
            sent_at, serial = (last.sent_at + 1000, 0) if borrowed else (last.sent_at, last.serial + 1)
        row: dict[str, Any] = {
            "sink": self._sink,
            "entry": message.entry,
            "event_id": message.subject,
            "identifier": cap.identifier(self._settings, message, sent_at, serial),
            "sent_at": sent_at,
            "serial": serial,
        }
        connection.execute(insert(warnings_issued), [row])
        return _issue(row)


def _issue(row: Any) -> Issue:
    return Issue(row["identifier"], row["sent_at"])
