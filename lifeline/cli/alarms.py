"""``alarms …``: what is behind the events, and what people do about it (ISA-18.2)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from lifeline.cli.output import (
    DEFAULT_CONFIG,
    DOUBT,
    GOOD,
    AsJson,
    ConfigFile,
    console,
    failures,
    print_json,
    say,
    shown_time,
    site_zone,
    table,
)
from rules.durations import EXAMPLES, parse_duration

app = typer.Typer(help="The alarms behind the events (ISA-18.2). 报警管理。", no_args_is_help=True)

SHELF_S_MAX: Final = 7 * 86_400
COLUMNS = [
    "alarm_id",
    "level",
    "state",
    "rule_id",
    "device_id",
    "quantity",
    "raised_at",
    "cleared_at",
    "value",
    "limit",
]
"""And ``cause_id`` where another alarm explains one of them."""

Actor = Annotated[str | None, typer.Option(help="Who acts; default: your login name.")]
Note = Annotated[str, typer.Option("--note", "--reason", help="Why; kept with the alarm.")]
Role = Annotated[str, typer.Option(help="In which role.")]


def _said(reason: str) -> str:
    """A reason that says something: nobody can judge later why an alarm was quiet without one."""
    if not reason.strip():
        raise typer.BadParameter("is empty: say why (请说明理由)")
    return reason


def _length(text: str | None) -> str | None:
    """A length of time as people write it."""
    if text is not None and not 60 <= (parse_duration(text) or 0) <= SHELF_S_MAX:
        raise typer.BadParameter(f"{text!r} is no length from 1min to 7d, {EXAMPLES}")
    return text


Reason = Annotated[str, typer.Option("--reason", help="Why; kept with the alarm.", callback=_said)]


@app.command("list")
def list_(
    *,
    config: ConfigFile = DEFAULT_CONFIG,
    state: Annotated[list[str] | None, typer.Option(help="active; or unacked, acked, shelved, suppressed …")] = None,
    rule: Annotated[str | None, typer.Option(help="A rule id.")] = None,
    level: Annotated[list[str] | None, typer.Option(help="red, orange, yellow, blue.")] = None,
    since: Annotated[str | None, typer.Option(help="ISO time, or 30min, 2h, 7d.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    cursor: Annotated[str | None, typer.Option(help="`next` of the page before.")] = None,
    json: AsJson = False,
) -> None:
    """Newest alarms first; a latched one whose condition is over is told as such."""
    from lifeline.app.latched import LEGEND, told_state
    from lifeline.app.queue import open_desk

    with failures(as_json=json), open_desk(config) as desk:
        page = desk.list_alarms(state=state, rule=rule, level=level, since=since, limit=limit, cursor=cursor)
        if json:
            print_json(page)
            return
        rows = [row | {"state": told_state(row)} for row in page["alarms"]]
        explained = ["cause_id"] if any(row["cause_id"] for row in rows) else []
        table("", COLUMNS + explained, rows, empty="No alarms match. 没有符合条件的报警。", zone=site_zone(config))
        if any(row["latched"] for row in rows):
            say(DOUBT, f" {LEGEND}")
        if page["next"]:
            console().print(f"more: --cursor {page['next']}")


@app.command()
def load(
    *,
    config: ConfigFile = DEFAULT_CONFIG,
    since: Annotated[str, typer.Option(help="ISO time, or 30min, 2h, 7d.")] = "1d",
    utility: Annotated[str | None, typer.Option(help="gas, water or heat: one console's share.")] = None,
    area: Annotated[str | None, typer.Option(help="An area and everything below it.")] = None,
    json: AsJson = False,
) -> None:
    """How many alarms people get, against ISA-18.2, and which ones wear them out (报警负荷)."""
    from lifeline.app.queue import open_desk
    from lifeline.cli.alarm_load import tell_load

    with failures(as_json=json), open_desk(config) as desk:
        told = desk.load(since, utility=utility, area=area)
        if json:
            print_json(told)
            return
        tell_load(told, site_zone(config))


@app.command()
def explain(
    alarm_id: str,
    *,
    config: ConfigFile = DEFAULT_CONFIG,
    picture: Annotated[Path | None, typer.Option(help="Also draw it, as SVG.")] = None,
    json: AsJson = False,
) -> None:
    """Why it was raised: rule, parameters, the window, the readings and where they lie in the log (报警依据)."""
    from lifeline.app.explain import draw, explain_alarm
    from lifeline.cli.alarm_explain import tell

    with failures(as_json=json):
        told = explain_alarm(config, alarm_id)
        if picture is not None:
            draw(told, picture, site_zone(config))
        if json:
            print_json(told)
            return
        tell(told, site_zone(config))
        if picture is not None:
            say(GOOD, f" {picture}")


def _change(
    config: ConfigFile,
    verb: str,
    alarm_id: str,
    *,
    json: bool,
    actor: str | None,
    role: str,
    note: str,
    minutes: float | None = None,
    **given: object,
) -> None:
    from lifeline.app.latched import told_state
    from lifeline.app.queue import open_desk

    with failures(as_json=json), open_desk(config) as desk:
        alarm = desk.change_alarm(verb, alarm_id, actor=actor, role=role, note=note, minutes=minutes, **given)
        if json:
            print_json(alarm)
            return
        shown = (told_state(alarm | {"latched": False}), "bold")
        if not alarm["changed"]:
            say(DOUBT, f" {alarm['alarm_id']}: nothing to {verb}, it is ", shown, " (无变化)")
        elif verb == "ack" and alarm["latched"]:
            end = "acknowledged 已确认: its condition is over, so it ends within a second 条件已恢复，随即解除"
            say(GOOD, f" {alarm['alarm_id']} is {end}")
        else:
            until = alarm["shelved_until"] if verb == "shelve" else None
            ends = "" if until is None else f" until 至 {shown_time(until, site_zone(config))}"
            say(GOOD, f" {alarm['alarm_id']} is now ", shown, ends)


@app.command()
def ack(
    alarm_id: str,
    *,
    config: ConfigFile = DEFAULT_CONFIG,
    actor: Actor = None,
    role: Role = "operator",
    note: Note = "",
    json: AsJson = False,
) -> None:
    """Acknowledge: somebody has seen it."""
    _change(config, "ack", alarm_id, json=json, actor=actor, role=role, note=note)


@app.command()
def shelve(
    alarm_id: str,
    *,
    minutes: Annotated[
        float | None, typer.Option(min=1, max=7 * 24 * 60, help="It returns by itself after this long; default 60.")
    ] = None,
    length: Annotated[str | None, typer.Option("--for", help="The same as 90min, 2h or 1d.", callback=_length)] = None,
    once: Annotated[
        bool,
        typer.Option("--once", help="Until the alarm returns to normal (at the latest: as long as the policy allows)."),
    ] = False,
    reason: Reason,
    config: ConfigFile = DEFAULT_CONFIG,
    actor: Actor = None,
    role: Role = "operator",
    json: AsJson = False,
) -> None:
    """Put a nuisance alarm aside for a time, or once (搁置)."""
    if length is not None and minutes is not None:
        raise typer.BadParameter("--for and --minutes say the same: give one (二选一)")
    told = minutes if length is None else (parse_duration(length) or 0) / 60
    lasts = told if told is not None or once else 60.0
    _change(config, "shelve", alarm_id, json=json, actor=actor, role=role, note=reason, minutes=lasts, once=once)


@app.command()
def unshelve(
    alarm_id: str,
    *,
    config: ConfigFile = DEFAULT_CONFIG,
    actor: Actor = None,
    role: Role = "operator",
    note: Note = "",
    json: AsJson = False,
) -> None:
    """Bring a shelved alarm back now (取消搁置)."""
    _change(config, "unshelve", alarm_id, json=json, actor=actor, role=role, note=note)


@app.command()
def unsuppress(
    alarm_id: str,
    *,
    config: ConfigFile = DEFAULT_CONFIG,
    actor: Actor = None,
    role: Role = "dispatcher",
    note: Note = "",
    json: AsJson = False,
) -> None:
    """End a suppression (取消抑制)."""
    _change(config, "unsuppress", alarm_id, json=json, actor=actor, role=role, note=note)


@app.command("in-service")
def in_service(
    alarm_id: str,
    *,
    config: ConfigFile = DEFAULT_CONFIG,
    actor: Actor = None,
    role: Role = "dispatcher",
    note: Note = "",
    json: AsJson = False,
) -> None:
    """Put back into service after maintenance (恢复服务)."""
    _change(config, "in-service", alarm_id, json=json, actor=actor, role=role, note=note)


@app.command()
def holds(*, config: ConfigFile = DEFAULT_CONFIG, json: AsJson = False) -> None:
    """What is shelved, suppressed or out of service now, by whom and why (搁置、抑制与停用一览)."""
    from lifeline.app.queue import open_desk

    with failures(as_json=json), open_desk(config) as desk:
        rows = desk.list_holds()
        if json:
            print_json({"holds": rows})
            return
        columns = ["rule_id", "device_id", "quantity", "kind", "once", "until", "actor", "reason"]
        table("", columns, rows, empty="Nothing is held. 无搁置、抑制或停用。", zone=site_zone(config))


@app.command()
def suppress(
    alarm_id: str,
    *,
    reason: Reason,
    config: ConfigFile = DEFAULT_CONFIG,
    actor: Actor = None,
    role: Role = "dispatcher",
    json: AsJson = False,
) -> None:
    """Suppress by design (season, upstream outage): still evaluated and logged."""
    _change(config, "suppress", alarm_id, json=json, actor=actor, role=role, note=reason)


@app.command("out-of-service")
def out_of_service(
    alarm_id: str,
    *,
    reason: Reason,
    config: ConfigFile = DEFAULT_CONFIG,
    actor: Actor = None,
    role: Role = "dispatcher",
    json: AsJson = False,
) -> None:
    """Take out of service for maintenance."""
    _change(config, "out-of-service", alarm_id, json=json, actor=actor, role=role, note=reason)
