"""The list of commands. Each group lives in a module of its own."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from lifeline.cli import alarms, audit, data, engine, events, identity, rules, settings, simulation, sinks
from lifeline.cli.output import bear_any_terminal

# read when pyarrow is first imported, which is after this: why, says lifeline.app.memory
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

EPILOG = """
**Try it**: `lifeline demo` runs everything on this machine.
**Your broker**: `lifeline init site`, edit `site/lifeline.toml`, `lifeline check -c site/lifeline.toml --live 5`,
`lifeline run -c site/lifeline.toml`.
"""

app = typer.Typer(
    name="lifeline",
    help="City-lifeline telemetry: MQTT → durable log → rules → governance queue → DuckDB. 城市生命线遥测引擎。",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(*, value: bool) -> None:
    if value:
        from lifeline import __version__

        typer.echo(f"lifeline {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Say the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """City-lifeline telemetry: MQTT → durable log → rules → governance queue → DuckDB."""


simulation.add_to(app)
engine.add_to(app)
app.add_typer(events.app, name="events", rich_help_panel="Operate · 值守")
app.add_typer(alarms.app, name="alarms", rich_help_panel="Operate · 值守")
app.add_typer(settings.app, name="settings", rich_help_panel="Operate · 值守")
app.command("sinks", rich_help_panel="Operate · 值守")(sinks.show)
app.add_typer(rules.app, name="rules", rich_help_panel="Operate · 值守")
data.add_to(app)
app.add_typer(audit.app, name="audit", rich_help_panel=data.PANEL)
app.add_typer(identity.user_app, name="user", rich_help_panel="Who may · 权限")
app.add_typer(identity.token_app, name="token", rich_help_panel="Who may · 权限")


@app.command(
    rich_help_panel="Look into it · 数据",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def bench(context: typer.Context) -> None:
    """Benchmarks, the same as `python -m benchmarks …`."""
    import subprocess

    raise typer.Exit(subprocess.call([sys.executable, "-m", "benchmarks", *context.args]))  # noqa: S603 - our own module


def main() -> None:
    """Entry point of the ``lifeline`` program."""
    bear_any_terminal()
    app()
