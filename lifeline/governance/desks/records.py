"""The audit: what changes no event goes in, pages and proofs come out."""

from __future__ import annotations

from typing import Any

from lifeline.governance import audit, audit_proofs
from lifeline.governance.desks.base import BaseDesk

Row = dict[str, Any]


class RecordDesk(BaseDesk):
    """The audit: what changes no event goes in, pages and proofs come out."""

    def list_audit(self, **filters: Any) -> tuple[list[Row], str | None]:
        """A page of the audit and the next cursor; filters as ``audit.list_entries``."""
        with self._database.read() as connection:
            return audit.list_entries(connection, **filters)

    def prove_entry(self, entry: int, size: int | None = None) -> Row:
        """That an entry is in the audit; as ``audit_proofs.inclusion``."""
        with self._database.read() as connection:
            return audit_proofs.inclusion(connection, entry, size)

    def prove_consistency(self, older: int, size: int | None = None) -> Row:
        """That the audit begins with an older one; as ``audit_proofs.consistency``."""
        with self._database.read() as connection:
            return audit_proofs.consistency(connection, older, size)
