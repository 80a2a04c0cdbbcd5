"""``events report | why | overdue | kpi | emergency``: the rest of the closed loop."""

from __future__ import annotations

from datetime import UTC, datetime
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

Actor = Annotated[str | None, typer.Option(help="Who acts; default: your login name.")]


def report(
    source: Annotated[str, typer.Argument(help="citizen, patrol, 110, 119, 120, utility, superior")],
    description: str,
    *,
    config: ConfigFile = DEFAULT_CONFIG,
    service: Annotated[str | None, typer.Option(help="gas-smell, water-leak, heat-cold, manhole …")] = None,
    utility: Annotated[str | None, typer.Option(help="gas, water or heat.")] = None,
    lon: Annotated[float | None, typer.Option(help="Degrees east.")] = None,
    lat: Annotated[float | None, typer.Option(help="Degrees north.")] = None,
    area: Annotated[str | None, typer.Option(help="An area code.")] = None,
    address: Annotated[str | None, typer.Option(help="Where, in words.")] = None,
    ref: Annotated[str | None, typer.Option(help="The caller's own number: taken once.")] = None,
    actor: Actor = None,
    json: AsJson = False,
) -> None:
    """登记上报: Take in what somebody tells; it joins an event nearby or opens one."""
    from lifeline.app.queue import open_desk

    with failures(as_json=json), open_desk(config) as desk:
        answer = desk.report(
            actor=actor,
            source=source,
            description=description,
            service=service,
            utility=utility,
            lon=lon,
            lat=lat,
            area_code=area,
            address=address,
            external_ref=ref,
        )
        if json:
            print_json(answer)
        else:
            joined = f"joined, {answer['distance_m']} m away" if answer["merged"] else "opened"
            say(GOOD, f" event {answer['event_id']} {joined}")


def why(event_id: str, *, config: ConfigFile = DEFAULT_CONFIG, json: AsJson = False) -> None:
    """派遣建议及理由: Which unit should handle an event, and why."""
    from lifeline.app.queue import open_desk

    with failures(as_json=json), open_desk(config) as desk:
        answer = desk.why(event_id)
        if json:
            print_json(answer)
            return
        routing = answer["routing"]
        say((answer["unit"], "bold"), f"\n{routing['zh']}\n{routing['en']}")
        if answer["co_units"]:
            console().print("with: " + ", ".join(answer["co_units"]))
        table("", ["unit", "open", "capacity"], routing.get("candidates", []), empty="", zone=site_zone(config))


def overdue(
    *,
    config: ConfigFile = DEFAULT_CONFIG,
    after: Annotated[int, typer.Option(min=0, help="`next` of the page before.")] = 0,
    centre: Annotated[str | None, typer.Option(help="Told to the centre of this area.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    json: AsJson = False,
) -> None:
    """超期督办: Reminders and overdue steps in order: the supervision feed."""
    from lifeline.app.queue import open_desk

    with failures(as_json=json), open_desk(config) as desk:
        page = desk.overdue(after=after, centre=centre, limit=limit)
        if json:
            print_json(page)
            return
        columns = ["entry", "at", "event_id", "level", "stage", "name", "centre", "unit", "due_at"]
        table("", columns, page["escalations"], empty="Nothing is overdue. 没有超期。", zone=site_zone(config))
        if page["next"]:
            console().print(f"more: --after {page['next']}")


def kpi(
    *,
    config: ConfigFile = DEFAULT_CONFIG,
    since: Annotated[
        str | None, typer.Option("--from", help="First local day, 2026-11-01; default: this month.")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", help="Last local day; default: today.")] = None,
    by: Annotated[str | None, typer.Option(help="day, district, utility, town, unit, kind or rule.")] = None,
    district: str | None = None,
    utility: str | None = None,
    json: AsJson = False,
) -> None:
    """考核指标: Key figures with their denominators."""
    from lifeline.app.queue import open_desk

    with failures(as_json=json), open_desk(config) as desk:
        today = datetime.now(UTC).astimezone(site_zone(config)).date()
        answer = desk.kpi(
            since or today.replace(day=1).isoformat(),
            until or today.isoformat(),
            by=by,
            district=district,
            utility=utility,
        )
        if json:
            print_json(answer)
            return
        _print_figures(answer)


def _print_figures(answer: dict[str, Any]) -> None:
    out = console()
    out.print(f"{answer['from']} – {answer['to']} (exclusive)")
    for name, meant in answer["meaning"].items():
        value = answer["total"].get(name)
        if "numerator" in meant:
            counts = answer["total"]["counts"]
            part, whole = counts[meant["numerator"]], counts[meant["denominator"]]
            share = "–" if value is None else f"{value:.2%}"
            out.print(f"{name:>20} {share:>8}  {part:,} / {whole:,}  {meant['zh']}")
        else:
            out.print(f"{name:>20} {'–' if value is None else f'{value:,.0f} s':>8}  {meant['zh']}")
    for group in answer.get("groups", []):
        counts = group["counts"]
        shares = [f"{name} {group[name]:.2%}" for name in ("closing_rate", "on_time_rate") if group[name] is not None]
        out.print(
            f"  {group[answer['by']]}: received {counts['received']:,}, closed {counts['closed']:,} {' '.join(shares)}"
        )


def emergency(
    area: Annotated[str | None, typer.Argument(help="An area code; without one: list.")] = None,
    *,
    config: ConfigFile = DEFAULT_CONFIG,
    reason: Annotated[str, typer.Option(help="Why; kept and shown.")] = "",
    hours: Annotated[float | None, typer.Option(min=0.1, max=720, help="Begin, for so long at the most.")] = None,
    end: Annotated[bool, typer.Option("--end", help="End it now.")] = False,
    actor: Actor = None,
    role: Annotated[str, typer.Option(help="In which role.")] = "dispatcher",
    json: AsJson = False,
) -> None:
    """平急转换: Put an area into emergency mode, end it, or list emergencies with their reviews."""
    from lifeline.app.queue import open_desk

    with failures(as_json=json), open_desk(config) as desk:
        if area is None or (hours is None and not end):
            rows = desk.emergencies(area)
            if json:
                print_json({"emergencies": rows})
            else:
                columns = ["area_code", "since", "until", "ended_at", "actor", "reason", "incident_id"]
                table("", columns, rows, empty="No emergencies. 没有应急。", zone=site_zone(config))
            return
        row = desk.emergency(area, actor=actor, role=role, reason=reason, hours=None if end else hours)
        if json:
            print_json(row)
        else:
            state = "has ended" if end else f"holds until {row['until']:%Y-%m-%d %H:%M} UTC"
            say(GOOD, f" emergency in {area} {state}; incident {row['incident_id']}")


def add_to(app: typer.Typer) -> None:
    """Put these commands under ``events``."""
    for command in (report, why, overdue, kpi, emergency):
        app.command()(command)
