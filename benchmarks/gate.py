"""The gate: did something become slower, or give another result?

    gates.toml ─► run its workloads (each in a process of its own) ─► judge ─► table, exit 0 or 1

It fails when a workload is missing or fails, when a figure is missing, when a ratio has left its margin, or when a
result hash is not the one on file. Ratios are ours to a baseline *of the same run on the same machine*: never absolute
times. A workload whose ratio misses is measured once more before it counts, since a shared machine can stall for
seconds; a wrong hash is wrong at once. An improvement is shown, not rewarded: raise the margin by hand.
"""

from __future__ import annotations

import json
import time
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.machine import machine
from benchmarks.report import number
from benchmarks.runner import run_isolated
from benchmarks.workloads import BY_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

GATES: Final = Path(__file__).with_name("gates.toml")


@dataclass(frozen=True, slots=True)
class Gate:
    """One workload of the gate: at which scale, which ratios at least, which shares and delays at most, which hash."""

    workload: str
    scale: float
    at_least: Mapping[str, float]
    hash: str | None
    at_most: Mapping[str, float] = field(default_factory=dict)
    may_lack: frozenset[str] = frozenset()
    """Figures of extras that need not be installed: judged where they are measured."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line of the outcome."""

    workload: str
    what: str
    found: str
    demanded: str
    margin: str
    passed: bool
    final: bool = False
    """Measuring again cannot change it."""


def load(path: Path) -> list[Gate]:
    """The gates of a file.

    Raises:
        ValueError: the file is wrong; the message names the key.
    """
    gates = []
    for name, table in tomllib.loads(path.read_text(encoding="utf-8")).items():
        if unknown := set(table) - {"scale", "at_least", "at_most", "may_lack", "hash"}:
            raise ValueError(f"{path}: {name}: unknown keys {sorted(unknown)}")
        if not table.get("at_least"):
            raise ValueError(f"{path}: {name}.at_least: names no ratio, so it would gate nothing")
        most, lack = table.get("at_most", {}), frozenset(table.get("may_lack", ()))
        if astray := lack - set(table["at_least"]) - set(most):
            raise ValueError(f"{path}: {name}.may_lack: {sorted(astray)} are gated nowhere")
        gates.append(Gate(name, float(table["scale"]), table["at_least"], table.get("hash"), most, lack))
    if not gates:
        raise ValueError(f"{path}: no workload: a gate without any would always be open")
    return gates


def judge(gate: Gate, result: Mapping[str, Any] | None) -> list[Verdict]:
    """The verdicts on one workload's result; None: there is no such workload."""

    def fault(what: str, found: str, demanded: str, *, final: bool = False) -> Verdict:
        return Verdict(gate.workload, what, found, demanded, "", passed=False, final=final)

    if result is None:
        return [fault("workload", "missing", "present", final=True)]
    if "error" in result:
        return [fault("run", result["error"].splitlines()[-1], "done")]
    verdicts = []
    if result["scale"] != gate.scale:
        verdicts.append(fault("scale", f"{result['scale']:g}", f"{gate.scale:g}", final=True))
    bounds = [("≥", name, least) for name, least in gate.at_least.items()]
    bounds += [("≤", name, most) for name, most in gate.at_most.items()]
    for sign, name, bound in bounds:
        figure, demanded = result["figures"].get(name), f"{sign} {number(bound)}"
        if figure is None:
            if name not in gate.may_lack:
                verdicts.append(fault(name, "missing", demanded, final=True))
            continue
        value = figure["value"]
        margin = f"{(value / bound - 1) * 100:+.0f} %" if bound else ""
        passed = value >= bound if sign == "≥" else value <= bound
        verdicts.append(Verdict(gate.workload, name, number(value), demanded, margin, passed))
    if gate.hash is not None:
        same = result["hash"] == gate.hash
        verdicts.append(Verdict(gate.workload, "result hash", result["hash"], gate.hash, "", same, final=not same))
    return verdicts


def check(
    gates: Sequence[Gate], run: Callable[[Gate], Mapping[str, Any] | None]
) -> tuple[list[Verdict], list[Mapping[str, Any]]]:
    """Run and judge all; what misses is run once more."""
    verdicts, results = [], []
    for gate in gates:
        result = run(gate)
        found = judge(gate, result)
        if any(not verdict.passed for verdict in found) and not any(verdict.final for verdict in found):
            result = run(gate)
            found = judge(gate, result)
        verdicts += found
        if result is not None:
            results.append(result)
    return verdicts, results


def main(path: Path, json_path: Path | None) -> int:
    """Run the gate of a file; 0 when everything passed."""
    console = Console()
    began = time.monotonic()
    try:
        gates = load(path)
    except (OSError, ValueError, KeyError) as error:
        console.print(Text(f"gate: {error}", style="red"))
        return 1
    verdicts, results = check(gates, _run)
    table = Table(title="gate: ratios to a baseline of the same run", title_justify="left", title_style="bold")
    for name in ("workload", "what", "found", "demanded", "margin", ""):
        table.add_column(name, justify="right" if name in {"found", "demanded", "margin"} else "left", overflow="fold")
    for v in verdicts:
        word = Text("passed", style="green") if v.passed else Text("FAILED", style="bold red")
        table.add_row(v.workload, v.what, Text(v.found), v.demanded, v.margin, word)
    console.print(table)
    for result in results:
        if "error" in result:
            console.print(Text(f"{result['workload']}: {result['error']}", style="red"))
    if json_path is not None:
        json_path.write_text(json.dumps({"machine": machine(), "results": results}, ensure_ascii=False), "utf-8")
    passed = all(verdict.passed for verdict in verdicts)
    console.print(f"gate {'passed' if passed else 'FAILED'} in {time.monotonic() - began:.0f} s")
    return 0 if passed else 1


def _run(gate: Gate) -> Mapping[str, Any] | None:
    workload = BY_ID.get(gate.workload)
    return None if workload is None else run_isolated(workload, gate.scale)
