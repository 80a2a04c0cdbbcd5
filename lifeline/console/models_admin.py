"""What goes over the wire about emergencies, commands to devices, accounts and tokens; rules as in ``models``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from lifeline.console.models import Answer, Asked, Millis, Text

AreaCode = Annotated[str, Field(min_length=1, max_length=32, pattern=r"^[A-Za-z0-9]+$")]
Reason = Annotated[str, Field(min_length=1, max_length=1000)]
Role = Literal["viewer", "operator", "dispatcher", "analyst", "auditor", "admin", "security", "reporter"]
Utility = Literal["gas", "water", "heat"]
Grade = Literal["general", "important", "core"]
Areas = Annotated[list[AreaCode], Field(max_length=200, description="and all within them; empty: everywhere")]
Utilities = Annotated[list[Utility], Field(max_length=3, description="empty: all")]


Unit = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]
Why = Annotated[str, Field(min_length=1, max_length=1000, description="why it is changed; in versions and audit")]


class Setting(Answer):
    """Policy, units or duties as they are in force: ``text`` (TOML) of the policy, ``rows`` of the tables."""

    name: str
    version: int = Field(description="0: nobody has decided anything yet; the ETag")
    at: int | None
    actor: str | None
    source: str = Field(description="built-in, api, shell or file")
    reason: str
    file: str | None = Field(description="the file that keeps it: it cannot be changed here")
    text: str | None = None
    rows: list[dict[str, Any]] | None = None


class SettingVersion(Answer):
    """One version, with ``text`` or ``rows`` when it is asked for alone."""

    version: int
    at: int
    actor: str
    role: str
    source: str
    reason: str
    digest: str = Field(description="SHA-256 of the content")


class SettingVersions(Answer):
    """Newest first."""

    versions: list[SettingVersion]
    next: int | None


class PolicyAsked(Asked):
    """A whole policy."""

    text: Annotated[str, StringConstraints(strip_whitespace=False)] = Field(
        max_length=200_000, description="TOML, as docs/governance.md describes it"
    )
    reason: Why


class UnitRow(Asked):
    """Who handles."""

    unit: Unit
    capacity: int = Field(50, ge=1, le=100_000, description="open events it can carry")
    contact: Annotated[str | None, Field(max_length=200, pattern=r"^[^\x00-\x1f]*$")] = None


class UnitsAsked(Asked):
    """All the units."""

    rows: list[UnitRow] = Field(max_length=20_000)
    reason: Why


class DutyRow(Asked):
    """One row of the responsibility matrix; ``*`` means any."""

    utility: Literal["gas", "water", "heat", "*"] = "*"
    asset_kind: str = Field("*", min_length=1, max_length=64, pattern=r"^[^\x00-\x1f]+$")
    area_code: str = Field("*", min_length=1, max_length=32, pattern=r"^([A-Za-z0-9]+|\*)$")
    unit: Unit
    co_units: str = Field("", max_length=2000, pattern=r"^[^\x00-\x1f]*$", description="comma-separated")
    mode: Literal["normal", "emergency", "*"] = "*"


class DutiesAsked(Asked):
    """The whole responsibility matrix."""

    rows: list[DutyRow] = Field(max_length=20_000)
    reason: Why


class Emergency(Answer):
    """An area in emergency mode, now or in the past."""

    emergency_id: int
    area_code: str
    since: int
    until: int = Field(description="its automatic end")
    ended_at: int | None = Field(description="null: it holds")
    reason: str
    actor: str
    ended_by: str | None
    end_reason: str | None
    settings: dict[str, Any] = Field(description="what it changes: factor, direct, fold, readers, overrides")
    incident_id: str | None = Field(description="the event that its events belong to")
    rules_since: int | None = Field(description="from when on, in log time, its rule parameters are in force")
    rules_until: int | None
    review: dict[str, Any] | None = Field(
        description="what happened, once it is over; for those who may see the whole area"
    )


class EmergencyPage(Answer):
    """Newest first."""

    emergencies: list[Emergency]
    next: str | None


class EmergencyStart(Asked):
    """Which area, why, and until when: a time or so many hours."""

    area_code: AreaCode
    reason: Reason
    until: Millis | None = None
    hours: float = Field(2.0, gt=0, le=720, description="instead of until")


class EmergencyEnd(Asked):
    """Why it ends before its time."""

    reason: Reason


class CommandOrder(Asked):
    """A request to look more closely; nothing is opened or closed by it."""

    action: Literal["sample-faster", "inspect-valve"]
    interval_s: int | None = Field(default=None, ge=1, le=3600, description="sample-faster: between readings")
    for_s: int | None = Field(default=None, ge=60, le=86_400, description="sample-faster: for so long")
    event_id: str | None = Field(
        default=None, min_length=4, max_length=20, pattern=r"^[0-9a-f]+$", description="the case it is for"
    )
    reason: str = Field(default="", max_length=1000)


class Command(Answer):
    """A command and what became of it."""

    command_id: str
    at: int
    actor: str
    device_id: str
    action: str
    fields: dict[str, Any]
    event_id: str | None
    expires_at: int
    status: str = Field(description="queued, sent, done, refused, expired")
    sent_at: int | None
    replied_at: int | None
    reply: Any = Field(description="the device's answer")


class CommandPage(Answer):
    """Newest first."""

    commands: list[Command]
    next: str | None


class GrantAsked(Asked):
    """One role, where it holds."""

    role: Role
    areas: Areas = Field(default_factory=list)
    utilities: Utilities = Field(default_factory=list)


class AccountAsked(Asked):
    """A new account."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[\w.@-]+$")
    display: str = Field(default="", max_length=200)
    grants: list[GrantAsked] = Field(min_length=1, max_length=50)
    grade: Grade = "general"
    subject: Text = Field(default=None, description="issuer|subject of the identity provider: no password then")


class GrantsAsked(Asked):
    """All that an account may from now on."""

    grants: list[GrantAsked] = Field(min_length=1, max_length=50)
    grade: Grade


class Account(Answer):
    """An account, without secrets."""

    name: str
    display: str
    grants: list[dict[str, Any]]
    grade: str
    subject: str | None
    has_password: bool
    created_at: int
    disabled_at: int | None
    version: str = Field(description="the ETag of its rights")


class Invited(Answer):
    """A one-time word, told once: its holder chooses the account's password."""

    name: str
    one_time: str | None
    link: str | None
    one_time_expires_at: int | None


class AccountMade(Account):
    """A new account; the word is null for people of an identity provider, and when the request was a repeat."""

    one_time: str | None
    link: str | None
    one_time_expires_at: int | None


class AccountPage(Answer):
    """By name."""

    accounts: list[Account]
    next: str | None


class TokenAsked(Asked):
    """A token of an account; it can only narrow the account's rights."""

    account: str = Field(min_length=1, max_length=64, pattern=r"^[\w.@-]+$")
    label: str = Field(default="", max_length=200, description="what it is for")
    days: float = Field(default=90.0, gt=0, le=366)
    roles: list[Role] | None = Field(default=None, max_length=8, description="null: all of the account's")
    areas: Areas = Field(default_factory=list)
    utilities: Utilities = Field(default_factory=list)


class Token(Answer):
    """A token, without its secret."""

    token_id: str
    account: str
    label: str
    roles: list[str] | None
    areas: list[str]
    utilities: list[str]
    created_at: int
    expires_at: int
    revoked_at: int | None
    used_at: int | None


class TokenMade(Token):
    """A new token."""

    token: str | None = Field(description="told in this answer only; null when the request was a repeat")


class TokenPage(Answer):
    """Newest first."""

    tokens: list[Token]
    next: str | None
