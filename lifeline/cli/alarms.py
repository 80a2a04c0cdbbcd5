"""``alarms …``: what is behind the events, and what people do about it (ISA-18.2)."""

from __future__ import annotations

from datetime import datetime, tzinfo
from pathlib import Path
from typing import Annotated, Any

import typer

from lifeline.cli.output import (
    DEFAULT_CONFIG,
    GOOD,
    AsJson,
    ConfigFile,
    console,
    failures,
    print_json,
    say,
    site_zone,
    table,
)

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
    state: Annotated[list[str] | None, typer.Option(help="active; or unacked, acked, shelved, suppressed …")] = None,
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
        table("", COLUMNS, page["alarms"], empty="No alarms match. 没有符合条件的报警。", zone=site_zone(config))
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

    with failures(as_json=json):
        told = explain_alarm(config, alarm_id)
        if picture is not None:
            draw(told, picture, site_zone(config))
        if json:
            print_json(told)
            return
        _tell(told, site_zone(config))
        if picture is not None:
            say(GOOD, f" {picture}")


def _tell(told: dict[str, Any], zone: tzinfo) -> None:
    evidence, rule = told["evidence"], told["rule"]

    def at(ms: int | None) -> str:
        return "—" if ms is None else f"{datetime.fromtimestamp(ms / 1000, zone):%F %T.%f}"[:-3]

    show = console().print
    title = f"{rule['title_zh']} / {rule['title_en']}" if rule else "（规则已不存在 / the rule is gone）"
    say((told["level"], "bold"), f" {title}")
    newer = f" (now version {rule['version']})" if rule and rule["version"] != told["rule_version"] else ""
    show(f"rule {told['rule_id']} version {told['rule_version']}{newer} · {told['device_id']}/{told['quantity']}")
    start, end = told["span"]
    historic = " · 历史报警 / historic: over before it was heard of" if told["historic"] else ""
    is_reading = any(value == told["value"] for _, _, value in evidence.get("readings", ()))  # not a count or seconds
    unit = f" {told['unit']}" if told["unit"] and is_reading else ""
    show(f"stood {at(start)} … {at(end)} ({zone}) · value {told['value']}{unit}{historic}")
    show(f"state {told['state']} · event {told['event_id'] or '—'}")
    if evidence:
        samples, seconds = evidence["raise_after"]
        show(f"raise: {evidence['raise']}")
        show(f"clear: {evidence['clear']}")
        show("params: " + (", ".join(f"{k} = {v:g}" for k, v in evidence["params"].items()) or "none"))
        for one in evidence.get("overrides", ()):
            given = ", ".join(f"{k} = {v:g}" for k, v in one["params"].items())
            span = f"{at(one['since'])} … {at(one['until'])}"
            show(f"  {given}: 应急 / {one['name']} · {one['area_code']} · {span}")
        show(f"for {samples} reading(s) and {seconds:g} s: {at(evidence['from'])} … {at(evidence['to'])}")
        for lsn, ts, value in evidence["readings"]:
            show(f"  log record {lsn:>8}   {at(ts)}   {value}")
        for other in evidence.get("others", ()):
            show(f"同组 / beside it: {other['device_id']}/{other['quantity']}")
            for lsn, ts, value in other["readings"]:
                show(f"  log record {lsn:>8}   {at(ts)}   {value}")
    show(f"log record of the decision: {told['lsn']}")
    for name in ("cause", "consequence", "action") if rule else ():
        show(f"{name}: {rule[name]}")
    if rule:
        show(f"respond within: {rule['respond_within_s'] / 60:g} min")


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
    from lifeline.app.queue import open_desk

    with failures(as_json=json), open_desk(config) as desk:
        alarm = desk.change_alarm(verb, alarm_id, actor=actor, role=role, note=note, minutes=minutes, **given)
        if json:
            print_json(alarm)
        else:
            say(GOOD, f" {alarm['alarm_id']} is now ", (alarm["state"], "bold"))


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
    minutes: Annotated[
        float | None, typer.Option(min=1, max=7 * 24 * 60, help="It returns by itself after this long; default 60.")
    ] = None,
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
    lasts = minutes if minutes is not None or once else 60.0
    _change(config, "shelve", alarm_id, json=json, actor=actor, role=role, note=reason, minutes=lasts, once=once)


@app.command()
def unshelve(
    alarm_id: str,
    *,
    config: ConfigFile = DEFAULT_CONFIG,
    actor: Actor = None,
    role: Role = "operator",
    note: str = "",
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
    note: str = "",
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
    note: str = "",
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
