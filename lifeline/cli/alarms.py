"""``alarms list | ack | shelve | suppress | out-of-service``: the alarms behind the events (ISA-18.2)."""

from __future__ import annotations

from typing import Annotated

import typer

from lifeline.cli.output import DEFAULT_CONFIG, AsJson, ConfigFile, console, failures, print_json, site_zone, table

app = typer.Typer(help="The alarms behind the events (ISA-18.2). 报警管理。", no_args_is_help=True)

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

Actor = Annotated[str | None, typer.Option(help="Who acts; default: your login name.")]
Role = Annotated[str, typer.Option(help="In which role.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept with the alarm.")]


@app.command("list")
def list_(
    *,
    config: ConfigFile = DEFAULT_CONFIG,
    state: Annotated[list[str] | None, typer.Option(help="active, acknowledged, cleared, shelved …")] = None,
    rule: Annotated[str | None, typer.Option(help="A rule id.")] = None,
    level: Annotated[list[str] | None, typer.Option(help="red, orange, yellow, blue.")] = None,
    since: Annotated[str | None, typer.Option(help="ISO time, or 30min, 2h, 7d.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    cursor: Annotated[str | None, typer.Option(help="`next` of the page before.")] = None,
    json: AsJson = False,
) -> None:
    """Newest alarms first."""
    from lifeline.app.queue import open_desk

    with failures(as_json=json), open_desk(config) as desk:
        page = desk.list_alarms(state=state, rule=rule, level=level, since=since, limit=limit, cursor=cursor)
        if json:
            print_json(page)
            return
        table("", COLUMNS, page["alarms"], empty="No alarms match.", zone=site_zone(config))
        if page["next"]:
            console().print(f"more: --cursor {page['next']}")


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
) -> None:
    from lifeline.app.queue import open_desk

    with failures(as_json=json), open_desk(config) as desk:
        alarm = desk.change_alarm(verb, alarm_id, actor=actor, role=role, note=note, minutes=minutes)
        if json:
            print_json(alarm)
        else:
            console().print(f"[green]✓[/green] {alarm['alarm_id']} is now [bold]{alarm['state']}[/bold]")


@app.command()
def ack(
    alarm_id: str,
    *,
    config: ConfigFile = DEFAULT_CONFIG,
    actor: Actor = None,
    role: Role = "operator",
    note: str = "",
    json: AsJson = False,
) -> None:
    """Acknowledge: somebody has seen it."""
    _change(config, "ack", alarm_id, json=json, actor=actor, role=role, note=note)


@app.command()
def shelve(
    alarm_id: str,
    *,
    minutes: Annotated[float, typer.Option(min=1, max=7 * 24 * 60, help="It returns by itself after this long.")] = 60,
    reason: Reason,
    config: ConfigFile = DEFAULT_CONFIG,
    actor: Actor = None,
    role: Role = "operator",
    json: AsJson = False,
) -> None:
    """Put a nuisance alarm aside for a time."""
    _change(config, "shelve", alarm_id, json=json, actor=actor, role=role, note=reason, minutes=minutes)


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
