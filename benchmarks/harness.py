"""Measuring: interleaved pairs, medians, spread, CPU time, and the shape of a result.

Ours and the baseline run in turns (A B A B …) in one process, so that whatever else the machine does hits both. Wall
time is what a user waits; CPU time is what is stable on a shared machine, so ratios for the gate are made of it where
the work is computing, of wall time where it is waiting for a disk.

``PLANT`` in the environment makes a workload slower on purpose: an alarm that was never heard is none.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, ParamSpec, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

Arguments = ParamSpec("Arguments")
Made = TypeVar("Made")

PLANT: Final = "LIFELINE_BENCH_PLANT"
"""``workload=factor``: our side of this workload burns so many times its own time on top. For testing the gate."""

PROGRESS: Final = "» "

Better = Literal["higher", "lower"]


@dataclass(frozen=True, slots=True)
class Cost:
    """Wall and process CPU seconds of one run."""

    wall_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value: the median of ``runs`` runs, ``low`` and ``high`` the extremes among them."""

    value: float
    unit: str
    target: float | None = None
    better: Better = "higher"
    low: float | None = None
    high: float | None = None
    runs: int = 1

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None without one."""
        if self.target is None:
            return None
        return self.value >= self.target if self.better == "higher" else self.value <= self.target

    def json(self) -> dict[str, Any]:
        """As in the contract, with the spread."""
        made: dict[str, Any] = {"value": self.value, "unit": self.unit, "target": self.target, "better": self.better}
        if self.target is not None:
            made["met"] = self.met
        if self.low is not None:
            made |= {"low": self.low, "high": self.high, "runs": self.runs}
        return made


@dataclass(slots=True)
class Result:
    """What one workload gives (contract, section 8)."""

    workload: str
    scale: float
    figures: dict[str, Figure] = field(default_factory=dict)
    peers: dict[str, dict[str, Any]] = field(default_factory=dict)
    hash: str = ""
    notes: list[str] = field(default_factory=list)

    def json(self) -> dict[str, Any]:
        """The contract's object."""
        return {
            "workload": self.workload,
            "scale": self.scale,
            "figures": {name: figure.json() for name, figure in self.figures.items()},
            "peers": self.peers,
            "hash": self.hash,
            "notes": self.notes,
        }


@dataclass(frozen=True, slots=True)
class Pairs:
    """Costs of ours and of the baseline, run i of each side by side."""

    ours: list[Cost]
    baseline: list[Cost]

    def ratios(self, ours_units: float, baseline_units: float, clock: Literal["wall_s", "cpu_s"]) -> list[float]:
        """Per pair: how many times more units a second ours does."""
        return [
            (ours_units / getattr(a, clock)) / (baseline_units / getattr(b, clock))
            for a, b in zip(self.ours, self.baseline, strict=True)
        ]


def progress(text: str) -> None:
    """Say what is being done; the runner shows the latest line that begins like this."""
    print(f"{PROGRESS}{text}", file=sys.stderr, flush=True)


def measure(work: Callable[[], object]) -> Cost:
    """One run."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


def interleaved(
    workload: str, ours: Callable[[], object], baseline: Callable[[], object], pairs: int, warm: int = 1
) -> Pairs:
    """``warm`` runs of each that do not count, then ``pairs`` runs in turns."""
    ours = planted(workload, ours)
    for _ in range(warm):
        ours()
        baseline()
    costs = [(measure(ours), measure(baseline)) for _ in range(pairs)]
    return Pairs([a for a, _ in costs], [b for _, b in costs])


def planted(workload: str, work: Callable[Arguments, Made]) -> Callable[Arguments, Made]:
    """``work``, or ``work`` made slower when ``PLANT`` says so."""
    name, _, factor = os.environ.get(PLANT, "").partition("=")
    if name != workload:
        return work
    times = float(factor)

    def slower(*arguments: Arguments.args, **keywords: Arguments.kwargs) -> Made:
        began, cpu_began = time.perf_counter(), time.thread_time()
        made = work(*arguments, **keywords)
        ended, cpu_ended = time.perf_counter(), time.thread_time()
        until, cpu_until = ended + times * (ended - began), cpu_ended + times * (cpu_ended - cpu_began)
        # by both clocks: on a busy machine a loop that only waits for the wall's burns as little CPU as it is given
        while time.perf_counter() < until or time.thread_time() < cpu_until:
            pass
        return made

    return slower


def figure(values: Iterable[float], unit: str, target: float | None = None, better: Better = "higher") -> Figure:
    """Median and extremes of repeated measurements."""
    found = sorted(values)
    return Figure(statistics.median(found), unit, target, better, found[0], found[-1], len(found))


def rates(costs: Sequence[Cost], units: float, unit: str, target: float | None = None) -> Figure:
    """Units a second of wall time."""
    return figure((units / cost.wall_s for cost in costs), unit, target)


def cpu_us(costs: Sequence[Cost], units: float, unit: str, target: float | None = None) -> Figure:
    """CPU microseconds a unit."""
    return figure((cost.cpu_s / units * 1e6 for cost in costs), unit, target, "lower")


def rss_mib_max(pid: int | str = "self") -> float:
    """The largest resident set of a process so far (VmHWM: unlike ``ru_maxrss`` it forgets who forked it).

    Raises:
        RuntimeError: the process has ended, and its memory is no longer known.
    """
    found = Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")[2].split()
    if not found:
        raise RuntimeError(f"process {pid} has ended: its memory can be read only while it runs")
    return float(found[0]) / 1024


def ordered_hash(columns: Iterable[NDArray[Any]]) -> str:
    """Digest of columns, row order included."""
    digest = blake2b(digest_size=16)
    for column in columns:
        digest.update(np.ascontiguousarray(column).view(np.uint8).data)
    return digest.hexdigest()


class BagHash:
    """Digest of rows whatever their order: the sum of a 64-bit mix of each row (and how many there were)."""

    def __init__(self) -> None:
        self.rows = 0
        self._sum = 0

    def add(self, point: NDArray[Any], ts: NDArray[Any], seq: NDArray[Any], value: NDArray[np.float64]) -> None:
        """Rows of integers (any width) and one float64 column (null is NaN)."""
        mixed = np.zeros(len(point), np.uint64)
        for column in (point, ts, seq):
            mixed = _mix(mixed ^ column.astype(np.int64).view(np.uint64))
        mixed = _mix(mixed ^ np.ascontiguousarray(value, np.float64).view(np.uint64))
        self._sum = (self._sum + int(mixed.sum(dtype=np.uint64))) & 0xFFFF_FFFF_FFFF_FFFF
        self.rows += len(point)

    def hexdigest(self) -> str:
        """Rows and sum."""
        return f"{self.rows:x}-{self._sum:016x}"


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finalizer of splitmix64 (Steele, Lea, Flood 2014)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
