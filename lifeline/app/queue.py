"""The governance queue for the command line."""

from __future__ import annotations

import getpass
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, timedelta
from typing import TYPE_CHECKING, Any, Final

from lifeline.app.clock import now_ms
from lifeline.app.latched import is_latched, read_latched
from lifeline.app.rechecking import LastValuesCheck
from lifeline.app.reference import read_rows
from lifeline.app.since import parse_time
from lifeline.app.site import load_site
from lifeline.core.errors import ConfigurationError, Problem, UnavailableError
from lifeline.governance.actor import Actor
from lifeline.governance.alarms import ACTS
from lifeline.governance.desk import GovernanceDesk
from lifeline.governance.errors import FieldError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from lifeline.app.latched import Latched
    from lifeline.app.site import Site

TIMES: Final = frozenset(
    {"raised_at", "detected_at", "dispatched_at", "accepted_at", "resolved_at", "closed_at", "due_at", "normal_at",
     "cleared_at", "clear_detected_at", "acked_at", "shelved_until", "at", "until", "filed_at",
     "first_dispatched_at", "first_accepted_at", "overdue_at", "suspended_at", "due_from", "extension_until",
     "since", "ended_at", "realarm_at", "stored_at", "failing_since", "next_at", "disabled_at"}
)  # fmt: skip
"""Columns of the queue that are epoch milliseconds; answers carry them as times."""


class Desk:
    """What the command line asks of the queue; rows carry times as UTC datetimes."""

    def __init__(self, desk: GovernanceDesk, site: Site | None = None) -> None:
        """``site``: whose rules a policy must fit; needed for setting one only."""
        self._desk = desk
        self._site = site

    def list_events(
        self,
        *,
        level: Sequence[str] | None,
        status: Sequence[str] | None,
        area: str | None,
        utility: str | None,
        since: str | None,
        limit: int,
        cursor: str | None,
    ) -> dict[str, Any]:
        """``{events, next}``, newest first."""
        rows, following = self._desk.list_events(
            level=level or None,
            status=status or None,
            area=area,
            utility=utility,
            since=self._time(since),
            limit=limit,
            cursor=cursor,
        )
        return {"events": [with_times(row) for row in rows], "next": following}

    def show_event(self, event_id: str) -> dict[str, Any]:
        """One event with ``alarms``, ``log`` and legal ``actions``."""
        return with_times(self._desk.get_event(event_id))

    def act(
        self, event_id: str, action: str, *, actor: str | None, role: str, note: str, **fields: object
    ) -> dict[str, Any]:
        """Move an event on; the event afterwards."""
        given: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
        return with_times(self._desk.act(event_id, action, _actor(actor, role), note or None, **given))

    def report(self, *, actor: str | None, **fields: Any) -> dict[str, Any]:
        """Take in what somebody tells; which event it opened or joined."""
        from lifeline.governance.reports import Report

        return with_times(self._desk.report(Report(**fields), _actor(actor, "operator")))

    def why(self, event_id: str) -> dict[str, Any]:
        """Which unit should handle an event, and why."""
        return self._desk.propose(event_id)

    def overdue(self, *, after: int, centre: str | None, limit: int) -> dict[str, Any]:
        """The supervision feed: ``{escalations, next}``."""
        rows, following = self._desk.list_escalations(after=after, centre=centre, limit=limit)
        return {"escalations": [with_times(row) for row in rows], "next": following}

    def kpi(self, since: str, until: str, **filters: Any) -> dict[str, Any]:
        """Key figures of local days, the last one included."""
        try:
            start, end = date.fromisoformat(since), date.fromisoformat(until)
        except ValueError as error:
            raise FieldError(f"days are written 2026-11-23: {error}") from None
        return self._desk.kpi(start, end + timedelta(days=1), **filters)

    def emergency(self, area: str, *, actor: str | None, role: str, reason: str, hours: float | None) -> dict[str, Any]:
        """Start an area's emergency for so many hours, or (None) end it."""
        who = _actor(actor, role)
        if hours is None:
            return with_times(self._desk.end_emergency(area, reason, who))
        return with_times(self._desk.start_emergency(area, None, reason, who, hours=hours))

    def emergencies(self, area: str | None) -> list[dict[str, Any]]:
        """Emergencies past and present with their reviews."""
        return [with_times(row) for row in self._desk.list_emergencies(area=area)[0]]

    def list_sinks(self) -> list[dict[str, Any]]:
        """Where every sink stands."""
        return [with_times(row | {"next_at": row["next_at"] or None}) for row in self._desk.list_sinks()]

    def list_alarms(
        self,
        *,
        state: Sequence[str] | None,
        rule: str | None,
        level: Sequence[str] | None,
        since: str | None,
        limit: int,
        cursor: str | None,
    ) -> dict[str, Any]:
        """``{alarms, next}``, newest first; the state ``active`` is any in which the condition stands."""
        stands = list(state or ()) == ["active"]
        if not stands and "active" in (state or ()):
            raise FieldError("active is any state in which the condition stands: ask for it alone (请单独使用 active)")
        rows, following = self._desk.list_alarms(
            state=None if stands else state or None,
            active=True if stands else None,
            rule_id=rule,
            level=level or None,
            since=self._time(since),
            limit=limit,
            cursor=cursor,
        )
        held = self._latched()
        told = [with_times(row | {"latched": is_latched(row, held)}) for row in rows]
        return {"alarms": told, "next": following}

    def _latched(self) -> Latched:
        return frozenset() if self._site is None else read_latched(self._site.status_path)

    def _time(self, since: str | None) -> int | None:
        return parse_time(since, zone=self._site.zone if self._site is not None else UTC)

    def get_alarm(self, alarm_id: str) -> dict[str, Any]:
        """One alarm (id or unique beginning of it) as it is stored, and ``latched``; times in epoch ms."""
        row = self._desk.get_alarm(alarm_id)
        return row | {"latched": is_latched(row, self._latched())}

    def list_holds(self) -> list[dict[str, Any]]:
        """What is quiet on purpose, a thousand at most."""
        return [with_times(row) for row in self._desk.list_holds()]

    def load(self, since: str, *, utility: str | None, area: str | None) -> dict[str, Any]:
        """Alarm load since a time, against what is acceptable, and what should be looked after."""
        start, end = self._time(since), now_ms()
        assert start is not None
        load = self._desk.alarm_load(start, end, utility=utility, area=area)
        figures = {name: getattr(load, name) for name in load.__slots__}
        nuisances = self._desk.nuisances(start, end, utility=utility, area=area)
        return figures | {
            "alarms": sum(load.windows),
            "top": [one._asdict() for one in load.top],
            "oldest": [with_times(one._asdict()) for one in load.oldest],
            "nuisances": [{name: getattr(one, name) for name in one.__slots__} for one in nuisances],
        }

    def change_alarm(
        self, verb: str, alarm_id: str, *, actor: str | None, role: str, note: str, **given: Any
    ) -> dict[str, Any]:
        """An act of ``alarms.ACTS``; ``minutes`` and ``once`` of a shelf. The alarm afterwards.

        ``changed``: whether it did anything; unshelving what is not shelved and acknowledging twice do nothing.
        ``latched``: its condition is over, so that an acknowledgement ends it.
        """
        minutes = given.pop("minutes", None)
        until = None if minutes is None else now_ms() + int(minutes * 60_000)
        before = self._desk.get_alarm(alarm_id)
        changed = self._would_change(verb, before)
        row = self._desk.act_alarm(alarm_id, verb, _actor(actor, role), note or None, until, **given)
        return with_times(row | {"changed": changed, "latched": is_latched(row, self._latched())})

    def _would_change(self, verb: str, alarm: dict[str, Any]) -> bool:
        """Whether an act can do anything: an end of a hold needs one, on this alarm or on its rule at its point."""
        if verb == "ack":
            return not alarm["acked"]
        ends = ACTS[verb].ends if verb in ACTS else ""
        if not ends:
            return True
        marked = {"shelved": "shelved_until", "suppressed": "suppressed", "out-of-service": "out_of_service"}[ends]
        of = alarm["rule_id"], alarm["point"], ends
        held = any((hold["rule_id"], hold["point"], hold["kind"]) == of for hold in self._desk.list_holds())
        return held or bool(alarm[marked])

    def get_setting(self, name: str, version: int | None) -> dict[str, Any]:
        """Policy, units or duties: what is in force, or an older version."""
        found = self._desk.get_setting(name) if version is None else self._desk.get_setting_version(name, version)
        return with_times(found)

    def list_setting_versions(self, name: str, before: int | None, limit: int) -> dict[str, Any]:
        """``{versions, next}``, newest first."""
        rows, following = self._desk.list_setting_versions(name, before, limit)
        return {"versions": [with_times(row) for row in rows], "next": following}

    def set_setting(
        self, name: str, file: Path, *, reason: str, seen: int | None, actor: str | None, role: str
    ) -> dict[str, Any]:
        """Put a file's content into force; the setting afterwards.

        Raises:
            ConfigurationError: the file cannot be read, or says what cannot be; every place of it.
        """
        who, version = _actor(actor, role), self._desk.get_setting(name)["version"] if seen is None else seen
        if name != "policy":
            rows = read_rows(file, name)
            return with_times(self._desk.set_rows(name, rows, reason, who, version, "shell"))
        from lifeline.app.overriding import override_faults  # the rules' compiler: seldom asked for
        from lifeline.governance.regulations import WrongTextError

        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError([Problem(str(file), name, f"cannot be read: {error}", "UTF-8 TOML")]) from None
        try:
            assert self._site is not None, "a policy is set on a site"
            faults = override_faults(self._site, text)
            return with_times(self._desk.set_policy(text, reason, who, version, faults, "shell"))
        except WrongTextError as error:
            raise ConfigurationError([replace(one, file=str(file)) for one in error.problems]) from None

    def prove_entry(self, entry: int, size: int | None) -> dict[str, Any]:
        """That an entry is in the audit; as ``audit_proofs.inclusion``."""
        return self._desk.prove_entry(entry, size)

    def prove_consistency(self, older: int, size: int | None) -> dict[str, Any]:
        """That the audit begins with an older one; as ``audit_proofs.consistency``."""
        return self._desk.prove_consistency(older, size)


def _actor(name: str | None, role: str) -> Actor:
    """Who sits at the shell: by name, or by login."""
    try:
        return Actor(name or getpass.getuser(), role)
    except ValueError as error:
        raise FieldError(f"actor {error}") from None


def with_times(row: dict[str, Any]) -> dict[str, Any]:
    """The row with epoch milliseconds as UTC datetimes, nested rows too."""
    from datetime import UTC, datetime

    def convert(name: str, value: Any) -> Any:
        if isinstance(value, dict):
            return with_times(value)
        if isinstance(value, list):
            return [with_times(entry) if isinstance(entry, dict) else entry for entry in value]
        if name in TIMES and isinstance(value, int):
            return datetime.fromtimestamp(value / 1000, UTC)
        return value

    return {name: convert(name, value) for name, value in row.items()}


@contextmanager
def open_desk(config: Path) -> Iterator[Desk]:
    """The desk of a site, closed afterwards; acts take turns with a running engine.

    Raises:
        ConfigurationError: the configuration is wrong.
        UnavailableError: no engine has run here yet, or the database refuses.
    """
    site = load_site(config)
    path = site.config.database_path
    if path is not None and not path.exists():
        raise UnavailableError(f"{path}: no engine has run here yet; lifeline run -c {config}")
    last = LastValuesCheck(site.live_path)
    desk = GovernanceDesk(site.database_url, now_ms, last_readings=last)
    try:
        yield Desk(desk, site)
    finally:
        desk.close()
        last.close()
