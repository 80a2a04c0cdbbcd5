"""``python -m benchmarks list | run [NAME…] [--json FILE] [--scale S] | gate`` (contract, section 8).

Exit status: 0 done, 1 a workload or the gate failed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from benchmarks import gate, report
from benchmarks.machine import machine
from benchmarks.runner import run_isolated
from benchmarks.workloads import BY_ID, TABLE
from benchmarks.workloads.quality import DATA

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse and do; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Lifeline's benchmarks and their gate")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list", help="the workloads")
    run = verbs.add_parser("run", help="measure (all workloads, or those named) with their peers")
    run.add_argument("names", nargs="*", metavar="NAME", choices=[*BY_ID, []], help="workload ids; see list")
    run.add_argument("--json", type=Path, metavar="FILE", help="also write the results as JSON")
    run.add_argument("--scale", type=_scale, default=1.0, metavar="S", help="times the whole fleet (default 1)")
    run.add_argument("--data", type=Path, metavar="DIR", help="folder of public data sets, for quality")
    check = verbs.add_parser("gate", help="the short set against benchmarks/gates.toml")
    check.add_argument("--gates", type=Path, default=gate.GATES, metavar="FILE", help=argparse.SUPPRESS)
    check.add_argument("--json", type=Path, metavar="FILE", help="also write the results as JSON")
    options = parser.parse_args(arguments)
    if options.verb == "list":
        report.show_list([(workload.id, workload.about) for workload in TABLE])
        return 0
    if options.verb == "gate":
        return gate.main(options.gates, options.json)
    if options.data is not None:
        if not options.data.is_dir():
            parser.error(f"--data: {options.data} is no folder")
        os.environ[DATA] = str(options.data.resolve())
    soak = os.environ.get("LIFELINE_SOAK") == "1"
    usual = [workload.id for workload in TABLE if soak or not workload.soak]
    return _run(options.names or usual, options.scale, options.json)


def _scale(text: str) -> float:
    value = float(text)
    if not 0.001 <= value <= 20:
        raise argparse.ArgumentTypeError(f"{text} is not within 0.001 … 20 times the fleet")
    return value


def _run(names: Sequence[str], scale: float, path: Path | None) -> int:
    console = Console(stderr=False)
    about = machine()
    console.print(
        f"{about['cpu']}, {about['cores']} cores, {about['memory_gib']} GiB, {about['system']}, "
        f"Python {about['python']}, load {about['load_1min']}",
        markup=False,
    )
    results = []
    for name in names:
        results.append(run_isolated(BY_ID[name], scale))
        report.show(results[-1], console)
    write_json(path, about, results)
    return int(any("error" in result for result in results))


def write_json(path: Path | None, about: dict[str, object], results: Sequence[dict[str, object]]) -> None:
    """The contract's document."""
    if path is not None:
        document = {"machine": about, "results": results}
        path.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
