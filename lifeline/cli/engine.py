"""``init``, ``check``, ``run``, ``status``."""

from __future__ import annotations

from datetime import tzinfo
from pathlib import Path
from typing import Annotated, Any

import typer

from lifeline.cli.output import (
    BAD,
    DEFAULT_CONFIG,
    DOUBT,
    GOOD,
    AsJson,
    ConfigFile,
    console,
    failures,
    print_json,
    records,
    say,
    site_zone,
    table,
)

PANEL = "Run it · 运行"


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    for command in (init, check, run, status):
        app.command(rich_help_panel=PANEL)(command)
    app.command(hidden=True)(warm)


def init(directory: Annotated[Path, typer.Argument(help="A new or empty folder.")]) -> None:
    """Write a commented lifeline.toml, a sample registry and the standard rules."""
    from lifeline.app.init import init_site

    with failures():
        written = init_site(directory)
        out = console()
        for path in written:
            out.print(f"  {path}")
        say("\nNext: edit ", (str(directory / "lifeline.toml"), "bold"), ", then")
        out.print(f"  lifeline check -c {directory / 'lifeline.toml'} --live 5")


def check(
    *,
    config: ConfigFile = DEFAULT_CONFIG,
    live: Annotated[float | None, typer.Option(help="Listen to each broker for this many seconds.")] = None,
    json: AsJson = False,
) -> None:
    """Validate configuration, registry and rules; with --live show what the brokers send. Changes nothing."""
    from lifeline.app.check import check_site

    with failures(as_json=json):
        report = check_site(config, live, console(stderr=True).print)
        if json:
            print_json(report)
        else:
            _print_check(report, site_zone(config))
        if not report["ok"]:
            raise typer.Exit(1)


def _print_check(report: dict[str, Any], zone: tzinfo) -> None:
    points, devices = f"{report['points']:,} points", f"{report['devices']:,} devices"
    say(GOOD, f" configuration · {points} of {devices} · {report['rules']} rules")
    if not report["rules"]:
        say(DOUBT, " there is no rule: readings are stored, nothing is detected (没有规则：只存储，不预警)")
    for doubt in report["warnings"]:
        say(DOUBT, f" {doubt}")
    for name, place in report["settings"]["kept"].items():
        say(f"  {name}: {place}")
    for warning in report["settings"]["warnings"]:
        say(DOUBT, f" {warning}")
    for broker in report.get("live", []):
        _print_live(broker, zone)


def _print_live(broker: dict[str, Any], zone: tzinfo) -> None:
    mark = GOOD if broker["connected"] else BAD
    say(mark, f" broker {broker['name']}: {broker['messages']} messages, {broker['error'] or 'connected'}")
    if broker["remedy"]:
        say(f"  → {broker['remedy']}")
    if broker["warning"]:
        say(DOUBT, f" {broker['warning']}")
    if broker["readings"]:
        table("", ["ts", "device_id", "quantity", "value", "unit", "late"], broker["readings"], empty="", zone=zone)
    if broker["rejects"]:
        say(("rejected", "bold"))
        records(["reason", "topic"], ["detail", "payload"], broker["rejects"], empty="", zone=zone)


def run(
    *,
    config: ConfigFile = DEFAULT_CONFIG,
    no_console: Annotated[bool, typer.Option("--no-console", help="Engine only.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No status line.")] = False,
) -> None:
    """Run engine and console until Ctrl-C or SIGTERM; what was read is committed and acknowledged before it ends."""
    import gc

    gc.disable()  # until it is assembled: what a start makes stays, and would be walked again and again
    from lifeline.app.memory import settle_delta

    settle_delta()
    from lifeline.app.run import run_site

    with failures():
        from lifeline.console.terminal import StatusLine

        line = None if quiet else StatusLine(console(stderr=True))
        clean = run_site(config, line, with_console=not no_console)
        if not clean:
            raise typer.Exit(1)


def status(*, config: ConfigFile = DEFAULT_CONFIG, json: AsJson = False) -> None:
    """Positions and lag of every follower, readings/s, latency, gaps, rejects, open events."""
    from lifeline.app.status import read_status
    from lifeline.core.reasons import in_both

    with failures(as_json=json):
        report = read_status(config)
        if json:
            print_json(report)
            return
        out = console()
        say(
            ("● ready", "green") if report["ready"] else ("● not ready", "red"),
            "" if report["ready"] else f": {in_both(report['reason'])}",
            f"   {report['readings_per_s']:,.0f} readings/s · {report['received']:,} received · "
            f"{report['late']:,} late · {report['unacknowledged']:,} messages unacknowledged",
        )
        if report.get("rules_fault"):
            say(BAD, f" rules not reloaded, those in force stay 规则未重新载入，仍用原规则: {report['rules_fault']}")
        if report.get("too_late"):
            say(DOUBT, f" {report['too_late']:,} readings came too late for the rules 读数过迟，规则未评判")
        table("followers", ["name", "position", "lag_s"], report["followers"], empty="no followers")
        table(
            "brokers",
            ["name", "connected", "granted_qos", "session_present", "last_error"],
            report["brokers"],
            empty="",
        )
        for broker in report["brokers"]:
            if broker["warning"]:
                say((f"{broker['name']}: {broker['warning']}", "yellow"))
        if report["rejected"]:
            out.print("rejected: " + ", ".join(f"{reason} {n:,}" for reason, n in report["rejected"].items()))
        latency = report["ingest_to_event_ms"]
        out.print(
            f"reading → alarm: p50 {latency['p50']:.0f} ms, p99 {latency['p99']:.0f} ms, max {latency['max']:.0f} ms"
        )
        out.print("events open: " + (", ".join(f"{level} {n}" for level, n in report["events_open"].items()) or "none"))


def warm(*, quiet: Annotated[bool, typer.Option("--quiet")] = False) -> None:
    """Compile the kernels, so that the first start is as fast as the next."""
    from lifeline.app.warm import warm_kernels

    seconds = warm_kernels()
    if not quiet:
        console().print(f"kernels ready in {seconds:.1f} s")
