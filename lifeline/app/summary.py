"""The demo's last page, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.panel import Panel
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console


def print_demo_summary(summary: Mapping[str, Any], out: Console) -> None:
    """The balanced books of a demo run, and how to look further."""
    rows = Table.grid(padding=(0, 2))
    rows.add_column(justify="right", style="dim")
    rows.add_column()
    latency, truth = summary["ingest_to_event_ms"], summary["truth"]
    lost_style = "green" if summary["lost"] == 0 else "bold red"
    rows.add_row("city", f"{summary['sensors']:,} sensors, {summary['points']:,} points")
    rows.add_row(
        "readings",
        Text.assemble(
            f"{summary['published']:,} published · {summary['logged']:,} logged · {summary['duplicates']:,} repeats · "
            f"{summary['rejected']:,} rejected · ",
            (f"{summary['lost']:,} lost", lost_style),
            (f" · {summary['undrained']:,} not read yet", "yellow") if summary["undrained"] else "",
        ),
    )
    rows.add_row(
        "engine",
        f"{summary['readings_per_s']:,.0f} readings/s · {summary['engine_cpu_s']:.1f} s CPU in "
        f"{summary['elapsed_s']:.0f} s · {summary['rss_mib_max']:.0f} MiB",
    )
    rows.add_row(
        "reading → alarm", f"p50 {latency['p50']:.0f} ms · p99 {latency['p99']:.0f} ms · max {latency['max']:.0f} ms"
    )
    rows.add_row("warnings", f"{summary['alarms']:,} alarms in {summary['events']:,} events")
    alike = truth["events_lookalike"]
    rows.add_row(
        "faults planted",
        f"{truth['faults']} · {truth['detected']} detected · {truth['events_true']} events true · "
        f"{truth['events_false']} false" + (f" ({alike} of harmless look-alikes 无害相似情形)" if alike else ""),
    )
    out.print(Panel(rows, title="Lifeline demo", title_align="left", expand=False))
    config = summary["config"]
    out.print("Look further:")
    for command in (
        f"lifeline events list -c {config}",
        f"lifeline status -c {config}",
        f'lifeline sql -c {config} "SELECT utility, count(*) FROM readings GROUP BY ALL"',
    ):
        out.print(f"  {command}", soft_wrap=True)
