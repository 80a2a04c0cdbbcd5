"""``settings show | versions | set``: policy, units and responsibility matrix, as the site keeps them."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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

if TYPE_CHECKING:
    from collections.abc import Mapping

app = typer.Typer(
    help="Policy, units and responsibility matrix: show, versions, set. 政策、单位与责任矩阵。", no_args_is_help=True
)


class Name(StrEnum):
    """What can be set."""

    policy = "policy"
    units = "units"
    duties = "duties"


@app.command()
def show(
    name: Name,
    *,
    config: ConfigFile = DEFAULT_CONFIG,
    version: Annotated[int | None, typer.Option(min=1, help="An older one; default: what is in force.")] = None,
    json: AsJson = False,
) -> None:
    """What is in force, as ``set`` takes it: TOML of the policy, CSV of units and duties."""
    from lifeline.app.queue import open_desk

    with failures(as_json=json), open_desk(config) as desk:
        found = desk.get_setting(name.value, version)
        if json:
            print_json(found)
            return
        say(_told(name.value, found), stderr=True)
        sys.stdout.write(_content(found))


@app.command()
def versions(
    name: Name,
    *,
    config: ConfigFile = DEFAULT_CONFIG,
    before: Annotated[int | None, typer.Option(min=1, help="`next` of the page before.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    json: AsJson = False,
) -> None:
    """Who decided what and why, newest first."""
    from lifeline.app.queue import open_desk

    with failures(as_json=json), open_desk(config) as desk:
        page = desk.list_setting_versions(name.value, before, limit)
        if json:
            print_json(page)
            return
        columns = ["version", "at", "actor", "role", "source", "reason"]
        table("", columns, page["versions"], empty="Nobody has decided anything yet.", zone=site_zone(config))
        if page["next"]:
            console().print(f"more: --before {page['next']}")


@app.command("set")
def set_(
    name: Name,
    file: Annotated[Path, typer.Argument(help="TOML of the policy; CSV or Parquet of units and duties, all rows.")],
    *,
    config: ConfigFile = DEFAULT_CONFIG,
    reason: Annotated[str, typer.Option(help="Why; kept and audited.")],
    seen: Annotated[
        int | None, typer.Option("--seen", min=0, help="Refuse when the version in force is not this one any longer.")
    ] = None,
    actor: Annotated[str | None, typer.Option(help="Who acts; default: your login name.")] = None,
    role: Annotated[str, typer.Option(help="In which role: admin or dispatcher.")] = "admin",
    json: AsJson = False,
) -> None:
    """Put a file's content into force, for whatever begins from now on; audited with the changed lines."""
    from lifeline.app.queue import open_desk

    with failures(as_json=json), open_desk(config) as desk:
        made = desk.set_setting(name.value, file, reason=reason, seen=seen, actor=actor, role=role)
        if json:
            print_json(made)
        else:
            say(GOOD, f" {name.value}: version {made['version']} is in force")


def _told(name: str, found: Mapping[str, Any]) -> str:
    words = f"{name} version {found['version']} ({found['source']})"
    if found["actor"]:
        words += f" by {found['actor']} of {found['at']:%Y-%m-%d %H:%M} UTC: {found['reason']}"
    if found.get("file"):
        words += f"; kept in {found['file']}"
    return words


def _content(found: Mapping[str, Any]) -> str:
    """TOML or CSV."""
    if "text" in found:
        return found["text"] or ""
    import csv
    import io

    rows = found["rows"] or []
    out = io.StringIO()
    if rows:
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return out.getvalue()
