"""The front page's figures: gathered while tests run, printed as a table when pytest ends."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.ledger import ROOT, commit
from benchmarks.machine import machine
from benchmarks.picture import describe
from tests.crash.oracle import EMPTY, Books


@dataclass
class Row:
    """One kind of crash."""

    name: str
    cycles: int = 0
    books: Books = EMPTY
    seeds: list[int] = field(default_factory=list)
    back_s: list[float] = field(default_factory=list)
    """From the start to the first acknowledgement."""


ROWS: dict[str, Row] = {}
MUTANTS: dict[str, str | None] = {}
"""By name: what gave the mutant away, None when it survived."""


def add(name: str, cycles: int, books: Books, seed: int, back_s: list[float]) -> None:
    """One campaign more for a row."""
    row = ROWS.setdefault(name, Row(name))
    row.cycles += cycles
    row.books += books
    row.seeds.append(seed)
    row.back_s += back_s


def table() -> list[str]:
    """The lines, none when nothing ran; a figure without its machine and commit is none."""
    lines = []
    if ROWS or MUTANTS:
        tree = Path(os.environ.get("LIFELINE_TREE", ROOT))  # the suite runs beside the wheel, not in the tree
        lines.append(f"{describe(machine())}, commit {commit(tree) or 'unknown'}")
    if ROWS:
        head = (
            f"{'crash':32} {'cycles':>7} {'acknowledged':>13} {'lost':>5} {'phantom':>8} {'doubled':>8} {'disorder':>9}"
        )
        lines.append(f"{head}  back p50/max s  seeds")
    for row in ROWS.values():
        books, back = row.books, sorted(row.back_s) or [0.0]
        seeds = " ".join(map(str, row.seeds[:3])) + (f" … {len(row.seeds)} in all" if len(row.seeds) > 3 else "")
        lines.append(
            f"{row.name:32} {row.cycles:7,} {books.acknowledged:13,} {books.lost:5} {books.phantom:8} "
            f"{books.doubled:8} {books.disorder:9}  {back[len(back) // 2]:6.2f} / {back[-1]:5.2f}  {seeds}"
        )
    if MUTANTS:
        caught = sum(verdict is not None for verdict in MUTANTS.values())
        survived = ", ".join(name for name, verdict in MUTANTS.items() if verdict is None)
        lines.append(f"mutants caught {caught}/{len(MUTANTS)}" + (f"; SURVIVED: {survived}" if survived else ""))
    return lines
