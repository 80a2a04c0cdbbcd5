"""What one transaction changes: the rows in hand, as they were and as they shall be. ``store`` writes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from lifeline.governance import reach
from lifeline.governance.actor import ENGINE
from lifeline.governance.journal import Change

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lifeline.governance.actor import Actor

Row = dict[str, Any]


@dataclass(slots=True)
class Effects:
    """Filled by the fold, by acts, timers, reports and modes; rows of events are whole."""

    before: dict[str, Row] = field(default_factory=dict)
    """Events as they are stored, by id; none for those that these effects open."""
    events: dict[str, Row] = field(default_factory=dict)
    """The same events in hand, changed in place, and new ones."""
    new_events: list[Row] = field(default_factory=list)
    new_alarms: list[Row] = field(default_factory=list)
    cleared: dict[str, Row] = field(default_factory=dict)
    """Alarms that were in the database and have cleared, or are otherwise as they were not said to be."""
    adopted: dict[str, Row] = field(default_factory=dict)
    """Alarms that were in the database, on hold, and have now joined an event."""
    marked: dict[str, Row] = field(default_factory=dict)
    """Alarms that were in the database, and are explained by another or no longer."""
    causes: list[Row] = field(default_factory=list)
    causes_gone: list[str] = field(default_factory=list)
    log: list[Row] = field(default_factory=list)
    alarm_log: list[Row] = field(default_factory=list)
    unshelved: dict[tuple[str, int], int] = field(default_factory=dict)
    """One-shot shelves that are over, by (rule, point), and since when."""
    changes: list[Change] = field(default_factory=list)
    """For the journal: of each line of the log, and of what was refused."""
    timers: dict[tuple[str, str], Row | None] = field(default_factory=dict)
    """By (event, stage): set to this row, or (None) taken away."""
    escalations: list[Row] = field(default_factory=list)
    reached: dict[tuple[str, str, str], tuple[str | None, str | None]] = field(default_factory=dict)
    """Further (event, area, utility) that events touch, with district and township; known ones may be among them."""

    def hold(self, rows: Iterable[Row]) -> None:
        """Take stored events in hand."""
        for row in rows:
            if row["event_id"] not in self.events:
                self.before[row["event_id"]] = row
                self.events[row["event_id"]] = dict(row)

    def open(self, row: Row) -> None:
        """Take a new event in hand."""
        self.events[row["event_id"]] = row
        self.new_events.append(row)

    def reach(self, row: Row, place: reach.Place, around: tuple[str | None, str | None]) -> None:
        """An alarm or a report of the event lies at ``place``; ``around``: the district and township of that."""
        key = (row["event_id"], place[0] or "", place[1] or "")
        if place != (row["area_code"], row["utility"]) and key not in self.reached:
            self.reached[key] = around
            row["also_in"] = reach.widened(row["also_in"], *around)

    def say(
        self,
        row: Row,
        at: int,
        actor: Actor,
        action: str,
        note: str = "",
        *,
        before: str | None = "",
        carried: Mapping[str, Any] | None = None,
    ) -> None:
        """A line of the event's log, and the change for the journal. ``before``: the status it had, "" for the same."""
        came_from = row["status"] if before == "" else before
        fields = dict(carried or {})
        self.log.append(
            {
                "event_id": row["event_id"],
                "at": at,
                "actor": actor.id,
                "role": actor.role,
                "action": action,
                "from_status": came_from,
                "to_status": row["status"],
                "note": note,
                "fields": orjson.dumps(fields, option=orjson.OPT_SORT_KEYS).decode(),
            }
        )
        self.changes.append(
            Change(actor, at, "event", row["event_id"], action, row["status"], came_from, note, fields, row)
        )

    def say_of_alarm(self, alarm_id: str, at: int, action: str, states: tuple[str, str], note: str) -> None:
        """A line of an alarm's log that the engine writes; ``states`` before and after."""
        line = {"alarm_id": alarm_id, "at": at, "actor": ENGINE.id, "role": ENGINE.role, "action": action}
        self.alarm_log.append(line | {"from_state": states[0], "to_state": states[1], "note": note})

    def changed(self) -> list[tuple[Row, Row]]:
        """(before, after) of stored events that differ."""
        pairs = ((before, self.events[key]) for key, before in self.before.items())
        return [(before, after) for before, after in pairs if before != after]
