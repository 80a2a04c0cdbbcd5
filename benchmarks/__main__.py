"""``python -m benchmarks list | run [NAME…] [--json FILE] [--scale S] | gate | picture FILE`` (contract, section 8).

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
from rich.text import Text

from benchmarks import gate, report
from benchmarks.run import Outputs, draw
from benchmarks.run import run as measure
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
    run.add_argument("--json", type=_out, metavar="FILE", help="also write the results as JSON")
    run.add_argument("--scale", type=_scale, default=1.0, metavar="S", help="times the whole fleet (default 1)")
    run.add_argument("--ledger", type=_out, metavar="FILE", help="append the run to this ledger, one JSON line")
    run.add_argument("--picture", type=Path, metavar="DIR", help="draw benchmarks.png and benchmarks.html there")
    run.add_argument("--data", type=Path, metavar="DIR", help="folder of public data sets, for quality")
    check = verbs.add_parser("gate", help="the short set against benchmarks/gates.toml")
    check.add_argument("--gates", type=Path, default=gate.GATES, metavar="FILE", help=argparse.SUPPRESS)
    check.add_argument("--json", type=_out, metavar="FILE", help="also write the results as JSON")
    sketch = verbs.add_parser("picture", help="draw a results document of run --json again")
    sketch.add_argument("file", type=Path, metavar="FILE")
    sketch.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="where to (default: here)")
    options = parser.parse_args(arguments)
    if options.verb == "list":
        report.show_list([(workload.id, workload.about) for workload in TABLE])
        return 0
    if options.verb == "gate":
        return gate.main(options.gates, options.json)
    if options.verb == "picture":
        return _picture(options.file, options.out)
    if options.data is not None:
        if not options.data.is_dir():
            parser.error(f"--data: {options.data} is no folder")
        os.environ[DATA] = str(options.data.resolve())
    soak = os.environ.get("LIFELINE_SOAK") == "1"
    usual = [workload.id for workload in TABLE if soak or not workload.soak]
    outputs = Outputs(options.json, options.ledger, options.picture)
    return measure(options.names or usual, options.scale, outputs, chosen=bool(options.names))


def _scale(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
    if not 0.001 <= value <= 20:
        raise argparse.ArgumentTypeError(f"{text} is not within 0.001 … 20 times the fleet")
    return value


def _out(text: str) -> Path:
    """A file to write: that there is no folder for it is said before the work, not after an hour of it."""
    path = Path(text)
    if not path.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: there is no folder {path.parent}; make it first")
    return path


def _picture(path: Path, folder: Path) -> int:
    console = Console()
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        document = {"machine": found["machine"], "results": found["results"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = f"{path}: no results document ({error!r}); make one with: python -m benchmarks run --json {path}"
        console.print(Text(why, style="red"))
        return 2
    return 0 if draw(document, folder, console) else 1


if __name__ == "__main__":
    sys.exit(main())
