"""``sql``, ``rejects list | replay``, ``verify``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from lifeline.cli.output import (
    BAD,
    DEFAULT_CONFIG,
    GOOD,
    AsJson,
    ConfigFile,
    console,
    failures,
    print_json,
    records,
    say,
    site_zone,
)

PANEL = "Look into it · 数据"

rejects_app = typer.Typer(help="Dead letters: what was refused, and why. 拒收数据。", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command(rich_help_panel=PANEL)(sql)
    app.add_typer(rejects_app, name="rejects", rich_help_panel=PANEL)
    app.command(rich_help_panel=PANEL)(verify)


def sql(
    query: Annotated[str, typer.Argument(help="One SELECT over the views of the catalog.")],
    *,
    config: ConfigFile = DEFAULT_CONFIG,
    format: Annotated[Literal["table", "csv", "json", "parquet"], typer.Option(help="How to answer.")] = "table",  # noqa: A002 - the option's name
) -> None:
    """Ask DuckDB: `readings`, `points`, `areas`, `alarms`, `events`, `event_log`, `rejects`, `completeness`.

    Read only. Works while the engine writes. For example:
    `lifeline sql "SELECT reason, count(*) FROM rejects GROUP BY ALL"`
    """
    from lifeline.app.query import run_sql

    with failures():
        run_sql(config, query, format, sys.stdout.buffer)


@rejects_app.command("list")
def list_rejects(
    *,
    config: ConfigFile = DEFAULT_CONFIG,
    reason: Annotated[str | None, typer.Option(help="One of the closed list of reasons.")] = None,
    since: Annotated[str | None, typer.Option(help="ISO time, or 30min, 2h, 7d.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    cursor: Annotated[str | None, typer.Option(help="`next` of the page before.")] = None,
    json: AsJson = False,
) -> None:
    """Newest first, with topic, payload, reason and what to do."""
    from lifeline.app.rejects import list_rejects as run

    with failures(as_json=json):
        page = run(config, reason=reason, since=since, limit=limit, cursor=cursor)
        if json:
            print_json(page)
            return
        head, body = ("received_at", "reason", "broker", "topic"), ("detail", "payload")
        records(head, body, page["rejects"], empty="No rejects.", zone=site_zone(config))
        if page["next"]:
            console().print(f"more: --cursor {page['next']}")


@rejects_app.command("replay")
def replay(
    *,
    config: ConfigFile = DEFAULT_CONFIG,
    reason: Annotated[str | None, typer.Option(help="Only these.")] = None,
    since: Annotated[str | None, typer.Option(help="ISO time, or 30min, 2h, 7d.")] = None,
    json: AsJson = False,
) -> None:
    """Judge rejects again after the mapping or the registry was fixed; what is right now goes into the log, once."""
    from lifeline.app.rejects import replay_rejects

    with failures(as_json=json):
        report = replay_rejects(config, reason=reason, since=since)
        if json:
            print_json(report)
        else:
            say(
                f"{report['tried']:,} tried · ",
                (f"{report['accepted']:,} readings accepted", "green"),
                f" · {report['rejected']:,} still rejected · {report['incomplete']:,} too long to be kept whole",
            )


def verify(
    *,
    config: ConfigFile = DEFAULT_CONFIG,
    audit_key: Annotated[
        Path | None, typer.Option(help="Your own copy of audit.pub: shows whether the key was exchanged.")
    ] = None,
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            help="Every page of the lake (checksums, footers, doubles), every row of the queue against the others.",
        ),
    ] = False,
    json: AsJson = False,
) -> None:
    """Check log checksums, lake against log, the queue's database and the audit; exit 1 at the first bad place."""
    from lifeline.app.verify import verify_site

    with failures(as_json=json):
        report = verify_site(config, audit_key, full=full)
        if json:
            print_json(report)
        else:
            for part in report["parts"]:
                say(GOOD if part["ok"] else BAD, f" {part['name']}: {part['detail']}")
        if not report["ok"]:
            raise typer.Exit(1)
