"""Sinks and commands to devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lifeline.governance.desks.base import BaseDesk
from lifeline.governance.outgoing import downlink, outbox

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lifeline.governance.actor import Actor

Row = dict[str, Any]


class OutgoingDesk(BaseDesk):
    """Sinks and commands to devices."""

    def list_sinks(self) -> list[Row]:
        """Where every sink stands: position, what waits, the last error."""
        with self._database.read() as connection:
            return outbox.list_sinks(connection)

    def command(self, actor: Actor, device_id: str, action: str, *, place: Mapping[str, Any], **given: Any) -> Row:
        """Ask a device to look more closely; durable, audited and on its way on return; as ``downlink.order``.

        Raises:
            IllegalActionError, ForbiddenError, FieldError: nothing was sent; the refusal is audited.
        """
        with self._refused_is_audited(actor, action, f"device/{device_id}"), self._database.write() as connection:
            return downlink.order(connection, actor, device_id, action, place=place, now_ms=self._clock(), **given)

    def list_commands(self, **filters: Any) -> tuple[list[Row], str | None]:
        """A page of commands with their replies, newest first; filters as ``downlink.list_commands``."""
        with self._database.read() as connection:
            return downlink.list_commands(connection, **filters)

    def get_command(self, command_id: str) -> Row:
        """One command with its reply."""
        with self._database.read() as connection:
            return downlink.get_command(connection, command_id)
