"""What was done, refused and looked at, for the console."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lifeline.console.problem import ProblemError
from lifeline.identity import IdentityError, log

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lifeline.console.ports import Page
    from lifeline.core.ports import Clock
    from lifeline.core.principal import Principal
    from lifeline.governance.database import Database


class HttpAudit:
    """``lifeline.console.ports.AuditPort``."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def record(self, who: Principal, action: str, subject: str, details: Mapping[str, Any]) -> None:
        """One entry, durable on return; what it raises refuses the request."""
        told = {**details, "address": who.address, "via": who.via}
        with self._database.write() as connection:
            log.append(connection, self._clock(), who.name, action, subject, told)

    def list_entries(self, **filters: Any) -> Page:
        """As ``identity.log.list_entries``."""
        try:
            with self._database.read() as connection:
                return log.list_entries(connection, **filters)
        except IdentityError as error:
            raise ProblemError("invalid", str(error)) from error
