"""The port through which every change of the queue passes, inside the transaction that makes it.

    act, fold, timer, report, mode ──► rows ──► Journal.write(connection, changes) ──► commit

Audit and outbox hang here: what ``write`` raises undoes the changes, so an act that cannot be audited does not happen,
and a message leaves if and only if its change is durable.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from lifeline.governance.actor import Actor


@dataclass(frozen=True, slots=True)
class Change:
    """One thing done, or refused, to one subject."""

    actor: Actor
    at: int
    """Epoch ms; the log's time for what the rules did."""
    subject: str
    """``event``, ``alarm``, ``mode``, ``report`` or ``settings``."""
    subject_id: str
    action: str
    to_state: str
    from_state: str | None = None
    note: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """What the act carried."""
    row: Mapping[str, Any] = field(default_factory=dict)
    """The subject's row afterwards (an event's whole row); empty when refused."""
    refused: str | None = None
    """Why it was not done; nothing of the subject has changed then."""


class Journal(Protocol):
    """Who keeps a record of changes."""

    def write(self, connection: Connection, changes: Sequence[Change]) -> None:
        """Called once a transaction with all its changes in order, after their rows and before the commit."""
        ...


class Silent:
    """Keeps nothing."""

    def write(self, connection: Connection, changes: Sequence[Change]) -> None:
        """Nothing."""


SILENT: Final[Journal] = Silent()
