"""``rules check | list | shadow | page | backtest | fit``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

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
    say,
    site_zone,
    table,
)

app = typer.Typer(help="Detection rules: check, list, backtest, fit. 预警规则。", no_args_is_help=True)

PIPED_S: Final = 10.0
"""How often progress is told where there is no terminal."""


@app.command()
def check(
    path: Annotated[Path, typer.Argument(help="A rule file or a folder of them.")], *, json: AsJson = False
) -> None:
    """Validate rules; every problem at once, each with file, rule, key and remedy."""
    from lifeline.app.rules import check_rules

    with failures(as_json=json):
        rules, warnings = check_rules(path)
        if json:
            print_json({"rules": rules, "warnings": warnings})
            return
        for doubt in warnings:
            say(DOUBT, f" {doubt}", stderr=True)
        say(GOOD, f" {len(rules)} rule{'' if len(rules) == 1 else 's'}")


@app.command("list")
def list_(*, config: ConfigFile = DEFAULT_CONFIG, json: AsJson = False) -> None:
    """The rules that the configuration loads."""
    from lifeline.app.rules import list_rules

    with failures(as_json=json):
        rules = list_rules(config)
        if json:
            print_json({"rules": rules})
        else:
            table("", ["id", "version", "level", "category", "title", "shadow"], rules, empty="No rules.")


@app.command()
def shadow(
    *,
    config: ConfigFile = DEFAULT_CONFIG,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Differences shown, the newest.")] = 50,
    json: AsJson = False,
) -> None:
    """What candidate rules (shadow = true) raise otherwise than production (影子规则与现行规则之差)."""
    from lifeline.app.shadow import read_shadow

    with failures(as_json=json):
        told = read_shadow(config, limit)
        if json:
            print_json(told)
            return
        if told["fault"]:
            say(BAD, f" {told['fault']}")
        zone = site_zone(config)
        rows = [row | {"since": datetime.fromtimestamp(row["since"] / 1000, UTC)} for row in told["rules"]]
        columns = ["rule_id", "version", "against", "since", "same", "raised", "missed", "times"]
        table("", columns, rows, empty="No shadow rules run. 无影子规则运行。", zone=zone)
        names = ["rule_id", "difference", "device_id", "quantity", "raised_at", "cleared_at"]
        names += ["production_raised_at", "production_cleared_at", "value"]
        if rows:
            table("", names, told["differences"], empty="No difference. 无差异。", zone=zone)


Data = Annotated[
    list[Path] | None,
    typer.Option(
        help="Foreign history: Parquet, CSV, CSV.GZ, or a folder of these (again for more); default: the lake."
    ),
]
RegistryFile = Annotated[Path | None, typer.Option(help="Registry of the foreign history.")]
Start = Annotated[str | None, typer.Option("--from", help="ISO time.")]
End = Annotated[str | None, typer.Option("--to", help="ISO time.")]
TrainTo = Annotated[str | None, typer.Option(help="Learn before this time, report after it.")]
Zone = Annotated[
    str | None, typer.Option(help="The site's clock; default: the configuration's, UTC for foreign history.")
]


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on stderr for work that takes longer than a moment; piped, a line every ten seconds."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    screen = console(stderr=True)
    if not screen.is_terminal:
        began = said = time.monotonic()

        def tell(what: str, done: int, total: int) -> None:
            nonlocal said
            if time.monotonic() - said >= PIPED_S:
                said = time.monotonic()
                screen.print(f"{what} {_share(done, total)}, {said - began:.0f} s".replace(" ,", ","))

        yield tell
        return
    words = (TextColumn("{task.description}"), TextColumn("{task.fields[share]}"))
    with Progress(
        *words, BarColumn(), TimeElapsedColumn(), TimeRemainingColumn(), console=screen, transient=True
    ) as bar:
        task = bar.add_task("opening 打开", total=None, share="")
        yield lambda what, done, total: bar.update(
            task, description=what, completed=done, total=total or None, share=_share(done, total)
        )


def _share(done: int, total: int) -> str:
    """How much is done of how much; nothing where that is not known."""
    return f"{done:,} of {total:,}" if total else ""


@app.command()
def page(path: Annotated[Path, typer.Argument(help="A rule file or a folder of them.")]) -> None:
    """Print the rules as a Markdown page: what each looks for, its limits, where they come from."""
    from lifeline.app.rules import rules_page

    with failures(as_json=False):
        typer.echo(rules_page(path), nl=False)


@app.command()
def backtest(
    path: Annotated[Path, typer.Argument(help="A rule file or a folder of them.")],
    *,
    config: ConfigFile = DEFAULT_CONFIG,
    data: Data = None,
    registry: RegistryFile = None,
    start: Start = None,
    end: End = None,
    train_to: TrainTo = None,
    truth: Annotated[Path | None, typer.Option(help="Labelled truth: score against it.")] = None,
    alarms: Annotated[
        Path | None, typer.Option(help="Write every alarm here (Parquet; or .csv, .json, .jsonl).")
    ] = None,
    timezone: Zone = None,
    report: Annotated[Path | None, typer.Option(help="Write figures and plots here (HTML).")] = None,
    shadow: Annotated[bool, typer.Option("--shadow", help="The candidates (shadow = true) instead.")] = False,
    json: AsJson = False,
) -> None:
    """Run rules over history with the same machine that runs live."""
    from lifeline.app.backtest import backtest_rules
    from lifeline.app.memory import settle_allocator

    settle_allocator(starting=True)  # a batch's columns are used again for the next: fresh pages were a fifth
    with failures(as_json=json):
        with _progress() as progress:
            found = backtest_rules(
                path,
                config=config,
                data=data,
                registry=registry,
                start=start,
                end=end,
                train_to=train_to,
                truth=truth,
                alarms=alarms,
                timezone=timezone,
                report=report,
                shadow=shadow,
                progress=progress,
            )
        for doubt in found["warnings"]:
            say(DOUBT, f" {doubt}", stderr=True)
        if json:
            print_json(found)
            return
        looked = [row for row in found["rules"] if row["points"] or row["raised"]]
        columns = ["id", "version", "readings", "raised", "cleared", "points", "alarms_per_day"]
        table("", columns, looked, empty="No rule looks at a point of this history. 没有规则评判这些测点。")
        others = len(found["rules"]) - len(looked)
        if looked and others:
            console().print(
                f"{others} more rules look at no point of it (--json has them all) 其余 {others} 条规则不涉及"
            )
        if "score" in found:
            from rules.durations import about

            score = found["score"]
            delay = "–" if score["median_delay_s"] is None else about(score["median_delay_s"])
            console().print(
                f"precision {score['precision']:.3f} · recall {score['recall']:.3f} · F1 {score['f1']:.3f} · "
                f"median delay {delay} · {score['false_alarms_per_day']:.3g} false alarms a day"
            )
        load = found["load"]
        console().print(
            f"{found['alarms']:,} alarms · {load['alarms_per_10min']['max']} in the busiest ten minutes · "
            f"{load['standing_max']} at once · {found['elapsed_s']:.1f} s"
        )
        for path_written in filter(None, (alarms, report)):
            say(GOOD, f" {path_written}")


@app.command()
def fit(
    path: Annotated[Path, typer.Argument(help="A rule file or a folder of them.")],
    *,
    config: ConfigFile = DEFAULT_CONFIG,
    data: Data = None,
    registry: RegistryFile = None,
    start: Start = None,
    end: End = None,
    train_to: TrainTo = None,
    timezone: Zone = None,
    budget: Annotated[float, typer.Option(help="False alarms a day that one rule may cost.")] = 1.0,
    rule: Annotated[list[str] | None, typer.Option(help="Only this rule (again for more).")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the rules with fitted limits here (TOML).")] = None,
    json: AsJson = False,
) -> None:
    """Propose limits from a normal period, and say what they would have cost (按正常时段拟合限值)."""
    from lifeline.app.backtest import fit_rules
    from lifeline.app.memory import settle_allocator

    settle_allocator(starting=True)
    with failures(as_json=json):
        with _progress() as progress:
            found = fit_rules(
                path,
                config=config,
                data=data,
                registry=registry,
                start=start,
                end=end,
                train_to=train_to,
                timezone=timezone,
                budget=budget,
                names=rule or (),
                out=out,
                progress=progress,
            )
        for doubt in found["warnings"]:
            say(DOUBT, f" {doubt}", stderr=True)
        if json:
            print_json(found)
            return
        rows = [
            {
                "id": one["id"],
                "parameter": one["param"],
                "now": f"{one['value']:.4g}",
                "alarms a day": f"{one['alarms_per_day']['value']:.3g}",
                "proposed": f"{one['proposed']:.4g}",
                "would cost": f"{one['alarms_per_day']['proposed']:.3g}",
            }
            for one in found["rules"]
        ]
        names = ["id", "parameter", "now", "alarms a day", "proposed", "would cost"]
        table("", names, rows, empty="No rule with a limit looks at this history.")
        for one in found["rules"]:
            if not one["within_budget"]:
                costs = f"{one['alarms_per_day']['proposed']:.3g} alarms a day"
                say(
                    DOUBT,
                    f" {one['id']}: no step keeps the budget, even {one['proposed']:.4g} costs {costs} (超出预算)",
                )
        console().print(f"budget {budget:g} alarms a day and rule · {found['elapsed_s']:.1f} s")
        if found["out"] is not None:
            say(GOOD, f" {out}")
        elif out is not None:
            say(DOUBT, f" no limit needs another value: {out} was not written (限值无需修改，未写文件)")
