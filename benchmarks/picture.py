"""The comparison as a picture (PNG): what the peers need, what was aimed at, what growth costs.

Drawn from a results document alone (``run --json``): nothing is measured here. A panel without its workload says so.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from benchmarks.peers import OURS
from benchmarks.report import number

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.axes import Axes

OURS_COLOUR, OTHERS_COLOUR, MISSED_COLOUR = "#0b7285", "#adb5bd", "#c92a2a"
CLIP: Final = 30.0
"""Times better than the target beyond which a bar is cut: it is met, and others should stay visible."""


def draw(document: Mapping[str, Any], path: Path) -> None:
    """Write the PNG.

    Raises:
        RuntimeError: matplotlib is not installed (it belongs to the group ``bench``, not to the program).
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RuntimeError("the picture needs matplotlib: pip install matplotlib, or make setup") from error
    found = {result["workload"]: result for result in document["results"] if "error" not in result}
    targets = _targets(found)
    figure = Figure(figsize=(12, 4.6 + 0.24 * max(8, len(targets))), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 2, height_ratios=[4, 0.24 * max(8, len(targets)) + 0.6])
    _peers(figure.add_subplot(grid[0, 0]), found.get("broker"))
    _growth(figure.add_subplot(grid[0, 1]), found.get("scale"))
    _aims(figure.add_subplot(grid[1, :]), targets)
    figure.suptitle(f"Lifeline · {describe(document['machine'])}", fontsize=11)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def describe(machine: Mapping[str, Any]) -> str:
    """A machine in a line."""
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}, "
        f"Python {machine['python']}, load {machine['load_1min']}"
    )


def _absent(axes: Axes, name: str) -> None:
    axes.set_axis_off()
    axes.text(0.5, 0.5, f"{name}: not in this run", ha="center", va="center", color="#868e96")


def _peers(axes: Axes, result: Mapping[str, Any] | None) -> None:
    """CPU a message, on a logarithmic scale."""
    if result is None:
        _absent(axes, "broker")
        return
    bars = {OURS.name: result["figures"]["cpu_us"]["value"]}
    bars |= {name: peer["cpu_us"]["value"] for name, peer in result["peers"].items() if "skipped" not in peer}
    names = sorted(bars, key=lambda name: -bars[name])
    colours = [OURS_COLOUR if name == OURS.name else OTHERS_COLOUR for name in names]
    drawn = axes.barh(names, [bars[name] for name in names], color=colours)
    axes.bar_label(drawn, [f" {number(bars[name])} µs" for name in names], fontsize=8)
    axes.set_xscale("log")
    axes.set_xlim(min(bars.values()) / 4, 4 * max(bars.values()))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.tick_params(labelsize=8)
    axes.set_title("CPU a message behind Mosquitto, QoS 1 (peers decode only)", fontsize=9, loc="left")


def _growth(axes: Axes, result: Mapping[str, Any] | None) -> None:
    """CPU a reading over the size of the fleet."""
    if result is None:
        _absent(axes, "scale")
        return
    figures = result["figures"]
    sizes = [name.removesuffix("_cpu_us") for name in figures if name.endswith("_cpu_us")]
    devices = [figures[f"{size}_devices"]["value"] for size in sizes]
    cost = [figures[f"{size}_cpu_us"]["value"] for size in sizes]
    axes.plot(devices, cost, "o-", color=OURS_COLOUR)
    for x, y in zip(devices, cost, strict=True):
        axes.annotate(number(y), (x, y), textcoords="offset points", xytext=(0, 6), ha="center", fontsize=8)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_ylim(0, 1.3 * max(cost))
    axes.tick_params(labelsize=8)
    axes.set_title("CPU of the engine a reading (µs) over devices", fontsize=9, loc="left")


def _targets(found: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, float, str, bool]]:
    """(figure, how many times better than its target, in words, met)."""
    rows = []
    for workload, result in found.items():
        for name, figure in result["figures"].items():
            target, value = figure.get("target"), figure["value"]
            if not target or target < 0:
                continue
            times = value / target if figure["better"] == "higher" else target / value if value > 0 else math.inf
            sign = "≥" if figure["better"] == "higher" else "≤"
            words = f"{number(value)} {figure['unit']} ({sign} {number(target)})"
            rows.append((f"{workload}: {name}", times, words, bool(figure["met"])))
    return rows


def _aims(axes: Axes, rows: list[tuple[str, float, str, bool]]) -> None:
    """Each figure as a multiple of its target: to the right of 1 it is met."""
    if not rows:
        _absent(axes, "figures with a target")
        return
    rows.reverse()
    lengths = [min(max(times, 1 / CLIP), CLIP) for _, times, _, _ in rows]
    colours = [OURS_COLOUR if met else MISSED_COLOUR for *_, met in rows]
    drawn = axes.barh(range(len(rows)), [length - 1 for length in lengths], left=1, color=colours)
    axes.bar_label(drawn, [f" {words} " for _, _, words, _ in rows], fontsize=7)
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows])
    axes.set_xscale("log")
    axes.set_xlim(1 / (20 * CLIP), 40 * CLIP)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xticks([0.1, 1, 10], ["10 times worse", "the target", "10 times better"])
    axes.tick_params(labelsize=7)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_title("Figures with a target", fontsize=9, loc="left")
