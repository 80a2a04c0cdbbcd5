"""The engine's door: alarm changes and the log position go in together, in one durable transaction.

    apply ─► fetch rows concerned ─► fold (pure) ─► store ─► position ─► commit (fsync)

Nothing of a batch is visible before its position is, and nothing twice: ids are deterministic, a known alarm is
never inserted or cleared again, and a position never goes back. So after ``kill -9`` the rules follower starts again
from ``position`` and repeats whatever it likes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, insert, select, update

from lifeline.core.alarm import AlarmChange
from lifeline.governance import alarms as alarm_acts
from lifeline.governance.database import Database, bump
from lifeline.governance.fold import Effects, Fold, group_key, unknown_rule
from lifeline.governance.schema import OPEN, WAITING, alarms, event_log, events, followers, holds
from lifeline.governance.statements import execute_many, fetch, insert_into

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Connection

    from lifeline.core.alarm import RuleInfo
    from lifeline.core.ports import Clock
    from lifeline.governance.places import PlaceLookup

Row = dict[str, Any]

TICK_MS: Final = 1000
"""Shelves are looked at once a second: they are given in minutes."""
ADOPT_ROWS_MAX: Final = 10_000
"""Alarms that join events in one tick after a hold has ended; the rest follow in the next."""

_CLEARED_COLUMNS: Final = ("active", "state", "cleared_at", "clear_detected_at", "clear_value", "clear_lsn")
_TOUCHED_COLUMNS: Final = (
    "level",
    "title",
    "raised_at",
    "due_at",
    "alarm_count",
    "active_count",
    "normal_at",
    "version",
)

# what the fold looks at or changes in rows that are stored already: a third of the columns, half of the time
_KNOWN_ALARMS: Final = select(
    *(alarms.c[name] for name in ("alarm_id", "event_id", "active", "acked")),
    *(alarms.c[name] for name in ("shelved_until", "suppressed", "out_of_service")),
)
_KNOWN_EVENTS: Final = select(
    *(events.c[name] for name in ("event_id", "status", "detected_at", "group_key", "is_open", *_TOUCHED_COLUMNS))
)


class GovernanceQueue:
    """The queue as the rules follower sees it (``lifeline.core.ports.AlarmSink``); one thread calls it.

    ``rules`` by rule id may be replaced (``rules = …``) when rules are reloaded; an alarm of a rule that is not
    there is kept all the same, in an event of its device. ``name`` is the follower whose position is kept.

    Raises:
        ConfigurationError, UnavailableError, CorruptionError: as ``Database``.
    """

    def __init__(
        self, url: str, rules: Mapping[str, RuleInfo], places: PlaceLookup, clock: Clock, name: str = "rules"
    ) -> None:
        self.rules = rules
        self.name = name
        self._places = places
        self._clock = clock
        self._database = Database(url)
        self._next_tick_ms = 0
        self._position = self._read_position()

    @property
    def position(self) -> int:
        """The log position of the last transaction, 0 for a new queue."""
        return self._position

    def apply(self, changes: Sequence[AlarmChange], position: int, now_ms: int) -> list[str]:
        """Store changes and position in one durable transaction; returns the ids of events that it opened.

        A position at or below the stored one does not move it; its changes are taken all the same, and change
        nothing where they are known.

        Raises:
            UnavailableError: the database refuses; nothing was stored, or all of it: apply again.
        """
        if not changes and position <= self._position:
            return []
        with self._database.write() as connection:
            effects = self._fold(connection, changes, now_ms) if changes else Effects()
            store(connection, effects)
            insertion = insert_into(connection, followers).values(name=self.name, position=position)
            higher = insertion.on_conflict_do_update(
                index_elements=[followers.c.name],
                set_={"position": insertion.excluded.position},
                where=followers.c.position < insertion.excluded.position,
            )
            connection.execute(higher)
        self._position = max(self._position, position)
        return [row["event_id"] for row in effects.new_events]

    def tick(self, now_ms: int) -> list[str]:
        """Work by age: shelves that ran out, and standing alarms that no hold keeps from an event any longer.

        Looks once a second at the most. Returns the ids of events that it opened.

        Raises:
            UnavailableError: the database refuses; nothing was changed.
        """
        if now_ms < self._next_tick_ms:
            return []
        self._next_tick_ms = now_ms + TICK_MS
        with self._database.read() as connection:
            due = alarm_acts.expired_holds(connection, now_ms, rows_max=1)
            if not due and not _waiting(connection, rows_max=1):
                return []
        with self._database.write() as connection:
            alarm_acts.expire_holds(connection, now_ms)
            waiting = _waiting(connection, ADOPT_ROWS_MAX)
            effects = self._adopt(connection, waiting, now_ms)
            store(connection, effects)
        return [row["event_id"] for row in effects.new_events]

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    # --- how ---------------------------------------------------------------------------------------------------

    def _read_position(self) -> int:
        with self._database.read() as connection:
            found = connection.scalar(select(followers.c.position).where(followers.c.name == self.name))
        return int(found or 0)

    def _rule(self, of: AlarmChange | Row) -> RuleInfo:
        if isinstance(of, AlarmChange):
            rule_id, version, level = of.rule_id, of.rule_version, of.level
        else:
            rule_id, version, level = of["rule_id"], of["rule_version"], of["level"]
        return self.rules.get(rule_id) or unknown_rule(rule_id, version, level)

    def _fold(self, connection: Connection, changes: Sequence[AlarmChange], now_ms: int) -> Effects:
        known = fetch(connection, _KNOWN_ALARMS, alarms.c.alarm_id, (change.alarm_id for change in changes))
        known_ids = {row["alarm_id"] for row in known}
        fresh = [change for change in changes if change.alarm_id not in known_ids]
        fold = self._prepare(connection, known, [(self._rule(change), change.point) for change in fresh], now_ms)
        for change in changes:
            fold.take(change)
        return fold.effects

    def _adopt(self, connection: Connection, waiting: Sequence[Row], now_ms: int) -> Effects:
        fold = self._prepare(connection, waiting, [(self._rule(row), row["point"]) for row in waiting], now_ms)
        for alarm in waiting:
            fold.adopt(alarm, now_ms)
        return fold.effects

    def _prepare(
        self, connection: Connection, known: Iterable[Row], joining: Sequence[tuple[RuleInfo, int]], now_ms: int
    ) -> Fold:
        """Everything the fold needs: places, events of known alarms, open events of the groups, holds."""
        rows = {row["alarm_id"]: row for row in known}
        places = self._places.of(point for _, point in joining)
        keys = {group_key(rule.event, places[point].key(rule.place)) for rule, point in joining}
        event_ids = {row["event_id"] for row in rows.values()} - {None}
        found = fetch(connection, _KNOWN_EVENTS, events.c.event_id, event_ids)
        found += fetch(connection, _KNOWN_EVENTS.where(OPEN), events.c.group_key, keys)
        quiet: dict[tuple[str, int], list[Row]] = {}
        for hold in fetch(connection, select(holds), holds.c.point, places):
            quiet.setdefault((hold["rule_id"], hold["point"]), []).append(hold)
        return Fold(
            rule=self._rule,
            title=self._places.title,
            places=places,
            alarms=rows,
            events={row["event_id"]: row for row in found},
            holds=quiet,
            stored_at=now_ms,
        )


def store(connection: Connection, effects: Effects) -> None:
    """Write effects with one batched statement a kind. Audit and outbox rows belong here, in the same transaction."""
    if effects.new_events:
        execute_many(connection, insert_into(connection, events).on_conflict_do_nothing(), effects.new_events)
    if effects.touched:
        statement = update(events).where(events.c.event_id == bindparam("key"))
        execute_many(connection, statement, _keyed(effects.touched, _TOUCHED_COLUMNS))
    if effects.new_alarms:
        execute_many(connection, insert_into(connection, alarms).on_conflict_do_nothing(), effects.new_alarms)
    if effects.cleared:
        statement = update(alarms).where(alarms.c.alarm_id == bindparam("key"))
        execute_many(connection, statement, _keyed(effects.cleared, _CLEARED_COLUMNS))
    if effects.adopted:
        statement = update(alarms).where(alarms.c.alarm_id == bindparam("key"))
        execute_many(connection, statement, _keyed(effects.adopted, ("event_id",)))
    if effects.log:
        execute_many(connection, insert(event_log), effects.log)
    if effects.tables:
        bump(connection, *effects.tables)


def _keyed(rows: Mapping[str, Row], columns: Sequence[str]) -> list[Row]:
    return [{"key": key, **{name: row[name] for name in columns}} for key, row in rows.items()]


def _waiting(connection: Connection, rows_max: int) -> list[Row]:
    """Standing alarms without an event and without a hold, oldest first."""
    query = select(alarms).where(WAITING).order_by(alarms.c.detected_at, alarms.c.alarm_id).limit(rows_max)
    return [dict(row) for row in connection.execute(query).mappings()]
