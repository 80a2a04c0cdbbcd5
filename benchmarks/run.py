"""``run``: workload after workload, with progress on the way, and everything written down as soon as it is known.

Results reach the JSON file after each workload, so that a run that is cut short keeps what it has. One that fails is
reported and the rest still run; the exit status tells. In the end there is one table of every target, our figure and
the peers'.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from rich.console import Console
from rich.text import Text

from benchmarks import ledger, page, picture, report, summary
from benchmarks.machine import machine
from benchmarks.runner import run_isolated
from benchmarks.workloads import BY_ID, TABLE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BUSY: Final = 0.5
"""Load a core at the start above which others are at work, and times are not to be trusted."""
LINE_S: Final = 20.0
"""Without a terminal, a line of progress so often at most."""
WIDTH: Final = 150
"""Columns where nobody says how many there are: into a file."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where results go besides the screen."""

    json: Path | None = None
    ledger: Path | None = None
    picture: Path | None = None
    """A folder: ``benchmarks.png`` and ``benchmarks.html``."""


def run(names: Sequence[str], scale: float, outputs: Outputs, *, chosen: bool) -> int:
    """Measure; 0 when every workload gave a result. ``chosen``: the user named them."""
    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(width=WIDTH)
    about = machine()
    console.print(Text(picture.describe(about), style="bold"))
    if about["load_1min"] > BUSY * about["cores"]:
        console.print(
            Text(
                "this machine is busy with other things: trust CPU and ratios, not times; nothing here needs more than "
                f"its {about['cores']} cores",
                style="yellow",
            )
        )
    if not chosen and (left := [workload.id for workload in TABLE if workload.id not in names]):
        console.print(Text(f"skipped, as they take an hour: {', '.join(left)} (name them, or LIFELINE_SOAK=1)"))
    results: list[dict[str, Any]] = []
    began = time.monotonic()
    for number, name in enumerate(names, 1):
        with _Progress(console, f"{number} of {len(names)}: {name}", BY_ID[name].seconds_max) as progress:
            results.append(run_isolated(BY_ID[name], scale, progress.show))
        report.show(results[-1], console)
        write_json(outputs.json, about, results)
    if outputs.ledger is not None:
        ledger.append(outputs.ledger, ledger.entry(about, results, time.monotonic() - began))
    if outputs.picture is not None:
        draw({"machine": about, "results": results}, outputs.picture, console)
    summary.show(results, console)
    failed = [result["workload"] for result in results if "error" in result]
    missed = sum(figure.get("met") is False for result in results for figure in result.get("figures", {}).values())
    console.print(
        f"{len(results) - len(failed)} of {len(results)} workloads in {time.monotonic() - began:,.0f} s"
        + (f", {missed} figures short of their target" if missed else "")
        + (f"; failed: {', '.join(failed)}" if failed else ""),
        markup=False,
    )
    return int(bool(failed))


def draw(document: dict[str, Any], folder: Path, console: Console) -> bool:
    """Picture and page of a results document; False, with the reason shown, when that cannot be done."""
    image = folder / "benchmarks.png"
    try:
        picture.draw(document, image)
    except RuntimeError as error:
        console.print(Text(f"no picture: {error}", style="yellow"))
        return False
    page.write(document, image, folder / "benchmarks.html")
    console.print(Text(f"picture: {image}, {folder / 'benchmarks.html'}"))
    return True


def write_json(path: Path | None, about: dict[str, object], results: Sequence[dict[str, object]]) -> None:
    """The contract's document."""
    if path is not None:
        document = {"machine": about, "results": results}
        path.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


class _Progress:
    """What is being done: a live line on a terminal, else a line now and then."""

    def __init__(self, console: Console, name: str, seconds_max: float) -> None:
        self._console, self._name, self._seconds_max = console, name, seconds_max
        self._status = console.status(name) if console.is_terminal else None
        self._said, self._said_at = "", -LINE_S

    def __enter__(self) -> Self:
        if self._status is None:
            self._console.print(f"{self._name} …", markup=False)
        else:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def show(self, what: str, seconds: float) -> None:
        """The latest word of the workload."""
        if self._status is not None:
            self._status.update(Text(f"{self._name} · {seconds:,.0f} s (at most {self._seconds_max:,.0f}) · {what}"))
        elif what != self._said and seconds >= self._said_at + LINE_S:
            self._said, self._said_at = what, seconds
            self._console.print(f"  {seconds:,.0f} s: {what}", markup=False)
