"""The engine's door: alarm changes and the log position go in together, in one durable transaction.

    apply ─► gather rows concerned ─► fold (pure) ─► store ─► position ─► commit (fsync)

Nothing of a batch is visible before its position is, and nothing twice: ids are deterministic, a known alarm is
never inserted or cleared again, and a position never goes back. So after ``kill -9`` the rules follower starts again
from ``position`` and repeats whatever it likes.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select

from lifeline.core.alarm import AlarmChange
from lifeline.governance import (
    alarm_lists,
    consequences,
    deadlines,
    emergency_tick,
    fold,
    idempotency,
    lapses,
    modes,
    regulations,
    rehearsal,
    repeats,
    without_rule,
)
from lifeline.governance import alarms as alarm_acts
from lifeline.governance.asking import fetch
from lifeline.governance.books import Books
from lifeline.governance.database import Database
from lifeline.governance.effects import Effects
from lifeline.governance.gathering import Gatherer
from lifeline.governance.hand import unknown_rule
from lifeline.governance.schema import EVENTS, events, followers
from lifeline.governance.settings import current_policy, establish
from lifeline.governance.statements import raise_to
from lifeline.governance.steady import Steady
from lifeline.governance.store import store
from lifeline.governance.waiting import due_timers, without_event

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Connection

    from lifeline.core.alarm import RuleInfo
    from lifeline.core.override import ParameterSpan
    from lifeline.core.ports import Clock
    from lifeline.governance.journal import Journal
    from lifeline.governance.places import PlaceLookup

Row = dict[str, Any]

TICK_MS: Final = 1000
"""Shelves are looked at once a second: they are given in minutes."""
FIRE_ROWS_MAX: Final = 1000
"""Deadline steps in one tick; the rest follow in the next."""
FORGET_MS: Final = 3_600_000
"""How often old keys of requests are forgotten."""
NEVER_MS: Final = 1 << 62
ENDS_MAX: Final = 2_000
"""Alarms that are ended in one transaction at a start."""
ADOPT_ROWS_MAX: Final = 10_000
"""Alarms that join events in one tick after a hold has ended; the rest follow in the next."""


class GovernanceQueue:
    """The queue as the rules follower sees it (``lifeline.core.ports.AlarmSink``); one thread calls it.

    ``rules`` by rule id may be replaced (``rules = …``) when rules are reloaded; an alarm of a rule that is not
    there is kept all the same, in an event of its device. ``name`` is the follower whose position is kept.
    ``policy``: the site's TOML text (``policy``), kept in the database for all other doors, as is ``timezone``; None:
    the one that is there holds on. ``policy_file``: where it comes from, which keeps people from changing it elsewhere.

    Raises:
        ConfigurationError, UnavailableError, CorruptionError: as ``Database``.
    """

    def __init__(
        self,
        url: str,
        rules: Mapping[str, RuleInfo],
        places: PlaceLookup,
        clock: Clock,
        name: str = "rules",
        *,
        policy: str | None = None,
        policy_file: str = "",
        timezone: str = "UTC",
        journal: Journal | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rules = rules
        self.name = name
        self._places = places
        self._clock = clock
        self._journal = journal or Books(clock)
        self._database = Database(url)
        self._next_tick_ms = 0
        self._forgot_ms = 0
        self._steady = Steady(monotonic)
        try:
            with self._database.write() as connection:
                before = regulations.content_of(connection, "policy")
                self._policy = establish(connection, policy, timezone)
                regulations.taken_from_file(connection, "policy", policy_file, before, clock())
            self._position = self._read_position()
        except BaseException:
            self._database.close()
            raise

    @property
    def rules(self) -> Mapping[str, RuleInfo]:
        """By rule id."""
        return self._rules

    @rules.setter
    def rules(self, rules: Mapping[str, RuleInfo]) -> None:
        self._rules = rules
        self._relations = consequences.Relations(rules)
        self._settle_at = 0
        self._may_lapse = True

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
            self._policy = current_policy(connection)
            effects = self._fold(connection, changes, now_ms) if changes else Effects()
            store(connection, effects, self._journal, self._policy.timezone)
            alarm_acts.end_shelves(connection, effects.unshelved, self._journal)
            raise_to(connection, followers, {"name": self.name, "position": position}, "position")
        self._position = max(self._position, position)
        return [row["event_id"] for row in effects.new_events]

    def rehearse(self, now_ms: int) -> None:
        """Do once what an alarm needs, and undo it (``lifeline.governance.rehearsal``).

        Raises:
            UnavailableError: the database refuses.
        """
        with suppress(rehearsal.UndoneError), self._database.write() as connection:
            self._policy = current_policy(connection)
            for change in rehearsal.changes(self._rules.values(), self._position, now_ms):
                store(connection, self._fold(connection, [change], now_ms), self._journal, self._policy.timezone)
            raise_to(connection, followers, {"name": self.name, "position": self._position}, "position")
            raise rehearsal.UndoneError

    def tick(self, now_ms: int) -> list[str]:
        """Work by age: shelves that ran out, and standing alarms that no hold keeps from an event any longer.

        Looks once a second at the most. Returns the ids of events that it opened.

        Raises:
            UnavailableError: the database refuses; nothing was changed.
        """
        if self._next_tick_ms - TICK_MS <= now_ms < self._next_tick_ms:
            return []
        self._next_tick_ms = now_ms + TICK_MS
        fires = self._steady.trusts(now_ms)
        if fires and not 0 <= now_ms - self._forgot_ms < FORGET_MS:
            with self._database.write() as connection:
                idempotency.forget(connection, now_ms)
            self._forgot_ms = now_ms
        if fires:
            self._settle_causes(now_ms)
            self._lapse(now_ms)
        with self._database.read() as connection:
            self._policy = current_policy(connection)
            held = alarm_acts.expired_holds(connection, now_ms, rows_max=1) or without_event(connection, rows_max=1)
            due = bool(fires and due_timers(connection, now_ms, rows_max=1))
            again = bool(fires and repeats.due(connection, now_ms, rows_max=1))
            storm = emergency_tick.pending(connection, now_ms, self._policy)
        if not (held or due or storm or again):
            return []
        opened: list[str] = []
        if held:
            with self._database.write() as connection:
                alarm_acts.expire_holds(connection, now_ms, self._journal)
                effects = self._adopt(connection, without_event(connection, ADOPT_ROWS_MAX), now_ms)
                store(connection, effects, self._journal, self._policy.timezone)
            opened = [row["event_id"] for row in effects.new_events]
        if due:
            with self._database.write() as connection:
                store(connection, self._fire(connection, now_ms), self._journal, self._policy.timezone)
        if again:
            with self._database.write() as connection:
                repeats.repeat(connection, now_ms, self._journal, self._policy.timezone)
        if storm:
            with self._database.write() as connection:
                emergency_tick.work(connection, now_ms, policy=self._policy, journal=self._journal)
        return opened

    def _settle_causes(self, now_ms: int) -> None:
        """What ended causes have left behind is told when its time has come; after a change of rules all is looked at.

        Between those times nothing is asked: ``_settle_at`` is when the first of it is due, 0 when that is not known.
        """
        if now_ms < self._settle_at:
            return
        with self._database.read() as connection:
            orphans = consequences.orphans(connection, self._rules)
        due = [one for one in orphans if one[0] <= now_ms]
        if due:
            with self._database.write() as connection:
                store(
                    connection,
                    consequences.release(connection, due, self._policy, now_ms),
                    self._journal,
                    self._policy.timezone,
                )
        self._settle_at = min((at for at, _ in orphans if at > now_ms), default=NEVER_MS)

    def _lapse(self, now_ms: int) -> None:
        """What is put aside and over with its cause; looked for at a start, and when a cause or such an event is."""
        if self._may_lapse:
            with self._database.read() as connection:
                found = lapses.look(connection, self._policy, now_ms)
            if found.effects.log:
                with self._database.write() as connection:
                    found = lapses.look(connection, self._policy, now_ms)
                    store(connection, found.effects, self._journal, self._policy.timezone)
            self._may_lapse = found.more

    def end_without_rule(self, now_ms: int) -> int:
        """End standing alarms of rules that are gone or have another version: nothing else ever would.

        For the start, when rules may have changed while no engine ran. Returns how many alarms that were.

        Raises:
            UnavailableError: the database refuses.
        """
        with self._database.read() as connection:
            ends = without_rule.ends(connection, self._rules, now_ms)
        for start in range(0, len(ends), ENDS_MAX):
            self.apply(ends[start : start + ENDS_MAX], self._position, now_ms)
        return len(ends)

    def acknowledged(self, rule_ids: Sequence[str]) -> list[tuple[str, int, int]]:
        """Standing alarms of these rules that somebody has acknowledged: (rule id, point, onset).

        Raises:
            UnavailableError: the database refuses.
        """
        with self._database.read() as connection:
            return alarm_lists.acknowledged(connection, rule_ids)

    def spans(self, log_time: int | None) -> list[ParameterSpan]:
        """What emergencies set of the rules' parameters, and for which readings (``lifeline.core.override.Spans``).

        Raises:
            UnavailableError: the database refuses; nothing was settled.
        """
        with self._database.read() as connection:
            if log_time is None or not modes.unsettled(connection, log_time):
                return modes.spans(connection)
        with self._database.write() as connection:
            modes.settle_spans(connection, log_time, self._clock(), policy=self._policy, journal=self._journal)
            return modes.spans(connection)

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

    def _gatherer(self) -> Gatherer:
        return Gatherer(self._places, self._relations, self._rule, self._policy)

    def _fold(self, connection: Connection, changes: Sequence[AlarmChange], now_ms: int) -> Effects:
        hand = self._gatherer().for_changes(connection, changes, now_ms)
        for change in changes:
            fold.take(hand, change)
        if (settled_at := hand.explained.settled_at) is not None:
            self._settle_at = min(self._settle_at, settled_at)
        self._may_lapse |= hand.explained.over
        hand.effects.causes, hand.effects.causes_gone = hand.explained.new, hand.explained.gone
        return hand.effects

    def _adopt(self, connection: Connection, waiting: Sequence[Row], now_ms: int) -> Effects:
        hand = self._gatherer().for_waiting(connection, waiting, now_ms)
        for alarm in waiting:
            fold.adopt(hand, alarm, now_ms)
        return hand.effects

    def _fire(self, connection: Connection, now_ms: int) -> Effects:
        """Every deadline step whose time has come, oldest first."""
        effects = Effects()
        due = due_timers(connection, now_ms, FIRE_ROWS_MAX)
        effects.hold(fetch(connection, EVENTS, events.c.event_id, (timer["event_id"] for timer in due)))
        for timer in due:
            deadlines.fire(effects, timer, effects.events[timer["event_id"]], self._policy, now_ms)
        return effects
