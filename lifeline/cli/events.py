"""``events list | show | act | export``: the governance queue."""

from __future__ import annotations

from datetime import datetime, tzinfo
from pathlib import Path
from typing import Annotated, Any

import typer

from lifeline.cli.loop import add_to
from lifeline.cli.output import (
    DEFAULT_CONFIG,
    DOUBT,
    GOOD,
    AsJson,
    ConfigFile,
    console,
    failures,
    plain,
    print_json,
    say,
    shown_time,
    site_zone,
    table,
)

app = typer.Typer(help="The governance queue: list, show and act on events. 预警事件队列。", no_args_is_help=True)

COLUMNS = ["event_id", "level", "status", "utility", "raised_at", "due_at", "alarm_count", "title"]
NARROW = ["event_id", "level", "status", "raised_at", "title"]
"""What an 80-column terminal has room for."""


@app.command("list")
def list_(
    *,
    config: ConfigFile = DEFAULT_CONFIG,
    level: Annotated[list[str] | None, typer.Option(help="red, orange, yellow, blue; may be repeated.")] = None,
    status: Annotated[list[str] | None, typer.Option(help="new, filed, dispatched …; may be repeated.")] = None,
    area: Annotated[str | None, typer.Option(help="An area code; what lies within is included.")] = None,
    utility: Annotated[str | None, typer.Option(help="gas, water or heat.")] = None,
    since: Annotated[str | None, typer.Option(help="ISO time, or 30min, 2h, 7d.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    cursor: Annotated[str | None, typer.Option(help="`next` of the page before.")] = None,
    json: AsJson = False,
) -> None:
    """Newest events first."""
    from lifeline.app.queue import open_desk

    with failures(as_json=json), open_desk(config) as desk:
        page = desk.list_events(
            level=level, status=status, area=area, utility=utility, since=since, limit=limit, cursor=cursor
        )
        if json:
            print_json(page)
            return
        from lifeline.governance.states import told

        table(
            "",
            COLUMNS if console().width >= 120 else NARROW,
            [row | {"status": told(row["status"])} for row in page["events"]],
            empty="No events match. 没有符合条件的事件。",
            zone=site_zone(config),
        )
        if page["next"]:
            console().print(f"more: --cursor {page['next']}")


@app.command()
def show(event_id: str, *, config: ConfigFile = DEFAULT_CONFIG, json: AsJson = False) -> None:
    """One event with its alarms and its log. The first digits of the id are enough."""
    from lifeline.app.queue import open_desk

    with failures(as_json=json), open_desk(config) as desk:
        event = desk.show_event(event_id)
        if json:
            print_json(event)
            return
        _print_event(event, site_zone(config))


def _print_event(event: dict[str, Any], zone: tzinfo) -> None:
    from lifeline.app.latched import told_state
    from lifeline.governance.states import told

    out = console()
    wide = max(map(len, event))
    for key, value in event.items():
        if value is not None and key not in {"alarms", "log", "actions", "group_key", "cameras", "staff", "recheck"}:
            text = shown_time(value, zone) if isinstance(value, datetime) else told(value) if key == "status" else value
            say((f"{key:>{wide}}", "dim"), f"  {plain(text)}")
    table(
        "\nalarms",
        ["alarm_id", "rule_id", "device_id", "quantity", "raised_at", "cleared_at", "value", "limit", "state"],
        [alarm | {"state": told_state(alarm)} for alarm in event["alarms"]],
        empty="no alarms",
        zone=zone,
    )
    steps = ["at", "actor", "role", "action", "from_status", "to_status", "note"]
    table("\nlog", steps, event["log"], empty="no log", zone=zone)
    near = [f"{one['camera_id']} {one['name']} ({one['distance_m']:.0f} m)" for one in event["cameras"]]
    near += [f"{one['name']} {one['contact'] or ''} ({one['area_code']})" for one in event["staff"]]
    if near:
        out.print("\nnearby: " + ", ".join(near), soft_wrap=True)
    if event.get("actions"):
        out.print("\npossible now: " + ", ".join(map(told, event["actions"])))


@app.command()
def act(
    event_id: str,
    action: Annotated[str, typer.Argument(help="file, dispatch, accept, handle, feed-back, close, fail-check …")],
    *,
    config: ConfigFile = DEFAULT_CONFIG,
    actor: Annotated[str | None, typer.Option(help="Who acts; default: your login name.")] = None,
    role: Annotated[str, typer.Option(help="In which role.")] = "operator",
    note: Annotated[str, typer.Option(help="Why, what was found.")] = "",
    owner: Annotated[str | None, typer.Option(help="Unit that takes it (dispatch); without: the matrix.")] = None,
    co_owners: Annotated[str | None, typer.Option(help="Units that join (dispatch, co-handle).")] = None,
    until: Annotated[str | None, typer.Option(help="ISO time, or 2h from now (ask-extension).")] = None,
    due_at: Annotated[str | None, typer.Option(help="Deadline: ISO time, or 2h from now.")] = None,
    level: Annotated[str | None, typer.Option(help="red, orange, yellow, blue (grade).")] = None,
    supervision: Annotated[int | None, typer.Option(min=0, max=3, help="0 to 3 (supervise).")] = None,
    false_alarm: Annotated[bool | None, typer.Option(help="Against what the cause says (close).")] = None,
    cause: Annotated[str | None, typer.Option(help="Cause code (close).")] = None,
    satisfaction: Annotated[int | None, typer.Option(min=1, max=5, help="1 to 5 (evaluate).")] = None,
    json: AsJson = False,
) -> None:
    """Move an event on. What the transition table forbids is refused, with what is possible instead."""
    from lifeline.app.queue import open_desk
    from lifeline.app.since import parse_time

    with failures(as_json=json), open_desk(config) as desk:
        event = desk.act(
            event_id,
            action,
            actor=actor,
            role=role,
            note=note,
            owner=owner,
            co_owners=co_owners,
            until=parse_time(until, "--until", zone=site_zone(config), ahead=True),
            due_at=parse_time(due_at, "--due-at", zone=site_zone(config), ahead=True),
            level=level,
            supervision=supervision,
            false_alarm=false_alarm,
            cause=cause,
            satisfaction=satisfaction,
        )
        if json:
            print_json(event)
        else:
            from lifeline.governance.states import told

            say(GOOD, f" {event['event_id']} is now ", (told(event["status"]), "bold"))
            if not event["is_open"] and event["active_count"]:
                last = desk.show_event(event["event_id"])["log"][-1]
                if last["action"] == "untied":
                    say(DOUBT, f" {last['note']}")


@app.command()
def export(
    out: Annotated[Path, typer.Argument(help="A .csv, .json or .parquet file.")],
    *,
    config: ConfigFile = DEFAULT_CONFIG,
    since: Annotated[str | None, typer.Option(help="ISO time, or 30min, 2h, 7d.")] = None,
) -> None:
    """All events of the published catalog into a file."""
    from lifeline.app.query import export_view

    with failures():
        rows = export_view(config, "events", out, since)
        say(GOOD, f" {rows:,} events → {out}")


add_to(app)
