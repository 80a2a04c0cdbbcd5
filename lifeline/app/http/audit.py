"""What was done, refused and looked at, for the console: entries of the audit that nobody can rewrite."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from lifeline.app.http.refusing import refusals
from lifeline.governance import audit, audit_proofs
from lifeline.governance.acts import GroupCommit
from lifeline.governance.audit import AuditEntry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from lifeline.console.ports import Page, Row
    from lifeline.core.ports import Clock
    from lifeline.core.principal import Principal
    from lifeline.governance.database import Database

KINDS: Final = {
    "login": "login",
    "account": "user",
    "access": "right",
    "account.grants": "right",
    "token": "right",
    "read": "read",
    "sql": "read",
    "audit": "read",
}
"""Kind of an action, by its whole name or by what stands before the dot."""
SECURITY: Final = "security"
"""The role in which accounts are kept."""
SQL_CHARS_MAX: Final = 3_500
"""Longer queries are kept by their beginning and their digest."""


def entry_of(actor: str, action: str, subject: str, details: Mapping[str, Any], role: str = "") -> AuditEntry:
    """An entry of the audit; ``address`` and ``purpose`` of the details have fields of their own."""
    fields = {name: value for name, value in details.items() if name not in {"address", "purpose"}}
    sql = fields.get("sql")
    if isinstance(sql, str) and len(sql) > SQL_CHARS_MAX:
        fields |= {"sql": sql[:SQL_CHARS_MAX] + "…", "sha256": sha256(sql.encode()).hexdigest(), "chars": len(sql)}
    return AuditEntry(
        kind=KINDS.get(action) or KINDS[action.partition(".")[0]],
        actor=actor,
        role=role,
        action=action,
        object=subject,
        address=str(details.get("address", "")),
        result="refused" if action.endswith(".refused") else "done",
        reason=str(details.get("purpose", "")),
        fields=fields,
    )


def audit_with(clock: Clock, who: Principal | None = None) -> Any:
    """``lifeline.identity.door.Audit`` over the audit; ``who``: the person whose acts these are."""
    told = {} if who is None else {"address": who.address, "via": who.via}
    role = "" if who is None else SECURITY

    def write(connection: Connection, actor: str, action: str, subject: str, details: dict[str, Any]) -> None:
        audit.append(connection, [entry_of(actor, action, subject, {**details, **told}, role)], clock())

    return write


class HttpAudit:
    """``lifeline.console.ports.AuditPort``. Entries of requests that come together share a transaction and fsync."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._group: GroupCommit[AuditEntry, None] = GroupCommit(self._write)

    def record(self, who: Principal, action: str, subject: str, details: Mapping[str, Any]) -> None:
        """One entry, durable on return; what it raises refuses the request."""
        told = {**details, "address": who.address, "via": who.via}
        self._group.submit(entry_of(who.name, action, subject, told, role=" ".join(who.roles)))

    def _write(self, entries: list[AuditEntry]) -> list[None]:
        with self._database.write() as connection:
            audit.append(connection, entries, self._clock())
        return [None] * len(entries)

    def list_entries(self, **filters: Any) -> Page:
        """As ``audit.list_entries``."""
        with refusals(), self._database.read() as connection:
            return audit.list_entries(connection, **filters)

    def prove_entry(self, entry: int, size: int | None) -> Row:
        """As ``audit_proofs.inclusion``."""
        with refusals(f"entry {entry} of the audit"), self._database.read() as connection:
            return audit_proofs.inclusion(connection, entry, size)

    def prove_consistency(self, older: int, size: int | None) -> Row:
        """As ``audit_proofs.consistency``."""
        with refusals(), self._database.read() as connection:
            return audit_proofs.consistency(connection, older, size)
