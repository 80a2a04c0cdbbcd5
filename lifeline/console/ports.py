"""What the HTTP door asks of durable things (administration: ``ports_admin``); who answers it is in ``parts``.

Rules of these ports: rows are dicts with times as epoch milliseconds; every list is a page; whoever is asked judges
nothing about rights except what the ``within`` grants say (None: everything). Refusals are raised as
``lifeline.console.problem.ProblemError`` or as a ``LifelineError``, which becomes 503.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from lifeline.core.principal import Grant, Principal

Row = dict[str, Any]
Page = tuple[list[Row], str | None]
"""Rows and the cursor of the next page, None at the end."""
Within = Sequence["Grant"] | None


class SignedIn(Protocol):
    """A session that has begun."""

    @property
    def cookie(self) -> str:
        """What the browser keeps."""
        ...

    @property
    def principal(self) -> Principal:
        """Whose it is."""
        ...


class AccountsPort(Protocol):
    """Who somebody is. All methods may block (disk, password hash)."""

    def of_token(self, token: str, address: str = "") -> Principal | None:
        """Whose bearer token this is."""
        ...

    def of_session(self, cookie: str, address: str = "") -> Principal | None:
        """Whose session this is."""
        ...

    def sign_in(self, name: str, password: str, address: str) -> SignedIn:
        """A session for name and password; raises ProblemError(unauthenticated)."""
        ...

    def sign_in_subject(self, subject: str, address: str) -> SignedIn:
        """A session for somebody whom an identity provider vouches for; raises ProblemError(unauthenticated)."""
        ...

    def redeem(self, word: str, address: str, name: str = "", password: str = "") -> SignedIn:
        """Use a one-time word; raises ProblemError(unauthenticated) or ProblemError(invalid)."""
        ...

    def kind_of(self, word: str) -> str | None:
        """What a one-time word is for, None when it is not good."""
        ...

    def sign_out(self, cookie: str) -> None:
        """End a session."""
        ...

    def csrf_of(self, cookie: str) -> str:
        """The token that pages of this session send with every act."""
        ...


class QueuePort(Protocol):
    """The governance queue."""

    def list_events(self, within: Within, *, masked: bool, **filters: Any) -> Page:
        """Newest first; filters level, status, area, utility, since, cursor, limit."""
        ...

    def get_event(self, event_id: str, *, masked: bool) -> Row:
        """One event with alarms, log and actions; raises ProblemError(not-found)."""
        ...

    def act(
        self,
        who: Principal,
        event_id: str,
        action: str,
        fields: Mapping[str, Any],
        version: int | None,
        key: str | None,
    ) -> Row:
        """Take an action; ``version``: refuse unless it is this one; ``key``: do it once, whatever is repeated."""
        ...

    def report(self, who: Principal, fields: Mapping[str, Any], key: str | None) -> Row:
        """What somebody tells becomes part of the queue: ``{event_id, report_id, merged, distance_m}``."""
        ...

    def get_report(self, report_id: str) -> Row:
        """One report with its ``event`` and the ``places`` of that; raises ProblemError(not-found)."""
        ...

    def services(self) -> list[Row]:
        """What can be reported: code, utility, zh, en."""
        ...

    def kpi(self, who: Principal, start: date | None, end: date | None, **filters: Any) -> Row:
        """Key figures of local days; filters by, district, town, unit, kind, rule, utility."""
        ...

    def proposal(self, event: Row) -> Row:
        """To whom an event (``get_event``) should be dispatched, and why."""
        ...

    def sees(self, who: Principal, event: Row) -> bool:
        """Whether a place that an event (``get_event``) touches lies within the caller's reach; pure."""
        ...

    def actions(self, who: Principal, event: Row) -> list[str]:
        """What ``who`` may do with an event (``get_event``) now; pure."""
        ...

    def list_alarms(self, within: Within, *, masked: bool, **filters: Any) -> Page:
        """Newest first; filters state, rule_id, level, area, utility, event_id, since, cursor, limit."""
        ...

    def list_escalations(
        self, who: Principal, *, masked: bool, after: int, centre: str | None, limit: int
    ) -> tuple[list[Row], int | None]:
        """The supervision feed in order, what concerns ``who``; the number to go on from, None at the end."""
        ...

    def get_alarm(self, alarm_id: str, *, masked: bool) -> Row:
        """One alarm with its log; raises ProblemError(not-found)."""
        ...

    def act_alarm(self, who: Principal, alarm_id: str, action: str, fields: Mapping[str, Any]) -> Row:
        """ack, shelve, unshelve, suppress and so on."""
        ...

    def changes(self, after: int, limit: int) -> list[Row]:
        """Entries of the event log after number ``after`` in order, each with its event, masked: what streams tell.

        ``places``: every (area, utility) that the event touches.
        """
        ...

    def newest_change(self) -> int:
        """The number of the newest entry; cheap, asked many times a second."""
        ...


class LakePort(Protocol):
    """Registry and readings, as published for analysts."""

    def list_points(self, within: Within, *, masked: bool, **filters: Any) -> Page:
        """By point number; filters device, quantity, utility, kind, area, cursor, limit."""
        ...

    def readings(
        self, device: str, quantity: str, start: int | None, end: int | None, points_max: int, *, masked: bool
    ) -> Row:
        """``{point, readings, …}`` of one point; raises ProblemError(not-found).

        More than ``points_max`` become minimum and maximum of equal stretches of time.
        """
        ...

    def list_areas(
        self, *, level: str | None = None, parent: str | None = None, cursor: str | None = None, limit: int = 1000
    ) -> Page:
        """By code."""
        ...

    def live(self, within: Within, *, masked: bool, **filters: Any) -> Row:
        """``{values, position, next}`` by point number; filters as ``list_points``."""
        ...

    def live_arrow(self, within: Within, *, masked: bool) -> bytes:
        """Every last value as an Arrow IPC stream."""
        ...


class SqlPort(Protocol):
    """Analysts' queries, outside this process."""

    def run(self, who: Principal, sql: str, output: str, rows_max: int, *, masked: bool) -> bytes:
        """The result of one SELECT in ``output`` form; raises ProblemError."""
        ...


class AuditPort(Protocol):
    """What nobody can rewrite."""

    def record(self, who: Principal, action: str, subject: str, details: Mapping[str, Any]) -> None:
        """Keep an entry, durably, before the answer leaves; what it raises refuses the request."""
        ...

    def list_entries(self, **filters: Any) -> Page:
        """Newest first; filters kind, actor, object, since, cursor, limit."""
        ...

    def prove_entry(self, entry: int, size: int | None) -> Row:
        """``{entry, leaf, size, root, proof}``, hashes in hexadecimal; raises ProblemError."""
        ...

    def prove_consistency(self, older: int, size: int | None) -> Row:
        """``{older, older_root, size, root, proof}``; raises ProblemError."""
        ...
