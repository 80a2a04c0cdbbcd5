"""What the door asks about emergencies, commands to devices, settings and accounts; rules as in ``ports``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lifeline.console.ports import Page, Row
    from lifeline.core.principal import Principal


class EmergenciesPort(Protocol):
    """Normal and emergency mode (平急) of areas."""

    def list_emergencies(
        self, who: Principal, *, running: bool | None, cursor: str | None, limit: int, area: str | None
    ) -> Page:
        """Newest first, those that touch the caller's areas."""
        ...

    def get_emergency(self, who: Principal, emergency_id: int) -> Row:
        """One with its settings and, when it is over, its review; raises ProblemError(not-found)."""
        ...

    def start_emergency(self, who: Principal, fields: Mapping[str, Any], key: str | None) -> Row:
        """Put an area into emergency mode; ``key``: once, whatever is repeated."""
        ...

    def end_emergency(self, who: Principal, emergency_id: int, reason: str) -> Row:
        """End it before its time; the row has the review."""
        ...


class CommandsPort(Protocol):
    """Commands to devices."""

    def order(self, who: Principal, device: str, fields: Mapping[str, Any], key: str | None, *, masked: bool) -> Row:
        """Queue a command; ``key``: sent once, whatever is repeated."""
        ...

    def list_commands(self, who: Principal, *, masked: bool, **filters: Any) -> Page:
        """Newest first; filters device, event_id, status, cursor, limit."""
        ...

    def get_command(self, who: Principal, command_id: str, *, masked: bool) -> Row:
        """One with its reply; raises ProblemError(not-found)."""
        ...


class SettingsPort(Protocol):
    """Policy, units and responsibility matrix, with versions."""

    def get_setting(self, name: str) -> Row:
        """What is in force of policy, units or duties."""
        ...

    def list_setting_versions(self, name: str, before: int | None, limit: int) -> tuple[list[Row], int | None]:
        """Newest first, without content, and ``before`` of the next page."""
        ...

    def get_setting_version(self, name: str, version: int) -> Row:
        """One with its content; raises ProblemError(not-found)."""
        ...

    def set_policy(self, who: Principal, text: str, reason: str, version: int) -> Row:
        """Put a policy into force; refuse unless ``version`` is the one there; problems name their places."""
        ...

    def set_rows(self, who: Principal, name: str, rows: Sequence[Mapping[str, Any]], reason: str, version: int) -> Row:
        """Make these the units or duties; refuse unless ``version`` is the one there."""
        ...


class AdminPort(Protocol):
    """Keeping accounts and tokens. Refusals are ProblemError and in the audit."""

    def list_accounts(self, *, cursor: str | None = None, limit: int = 100) -> Page:
        """By name, without secrets."""
        ...

    def get_account(self, name: str) -> Row:
        """One; ``version`` changes with its rights."""
        ...

    def add_account(self, who: Principal, fields: Mapping[str, Any], key: str | None) -> Row:
        """A new account, with the one-time word that lets its owner choose a password."""
        ...

    def set_grants(self, who: Principal, name: str, fields: Mapping[str, Any], version: str | None) -> Row:
        """Replace what an account may; ``version``: refuse unless it is this one."""
        ...

    def disable(self, who: Principal, name: str) -> Row:
        """Close an account for good."""
        ...

    def invite(self, who: Principal, name: str) -> Row:
        """A fresh one-time word."""
        ...

    def list_tokens(self, *, account: str | None = None, cursor: str | None = None, limit: int = 100) -> Page:
        """Newest first, without secrets."""
        ...

    def create_token(self, who: Principal, fields: Mapping[str, Any], key: str | None) -> Row:
        """A new token, told in this answer only."""
        ...

    def revoke_token(self, who: Principal, token_id: str) -> Row:
        """Revoke one."""
        ...
