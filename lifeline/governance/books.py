"""The books of the queue, as one journal: audit and outbox, in the transaction of the change.

    what people do               ──► audit          what happens to events ──► outbox, for the sinks

What the rules and the clock do (role ``system``) is in the event's own log and can be made again from the readings: it
is no act of anybody, and not audited.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lifeline.governance import audit
from lifeline.governance.audit import AuditEntry
from lifeline.governance.outgoing import outbox
from lifeline.governance.outgoing.envelope import message_of
from lifeline.governance.states import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from lifeline.core.ports import Clock
    from lifeline.governance.journal import Change

_CONFIGURATION = frozenset({"settings", "mode"})


class Books:
    """``lifeline.governance.journal.Journal``: audit of people's changes (under the time of ``clock``), outbox."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def write(self, connection: Connection, changes: Sequence[Change]) -> None:
        """Called with the changes of a transaction, before its commit; what it raises undoes them."""
        audit.append(connection, [_entry(one) for one in changes if one.actor.role != SYSTEM], self._clock())
        outbox.append(connection, (message for one in changes if (message := message_of(one)) is not None))


def _entry(change: Change) -> AuditEntry:
    return AuditEntry(
        kind="configuration" if change.subject in _CONFIGURATION else "data",
        actor=change.actor.id,
        role=change.actor.role,
        address=change.actor.address,
        action=change.action,
        object=f"{change.subject}/{change.subject_id}",
        result="done" if change.refused is None else "refused",
        reason=change.note if change.refused is None else change.refused,
        fields=dict(change.fields) | {"from": change.from_state, "to": change.to_state},
    )
