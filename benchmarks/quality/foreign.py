"""Foreign history through the rules as they ship, by the same function as ``lifeline rules backtest``, and its marks.

Marks are made of the alarms file alone: spells from ``raised_at`` to ``cleared_at`` of alarms about the process. Each
set is marked by its own published measure.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

import rules
from lifeline.app.backtest import backtest_rules

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.quality.sets import Case

LIBRARY: Final = Path(rules.__file__).parent / "library"
MONTH_S: Final = 30 * 86_400.0


@dataclass(frozen=True)
class Judged:
    """A case with what the rules said of it; ``at`` are the distinct times of its tested rows (epoch ms)."""

    case: Case
    report: dict[str, Any]
    alarms: pl.DataFrame
    at: NDArray[np.int64]

    @property
    def alarmed(self) -> NDArray[np.bool_]:
        """Which of the tested times lie within an alarm about the process."""
        said = np.zeros(len(self.at), bool)
        process = self.alarms.filter(pl.col("category") == "process")
        for start, end in process.select(
            pl.col("raised_at").dt.epoch("ms"), pl.col("cleared_at").dt.epoch("ms")
        ).iter_rows():
            said |= (self.at >= start) & (self.at < (end if end is not None else np.iinfo(np.int64).max))
        return said

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """Which of the tested times lie within a labelled fault."""
        found = np.zeros(len(self.at), bool)
        for a, b in self.faults:
            found |= (self.at >= a) & (self.at < b)
        return found

    @property
    def faults(self) -> list[tuple[int, int]]:
        """Labelled spells in epoch ms."""
        return [(int(a.timestamp() * 1000), int(b.timestamp() * 1000)) for a, b in self.case.faults]

    @property
    def days(self) -> float:
        """Length of the tested period."""
        return float(self.at[-1] - self.at[0]) / 86_400_000


def judge(case: Case, folder: Path, library: Path = LIBRARY) -> Judged:
    """Write the contract's files into ``folder`` and run the rules over them."""
    data, registry, truth, alarms = (
        folder / f"{case.name}-{part}.parquet" for part in ("data", "points", "truth", "alarms")
    )
    case.data.write_parquet(data)
    case.registry().write_parquet(registry)
    case.truth().write_parquet(truth)
    report = backtest_rules(
        library, config=folder, data=data, registry=registry, start=None, end=None,
        train_to=None if case.train_to is None else case.train_to.isoformat(),
        truth=truth if case.faults else None, alarms=alarms, timezone=case.timezone,
    )  # fmt: skip
    times = case.data["ts"].unique().sort().dt.epoch("ms").to_numpy()
    if case.train_to is not None:
        times = times[times >= int(case.train_to.timestamp() * 1000)]
    return Judged(case, report, pl.read_parquet(alarms), times)


def f1(judged: list[Judged]) -> dict[str, float]:
    """F1 on all tested points of all cases together, false and missing alarm rate (SKAB's protocol)."""
    said = np.concatenate([one.alarmed for one in judged])
    wrong = np.concatenate([one.wrong for one in judged])
    tp, fp = int((said & wrong).sum()), int((said & ~wrong).sum())
    fn, tn = int((~said & wrong).sum()), int((~said & ~wrong).sum())
    return {"f1": 2 * tp / max(2 * tp + fp + fn, 1), "far": fp / max(fp + tn, 1), "mar": fn / max(fn + tp, 1)}


def attack_score(one: Judged) -> dict[str, float]:
    """S of the BATADAL contest: half for the time to detection, half for the mean of both true rates."""
    said, wrong = one.alarmed, one.wrong
    late = []
    for a, b in one.faults:
        inside = one.at[(one.at >= a) & (one.at < b) & said]
        late.append((inside[0] - a) / (b - a) if len(inside) else 1.0)
    tpr, tnr = float(said[wrong].mean()), float((~said[~wrong]).mean())
    ttd = 1 - float(np.mean(late))
    return {"s": 0.5 * ttd + 0.25 * (tpr + tnr), "s_ttd": ttd, "tpr": tpr, "tnr": tnr}


def found(one: Judged) -> dict[str, float]:
    """Faults with an alarmed time in them, and minutes of alarm outside of all (from the alarms, not the rows)."""
    said = one.alarmed
    hit = sum(bool(said[(one.at >= a) & (one.at < b)].any()) for a, b in one.faults)
    spacing = np.median(np.diff(one.at)) / 60_000
    return {
        "found": float(hit),
        "faults": float(len(one.faults)),
        "false_minutes": float((said & ~one.wrong).sum() * spacing),
        "minutes": float((~one.wrong).sum() * spacing),
    }


def delays_h(one: Judged) -> list[float]:
    """Hours from each fault's start to the first alarm about the process raised in it, before the next fault begins."""
    raised = one.alarms.filter(pl.col("category") == "process")["raised_at"].dt.epoch("ms").sort().to_numpy()
    faults = sorted(one.faults)
    delays = []
    for (start, end), following in zip(faults, [*(start for start, _ in faults[1:]), faults[-1][1]], strict=True):
        inside = raised[(raised >= start) & (raised < min(end, following))]
        if len(inside):
            delays.append(float(inside[0] - start) / 3_600_000)
    return delays


def false_alarms(one: Judged) -> int:
    """Alarms about the process that were raised outside of all faults."""
    raised = one.alarms.filter(pl.col("category") == "process")["raised_at"].dt.epoch("ms")
    return sum(not any(a <= at < b for a, b in one.faults) for at in raised)


def burden(one: Judged) -> float:
    """Alarms a meter and month, of any category and level."""
    devices = one.case.data["device_id"].n_unique()
    return one.alarms.height / devices / max(one.days * 86_400 / MONTH_S, 1e-9)
