"""Who answers the HTTP door, and how it behaves: both are handed in by the roof (``lifeline.app.console``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lifeline.console.oidc import Provider
    from lifeline.console.ports import AccountsPort, AuditPort, LakePort, QueuePort, Row, SqlPort
    from lifeline.console.ports_admin import AdminPort, CommandsPort, EmergenciesPort, SettingsPort


@dataclass(frozen=True)
class Parts:
    """Who answers."""

    status: Callable[[], Row]
    metrics: Callable[[], bytes | None]
    accounts: AccountsPort
    admin: AdminPort
    queue: QueuePort
    settings: SettingsPort
    emergencies: EmergenciesPort
    commands: CommandsPort
    lake: LakePort
    sql: SqlPort
    audit: AuditPort


@dataclass(frozen=True)
class Settings:
    """How the door behaves.

    ``hosts``: names under which we may be asked, None for any; ``secure``: pages are only ever reached over TLS, ours
    or a proxy's; ``public_url``: how others reach us.
    """

    site: str = "Lifeline"
    timezone: str = "UTC"
    hosts: Sequence[str] | None = ("127.0.0.1", "localhost", "::1")
    secure: bool = False
    remote_metrics: bool = False
    public_url: str = ""
    provider: Provider | None = None
    """Who else vouches for people."""
