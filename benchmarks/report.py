"""Results for people: a table a workload, ours first, then the peers of the same run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def show(found: Mapping[str, Any], console: Console | None = None) -> None:
    """A result as a table; an error as a sentence."""
    console = console or Console()
    head = f"{found['workload']} (scale {found['scale']:g})"
    if "error" in found:
        console.print(Text(f"{head}: {found['error']}", style="red"))
        return
    table = Table(title=head, title_justify="left", title_style="bold")
    table.add_column("figure", overflow="fold")
    for name in ("median", "spread"):
        table.add_column(name, justify="right")
    table.add_column("unit")
    table.add_column("target", justify="right")
    for name, figure in found["figures"].items():
        table.add_row(Text(name), number(figure["value"]), spread(figure), figure["unit"], target(figure))
    for peer, figures in found["peers"].items():
        table.add_section()
        if "skipped" in figures:
            table.add_row(Text(f"{peer}: skipped, {figures['skipped']}", style="dim"))
            continue
        table.add_row(Text(peer, style="bold cyan"))
        for name, figure in figures.items():
            table.add_row(Text(f"  {name}", style="cyan"), number(figure["value"]), spread(figure), figure["unit"], "")
    console.print(table)
    for note in found["notes"]:
        console.print(f"  {note}", markup=False)
    console.print(f"  result hash {found['hash']}\n", markup=False)


def number(value: float) -> str:
    """Four digits that matter."""
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def spread(figure: Mapping[str, Any]) -> str:
    """Extremes of the runs."""
    if "low" not in figure or figure["runs"] < 2:
        return ""
    return f"{number(figure['low'])} … {number(figure['high'])}"


def target(figure: Mapping[str, Any]) -> Text:
    """The target, and whether it is met."""
    if figure.get("target") is None:
        return Text("")
    sign = "≥" if figure["better"] == "higher" else "≤"
    return Text(f"{sign} {number(figure['target'])}", style="green" if figure["met"] else "red")


def show_list(rows: Sequence[tuple[str, str]], console: Console | None = None) -> None:
    """Workload ids and what they measure."""
    console = console or Console()
    table = Table(box=None)
    table.add_column("workload", style="bold")
    table.add_column("measures")
    for row in rows:
        table.add_row(*row)
    console.print(table)
