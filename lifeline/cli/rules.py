"""``rules check | list | page | backtest``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lifeline.cli.output import DEFAULT_CONFIG, AsJson, ConfigFile, console, failures, print_json, table

app = typer.Typer(help="Detection rules: check, list, backtest. 预警规则。", no_args_is_help=True)


@app.command()
def check(
    path: Annotated[Path, typer.Argument(help="A rule file or a folder of them.")], *, json: AsJson = False
) -> None:
    """Validate rules; every problem at once, each with file, rule, key and remedy."""
    from lifeline.app.rules import check_rules

    with failures(as_json=json):
        rules = check_rules(path)
        if json:
            print_json({"rules": rules})
        else:
            console().print(f"[green]✓[/green] {len(rules)} rules")


@app.command("list")
def list_(*, config: ConfigFile = DEFAULT_CONFIG, json: AsJson = False) -> None:
    """The rules that the configuration loads."""
    from lifeline.app.rules import list_rules

    with failures(as_json=json):
        rules = list_rules(config)
        if json:
            print_json({"rules": rules})
        else:
            table("", ["id", "version", "level", "category", "title"], rules, empty="No rules.")


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
    data: Annotated[Path | None, typer.Option(help="Foreign history (Parquet or CSV); default: the lake.")] = None,
    registry: Annotated[Path | None, typer.Option(help="Registry of the foreign history.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="ISO time.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="ISO time.")] = None,
    train_to: Annotated[str | None, typer.Option(help="Learn before this time, report after it.")] = None,
    truth: Annotated[Path | None, typer.Option(help="Labelled truth: score against it.")] = None,
    alarms: Annotated[Path | None, typer.Option(help="Write every alarm here (Parquet).")] = None,
    timezone: Annotated[str, typer.Option(help="The site's clock.")] = "UTC",
    json: AsJson = False,
) -> None:
    """Run rules over history with the same machine that runs live."""
    from lifeline.app.rules import backtest_rules

    with failures(as_json=json):
        report = backtest_rules(
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
        )
        if json:
            print_json(report)
            return
        table(
            "",
            ["id", "version", "readings", "raised", "cleared", "points", "alarms_per_day"],
            report["rules"],
            empty="",
        )
        if "score" in report:
            score = report["score"]
            console().print(
                f"precision {score['precision']:.3f} · recall {score['recall']:.3f} · F1 {score['f1']:.3f} · "
                f"median delay {score['median_delay_s']} s"
            )
        console().print(f"{report['elapsed_s']:.1f} s")
