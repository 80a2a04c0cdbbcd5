"""Writing effects: one batched statement a kind, sums and journal in the same transaction. Opens none itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lifeline.governance.reach import FACETS
from lifeline.governance.schema import (
    MEASURES,
    alarm_log,
    alarms,
    causes,
    escalations,
    event_areas,
    event_log,
    events,
    kpi_days,
    kpi_times,
    tallies,
)
from lifeline.governance.schema import timers as timer_table
from lifeline.governance.statements import add_up, delete_keys, insert_rows, update_changed, upsert_rows
from lifeline.governance.sums import Sums
from lifeline.governance.touched import touch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from lifeline.governance.effects import Effects
    from lifeline.governance.journal import Journal

Row = dict[str, Any]

CLEARED_COLUMNS: Final = (
    *("active", "state", "cleared_at", "clear_detected_at", "clear_value", "clear_lsn"),
    *("detected_at", "value", "detail"),
)


def store(connection: Connection, effects: Effects, journal: Journal, timezone: str) -> None:
    """Write everything; what the journal raises (audit cannot be written) undoes it all with the transaction.

    New alarms and events that are there already stay as they are: ids say what happened.
    """
    insert_rows(connection, events, effects.new_events, known="keep")
    changed = effects.changed()
    update_changed(connection, events, events.c.event_id, changed)
    _store_reach(connection, effects, changed)
    insert_rows(connection, alarms, effects.new_alarms, known="keep")
    _update(connection, effects.cleared, CLEARED_COLUMNS)
    _update(connection, effects.adopted, ("event_id", "cause_id"))
    _update(connection, effects.marked, ("suppressed", "cause_id", "state"))
    delete_keys(connection, causes, ("alarm_id",), [(alarm_id,) for alarm_id in effects.causes_gone])
    insert_rows(connection, causes, effects.causes, known="keep")
    insert_rows(connection, event_log, effects.log)
    insert_rows(connection, alarm_log, effects.alarm_log)
    _store_timers(connection, effects)
    insert_rows(connection, escalations, effects.escalations)
    sums = Sums(timezone)
    sums.take(effects)
    store_sums(connection, sums)
    said = (line["event_id"] for line in effects.log)
    touch(
        connection,
        events=[*(row["event_id"] for row in effects.new_events), *(after["event_id"] for _, after in changed), *said],
        alarms=[*(row["alarm_id"] for row in effects.new_alarms), *effects.cleared, *effects.adopted, *effects.marked],
    )
    if effects.changes:
        journal.write(connection, effects.changes)


def _store_reach(connection: Connection, effects: Effects, changed: Sequence[tuple[Row, Row]]) -> None:
    """Places that events touch, and what the rows of those known repeat of the event."""
    crossing = [(before, after) for before, after in changed if before["also_in"] is not None]
    names = ("event_id", *FACETS)
    pairs = [({name: one[name] for name in names}, {name: two[name] for name in names}) for one, two in crossing]
    update_changed(connection, event_areas, event_areas.c.event_id, pairs)
    rows = [
        {"event_id": event_id, "area_code": area, "utility": utility, "district": district, "township": township}
        | {name: effects.events[event_id][name] for name in FACETS}
        for (event_id, area, utility), (district, township) in effects.reached.items()
    ]
    insert_rows(connection, event_areas, rows, known="keep")


def store_sums(connection: Connection, sums: Sums) -> None:
    """Add the differences to the counters."""
    days = [
        {"scope": s, "day": d, "district": w, "key": k, "utility": u, **{name: cell[name] for name in MEASURES}}
        for (s, d, w, k, u), cell in sums.days.items()
        if any(cell.values())
    ]
    times = [
        {"scope": s, "day": d, "district": w, "key": k, "measure": m, "bucket": b, "n": n}
        for (s, d, w, k, m, b), n in sums.times.items()
        if n
    ]
    counts = [{"scope": scope, "key": key, "n": n} for (scope, key), n in sums.tallies.items() if n]
    add_up(connection, kpi_days, days, MEASURES)
    add_up(connection, kpi_times, times, ("n",))
    add_up(connection, tallies, counts, ("n",))


def _update(connection: Connection, rows: Mapping[str, Row], columns: Sequence[str]) -> None:
    changed: list[tuple[Row, Row]] = [
        ({"alarm_id": key, **dict.fromkeys(columns, ...)}, {"alarm_id": key, **{name: row[name] for name in columns}})
        for key, row in rows.items()
    ]
    update_changed(connection, alarms, alarms.c.alarm_id, changed)


def _store_timers(connection: Connection, effects: Effects) -> None:
    gone = [key for key, row in effects.timers.items() if row is None]
    delete_keys(connection, timer_table, ("event_id", "stage"), gone)
    upsert_rows(connection, timer_table, [row for row in effects.timers.values() if row is not None])
