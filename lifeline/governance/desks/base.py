"""What every desk has: the database, the clock, the journal, and refusals that are audited."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lifeline.governance import audit
from lifeline.governance.audit import AuditEntry
from lifeline.governance.books import Books
from lifeline.governance.database import Database
from lifeline.governance.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lifeline.core.ports import Clock
    from lifeline.governance.actor import Actor
    from lifeline.governance.journal import Journal
    from lifeline.governance.recheck import LastReadings

Row = dict[str, Any]


class BaseDesk:
    """On the database at ``url``, which must exist (the engine makes it)."""

    def __init__(
        self, url: str, clock: Clock, *, journal: Journal | None = None, last_readings: LastReadings | None = None
    ) -> None:
        """``journal``: None for ``Books`` (audit); ``last_readings``: newest values, for the check by telemetry."""
        self._clock = clock
        self._journal = journal or Books(clock)
        self._last_readings = last_readings
        self._database = Database(url, create=False)

    def record(self, *entries: AuditEntry) -> None:
        """Audit what changes no event: a login, an account, a setting, a sensitive read; durable on return.

        Call it before the act takes effect or the answer leaves: when it raises, neither may happen.
        """
        with self._database.write() as connection:
            audit.append(connection, entries, self._clock())

    @contextmanager
    def _refused_is_audited(self, actor: Actor, action: str, subject: str, kind: str = "data") -> Iterator[None]:
        """What is tried and not done leaves an entry of its own; the transaction of the act has none."""
        try:
            yield
        except RefusedError as error:
            what = (actor.id, action, subject, actor.role, actor.address, "refused", str(error))
            self.record(AuditEntry(kind, *what))
            raise

    def close(self) -> None:
        """Close the database."""
        self._database.close()
