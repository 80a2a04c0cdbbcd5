"""The closing table of a run: every figure that has a target or that a peer measures too, ours beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from rich.table import Table
from rich.text import Text

from benchmarks.report import number, spread, target

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import Console


class Line(NamedTuple):
    """One figure. ``times``: how many times worse than its target; None when it is met, or has none."""

    workload: str
    name: str
    figure: Mapping[str, Any]
    peers: Mapping[str, float]
    times: float | None

    @property
    def verdict(self) -> str:
        """Met, or missed by how much."""
        if self.figure.get("target") is None:
            return ""
        if self.figure["met"]:
            return "met"
        return "missed" if self.times is None else f"missed, {self.times:.3g} times worse"


def lines(results: Sequence[Mapping[str, Any]]) -> list[Line]:
    """Of all workloads that gave a result, in their order."""
    return [line for result in results if "error" not in result for line in _of(result)]


def _of(result: Mapping[str, Any]) -> Iterator[Line]:
    for name, figure in result["figures"].items():
        peers = {
            peer: figures[name]["value"]
            for peer, figures in result["peers"].items()
            if name in figures and figures[name]["unit"] == figure["unit"]
        }
        if peers or figure.get("target") is not None:
            yield Line(result["workload"], name, figure, peers, _times_worse(figure))


def _times_worse(figure: Mapping[str, Any]) -> float | None:
    """None, too, where a ratio says nothing: a target or a figure of 0."""
    value, aim = figure["value"], figure.get("target")
    if not aim or not value or figure["met"]:
        return None
    return float(aim / value if figure["better"] == "higher" else value / aim)


def show(results: Sequence[Mapping[str, Any]], console: Console) -> None:
    """The table; nothing when no figure belongs into it."""
    found = lines(results)
    if not found:
        return
    table = Table(title="all targets and peers", title_justify="left", title_style="bold")
    table.add_column("workload · figure", overflow="fold")
    for name in ("ours", "spread"):
        table.add_column(name, justify="right")
    table.add_column("unit")
    table.add_column("target", justify="right")
    table.add_column("")
    table.add_column("peers of the same run", overflow="fold")
    last = found[0].workload
    for line in found:
        if line.workload != last:
            table.add_section()
        last = line.workload
        table.add_row(
            Text(f"{line.workload} · {line.name}"),
            number(line.figure["value"]),
            spread(line.figure),
            line.figure["unit"],
            target(line.figure),
            Text(line.verdict, style="green" if line.verdict == "met" else "red"),
            Text(told(line.peers), style="cyan"),
        )
    console.print(table)


def told(peers: Mapping[str, float]) -> str:
    """Peers in words."""
    return " · ".join(f"{name} {number(value)}" for name, value in peers.items())
