"""Everything that folding a batch needs of the database, in as few questions as there are tables (``hand``).

Hot: each question is a constant (``asking``), asked once a batch however many changes it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Float, bindparam, select, union_all

from lifeline.governance import consequences, modes
from lifeline.governance.asking import ask, fetch
from lifeline.governance.hand import REPORTED, Hand, group_key
from lifeline.governance.nearby import box
from lifeline.governance.schema import EVENTS, OPEN, TIMERS, alarm_log, alarms, events, holds, timers
from lifeline.governance.states import EXPLAINED
from lifeline.governance.store import CLEARED_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import CompoundSelect, Connection

    from lifeline.core.alarm import AlarmChange, RuleInfo
    from lifeline.governance.consequences import Explained, Relations
    from lifeline.governance.places import Place, PlaceLookup
    from lifeline.governance.policy import Policy

Row = dict[str, Any]

BOXES: Final = (1, 4, 12, 40)
BOXES_MAX: Final = BOXES[-1]
"""Places in one question for what people have told round them, and the sizes of questions there are."""

# what the fold looks at or changes in alarms that are stored already: a third of the columns, half of the time
_KNOWN_ALARMS: Final = select(
    *(alarms.c[name] for name in consequences.COLUMNS),
    *(alarms.c[name] for name in CLEARED_COLUMNS if name not in consequences.COLUMNS),
)
_OPEN_EVENTS: Final = EVENTS.where(OPEN)
_HOLDS: Final = select(holds)
_ENDED: Final = select(alarm_log.c.entry, alarm_log.c.alarm_id, alarm_log.c.at).where(alarm_log.c.action == "ended")


UNTOUCHED: Final = frozenset({"new", EXPLAINED})
"""What nobody has judged yet."""
_NEVER: Final[Row] = {"shelved_until": None}


@dataclass(frozen=True, slots=True)
class Gatherer:
    """What questions depend on beside the changes themselves."""

    lookup: PlaceLookup
    relations: Relations
    rule: Callable[[AlarmChange | Row], RuleInfo]
    policy: Policy

    def for_changes(self, connection: Connection, changes: Sequence[AlarmChange], now_ms: int) -> Hand:
        """For alarm changes; emergencies of their own times."""
        known = fetch(connection, _KNOWN_ALARMS, alarms.c.alarm_id, (change.alarm_id for change in changes))
        known_ids = {row["alarm_id"] for row in known}
        fresh = [change for change in changes if change.alarm_id not in known_ids]
        held = modes.between(connection, *_span([change.detected_at for change in fresh] or [now_ms]))
        joining = [(self.rule(change), change.point) for change in fresh]
        hand = self._hand(connection, known, joining, held, now_ms, changes)
        hand.ended = _ended(connection, hand.alarms, changes)
        return hand

    def for_waiting(self, connection: Connection, waiting: Sequence[Row], now_ms: int) -> Hand:
        """For stored alarms that join events now."""
        joining = [(self.rule(row), row["point"]) for row in waiting]
        return self._hand(connection, waiting, joining, modes.between(connection, now_ms, now_ms), now_ms)

    def _hand(
        self,
        connection: Connection,
        known: Iterable[Row],
        joining: Sequence[tuple[RuleInfo, int]],
        held: Sequence[Row],
        now_ms: int,
        changes: Sequence[AlarmChange] = (),
    ) -> Hand:
        """Places, events of known alarms, open events of the groups, holds, timers, what people have told of."""
        rows = {row["alarm_id"]: row for row in known}
        places = self.lookup.of(point for _, point in joining)
        explained = consequences.look_up(connection, self.relations, self.lookup, joining, changes, self.rule, now_ms)
        explained.dependents |= {key: rows[key] for key in explained.dependents if key in rows}  # one row, one dict
        places |= explained.places
        keys = {group_key(rule.event, places[point].key(rule.place)) for rule, point in joining}
        event_ids = {row["event_id"] for row in (*rows.values(), *explained.dependents.values())} - {None}
        event_ids |= {*explained.events.values()} - {None}
        found = fetch(connection, EVENTS, events.c.event_id, event_ids)
        found += fetch(connection, _OPEN_EVENTS, events.c.group_key, keys)
        open_keys = {row["group_key"] for row in found if row["is_open"]}
        quiet: dict[tuple[str, int], list[Row]] = {}
        shelved = {change.point for change in changes if rows.get(change.alarm_id, _NEVER)["shelved_until"] is not None}
        for hold in fetch(connection, _HOLDS, holds.c.point, {*places, *shelved}):
            quiet.setdefault((hold["rule_id"], hold["point"]), []).append(hold)
        depending = [(rule, point) for rule, point in joining if rule.suppressed_by or rule.folds_under]
        explained.bare = consequences.bare(connection, _weighed(explained, depending, places, found))
        incidents = {mode["incident_id"] for mode in held}
        found += fetch(connection, EVENTS, events.c.event_id, incidents - {row["event_id"] for row in found})
        opening = [
            places[point]
            for rule, point in joining
            if rule.category == "process" and group_key(rule.event, places[point].key(rule.place)) not in open_keys
        ]
        told = _told_of(connection, opening, self.policy.report.radius_m)
        in_hand = {row["event_id"] for row in found}
        found += [row for row in told if row["event_id"] not in in_hand]
        running = fetch(connection, TIMERS, timers.c.event_id, (row["event_id"] for row in found))
        return Hand(
            rule=self.rule,
            title=self.lookup.title,
            places=places,
            alarms=rows,
            found=found,
            holds=quiet,
            timers={(timer["event_id"], timer["stage"]): timer for timer in running},
            policy=self.policy,
            modes=held,
            stored_at=now_ms,
            reported=[row["event_id"] for row in told],
            explained=explained,
        )


def _weighed(
    explained: Explained, depending: Sequence[tuple[RuleInfo, int]], places: Mapping[int, Place], found: Iterable[Row]
) -> list[str]:
    """Events that consequences are in or may join, and that nobody has yet."""
    into = {row["event_id"] for row in explained.dependents.values()}
    keys = {group_key(rule.event, places[point].key(rule.place)) for rule, point in depending}
    untouched = [row for row in found if row["status"] in UNTOUCHED] if into or keys else []
    return sorted({row["event_id"] for row in untouched if row["event_id"] in into or row["group_key"] in keys})


def _ended(connection: Connection, known: Mapping[str, Row], changes: Iterable[AlarmChange]) -> dict[str, int]:
    """When the alarms among those raised again that stand no longer were ended by their rule's going."""
    again = {change.alarm_id for change in changes if change.kind == "raised" and not change.revised}
    over = [alarm_id for alarm_id in again if alarm_id in known and not known[alarm_id]["active"]]
    rows = fetch(connection, _ENDED, alarm_log.c.alarm_id, over)
    return {row["alarm_id"]: row["at"] for row in sorted(rows, key=lambda row: row["entry"])}


def _told_of(connection: Connection, places: Iterable[Place], radius_m: float) -> list[Row]:
    """Open events round places that people have told of and telemetry knows nothing of."""
    boxes = {box(place.lon, place.lat, radius_m) for place in places if place.lon is not None and place.lat is not None}
    ids: set[str] = set()
    for some in _slices(sorted(boxes), BOXES_MAX):
        size = next(size for size in BOXES if size >= len(some))
        filled = [*some, *[some[-1]] * (size - len(some))]
        bound = {f"{side}{k}": value for k, one in enumerate(filled) for side, value in zip("wesn", one, strict=True)}
        ids.update(event_id for (event_id,) in ask(connection, _in_boxes(size), bound))
    return fetch(connection, EVENTS, events.c.event_id, sorted(ids))


@lru_cache(maxsize=len(BOXES))
def _in_boxes(size: int) -> CompoundSelect[Any]:
    """Ids of reported events in so many squares; put together once a size: that costs more than the search.

    A search for each square, none for "one of the squares": for that SQLite walks every open event there is.
    """
    sides = [{side: bindparam(f"{side}{k}", type_=Float) for side in "wesn"} for k in range(size)]
    told = select(events.c.event_id).where(OPEN, events.c.place_kind == REPORTED)
    return union_all(
        *(told.where(events.c.lat.between(of["s"], of["n"]), events.c.lon.between(of["w"], of["e"])) for of in sides)
    )


def _slices(rows: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Slices of a bounded size."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _span(times: Sequence[int]) -> tuple[int, int]:
    return min(times), max(times)
