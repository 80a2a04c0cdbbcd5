"""``demo`` and ``simulate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from lifeline.cli.output import AsJson, console, failures, print_json

PANEL = "Try it · 试用"


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command(rich_help_panel=PANEL)(demo)
    app.command(rich_help_panel=PANEL)(simulate)


def demo(
    *,
    seconds: Annotated[
        float | None, typer.Option(help="Stop after this long; without it Ctrl-C ends the demo.")
    ] = None,
    sensors: Annotated[int, typer.Option(min=16, help="Simulated devices.")] = 219_300,
    interval: Annotated[float, typer.Option(min=0.5, help="Every device reports once in this many seconds.")] = 10.0,
    data: Annotated[Path | None, typer.Option(help="Keep everything here; default: a new temporary folder.")] = None,
    port: Annotated[int, typer.Option(help="Console port; 0 takes a free one.")] = 8600,
    no_console: Annotated[bool, typer.Option("--no-console", help="Without the console.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the simulated city.")] = 1,
    json: AsJson = False,
) -> None:
    """Run the whole engine on this machine: broker, simulated city, collector, log, rules, queue, lake, console.

    Everything is real but the city: readings go over MQTT through the embedded broker, are fsynced before they are
    acknowledged, judged by the standard rules, and land in the governance queue and in DuckDB. At the end the books are
    balanced: published against logged, events against the faults that were planted.
    """
    from lifeline.app.compiled import ensure_warm
    from lifeline.app.demo import DemoSettings, run_demo

    settings = DemoSettings(
        seconds=seconds,
        sensors=sensors,
        interval_s=interval,
        directory=data,
        console_port=None if no_console else port,
        seed=seed,
    )
    with failures(as_json=json):
        from lifeline.console.terminal import StatusLine

        line = StatusLine(console(stderr=True))
        ensure_warm(line.say)
        summary = run_demo(settings, line)
        if json:
            print_json(summary)
        else:
            from lifeline.app.summary import print_demo_summary

            print_demo_summary(summary, console())
        if summary["lost"] or summary["undrained"]:
            raise typer.Exit(1)


def simulate(
    *,
    broker: Annotated[str, typer.Option(help="Where to publish, e.g. mqtt://127.0.0.1:1883")],
    sensors: Annotated[int, typer.Option(min=16, help="Devices.")] = 219_300,
    interval: Annotated[float | None, typer.Option(help="One interval for all; default: each its own.")] = None,
    shape: Annotated[Literal["single", "gateway"], typer.Option(help="One device a message, or packs.")] = "single",
    pack: Annotated[int, typer.Option(min=1, max=1000, help="Devices in a gateway's pack.")] = 100,
    qos: Annotated[int, typer.Option(min=0, max=1)] = 1,
    seconds: Annotated[float | None, typer.Option(help="Stop after this long; without it Ctrl-C ends it.")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same city, same bytes.")] = 1,
    faults: Annotated[float, typer.Option(min=0, help="Labelled faults per hour.")] = 60.0,
    fault_speed: Annotated[float, typer.Option(min=0.01, help="Faults evolve this many times faster.")] = 1.0,
    truth: Annotated[Path | None, typer.Option(help="Write the labelled truth here (.parquet or .csv).")] = None,
    registry: Annotated[Path | None, typer.Option(help="Write the registry here (.parquet or .csv).")] = None,
    ledger: Annotated[Path | None, typer.Option(help="Write what the broker acknowledged here (Parquet).")] = None,
    json: AsJson = False,
) -> None:
    """Publish the simulated city to any real broker, as an open loop: it never slows down for the receiver."""
    from lifeline.app.simulation import run_simulation

    with failures(as_json=json):
        summary = run_simulation(
            broker_url=broker,
            sensors=sensors,
            interval_s=interval,
            shape=shape,
            pack=pack,
            qos=qos,
            seconds=seconds,
            seed=seed,
            faults_per_hour=faults,
            fault_speed=fault_speed,
            truth=truth,
            registry=registry,
            ledger=ledger,
            out=console(stderr=True),
        )
        if json:
            print_json(summary)
        else:
            console().print(
                f"{summary['readings']:,} readings in {summary['messages']:,} messages, "
                f"{summary['acknowledged_readings']:,} readings acknowledged, "
                f"{summary['messages_per_s']:,.0f} messages/s, "
                f"{summary['behind_s']:.1f} s behind, {summary['faults']} faults"
            )
