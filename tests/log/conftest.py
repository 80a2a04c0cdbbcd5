"""The crash simulation of the log's store, and small helpers, as fixtures.

A script is a list of steps; the world is a `MemoryDisk` and what was acknowledged. The oracle, checked after every
opening:

    acknowledged ⊆ recovered                      nothing lost
    recovered ⊆ acknowledged + last open group     nothing invented, nothing refused comes back
    lsn -> batch as it was                         order kept
    what was once recovered stays                  followers may have read it
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest

from lifeline.core.errors import UnavailableError
from lifeline.log.segment import encode_body
from lifeline.log.store import Store
from lifeline.testing import Fault, FaultyDisk, MemoryDisk, sample_batch

HERE = Path("/log")
STEPS = ("commit", "commit", "commit", "crash", "cut", "scatter", "close", "trim", "fault", "reopen", "dirfault")


@dataclass
class World:
    """One run of a script."""

    disk: MemoryDisk = field(default_factory=MemoryDisk)
    segment_bytes: int = 2500
    store: Store | None = None
    faulty: Any = None
    known: dict[int, int] = field(default_factory=dict)
    """lsn -> tag of everything acknowledged or once recovered."""
    limbo: list[int] = field(default_factory=list)
    """Tags of the group that was neither acknowledged nor durably refused."""
    trimmed: int = 0
    next_tag: int = 1
    acknowledged: int = 0
    crashes: int = 0

    def open(self) -> None:
        self.faulty = FaultyDisk(self.disk)
        self.store = Store(HERE, files=self.faulty, segment_bytes=self.segment_bytes)
        self.check()

    def check(self) -> None:
        store = self.store
        found = {r.lsn: int(r.readings.seq[0]) for r in store.read(store.first - 1, 10**6, 1 << 40)}
        assert sorted(found) == list(range(store.first, store.committed + 1)), "gap"
        assert store.first <= self.trimmed + 1, f"trimmed too far: first {store.first}, asked {self.trimmed}"
        last = max(self.known, default=0)
        assert store.committed >= last, f"lost: committed {store.committed}, acknowledged {last}"
        for lsn, tag in found.items():
            if lsn <= last:
                assert self.known[lsn] == tag, f"lsn {lsn} changed"
        extra = [found[lsn] for lsn in range(last + 1, store.committed + 1)]
        assert extra == self.limbo[: len(extra)], f"invented {extra}, possible {self.limbo}"
        self.known.update(found)
        self.limbo = []

    def commit(self, batches: int) -> None:
        tags = list(range(self.next_tag, self.next_tag + batches))
        self.next_tag += batches
        pairs = [(encode_body(sample_batch(tag, 1 + tag % 7).readings, None), tag) for tag in tags]
        try:
            self.store.commit(pairs)
        except UnavailableError:
            if not self.limbo:  # a broken store refuses without touching the disk
                self.limbo = tags
            return
        start = self.store.committed - batches + 1
        self.known.update(zip(range(start, start + batches), tags, strict=True))
        self.acknowledged += batches

    def crash(self, random: Random, *, scatter: bool) -> None:
        self.crashes += 1
        self.disk = self.disk.crash(random, scatter=scatter)
        while True:
            if random.random() < 0.3:
                self.disk.cut_at = random.randint(1, 6)  # again, during recovery
            try:
                self.open()
            except UnavailableError:
                assert self.disk.off
                self.crashes += 1
                self.disk = self.disk.crash(random, scatter=scatter)
            else:
                return

    def step(self, name: str, number: int, random: Random) -> None:
        if name == "commit":
            self.commit(1 + number % 5)
        elif name == "cut":
            self.disk.cut_at = self.disk.calls + 1 + number % 8
        elif name in {"crash", "scatter"}:
            self.crash(random, scatter=name == "scatter")
        elif name == "close":
            self.store.close()
            try:
                self.open()
            except UnavailableError:
                assert self.disk.off
                self.crash(random, scatter=False)
        elif name == "trim":
            before = max(1, self.store.committed + 1 - number % 10)
            self.trimmed = max(self.trimmed, before - 1)
            self.store.trim(before)
        elif name in {"fault", "dirfault"}:
            call = "sync_data" if name == "fault" else "sync_directory"
            self.faulty.faults.append(Fault(call, self.faulty.counts[call] + 1 + number % 2))
        elif name == "reopen" and self.limbo and not self.disk.off:
            try:
                self.store.reopen()
            except UnavailableError:
                return
            self.limbo = []  # refused for good

    def run(self, script: list[tuple[str, int]], seed: int) -> World:
        random = Random(seed)
        self.open()
        for name, number in script:
            self.step(name, number, random)
        self.crash(random, scatter=False)
        self.crash(random, scatter=True)
        return self


def random_script(seed: int) -> list[tuple[str, int]]:
    random = Random(seed)
    return [(random.choice(STEPS), random.randrange(40)) for _ in range(random.randint(3, 25))]


@pytest.fixture
def world() -> Callable[..., World]:
    return World


@pytest.fixture
def script_of() -> Callable[[int], list[tuple[str, int]]]:
    return random_script


@pytest.fixture
def no_clock() -> dict[str, Any]:
    """Arguments of a LocalLog that writes no clock record by itself and retries fast."""
    return {"clock": lambda: 1_000, "clock_record_ms": 0, "retry_s": (0.005, 0.02)}
