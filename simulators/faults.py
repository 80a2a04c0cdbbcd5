"""When and where something goes wrong: a seeded Poisson process over the scenarios of ``scenarios.py``.

``faults_per_hour`` counts real faults; a quarter as many harmless look-alikes come on top. ``early`` places the first
faults, one of each clear kind, 5 to 10 s after the start (for demonstrations). No device takes part in two faults at
once, so that labels stay clean. The schedule depends on (fleet, start, settings) alone and is extended as time goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from simulators.kernels.noise import derive
from simulators.scenarios import EARLY, SCENARIOS, play
from simulators.scene import Scene
from simulators.truth import Truth

if TYPE_CHECKING:
    from simulators.world import World

EARLY_FIRST_MS: Final = 5_000
EARLY_SPAN_MS: Final = 5_000
HARMLESS_SHARE: Final = 0.25


@dataclass(frozen=True, slots=True)
class FaultSettings:
    """How often, how fast, and whether the first ones come at once."""

    faults_per_hour: float = 12.0
    fault_speed: float = 1.0
    """Evolution is this many times faster than in nature: 60 turns half an hour into half a minute."""
    early: int | None = None
    """How many faults start 5 .. 10 s after the start; None: 8 when sped up, else 0."""

    def __post_init__(self) -> None:
        if not 0 <= self.faults_per_hour <= 100_000:
            raise ValueError(f"faults per hour must be 0 .. 100,000, not {self.faults_per_hour}: give another rate")
        if not 0.01 <= self.fault_speed <= 10_000:
            raise ValueError(f"fault speed must be 0.01 .. 10,000, not {self.fault_speed}: give another factor")

    @property
    def early_count(self) -> int:
        """How many faults are placed at the start."""
        if self.faults_per_hour == 0:
            return 0
        if self.early is None:
            return len(EARLY) if self.fault_speed > 1 else 0
        return self.early


class Faults:
    """The schedule: hangs effects on the world and rows in the truth."""

    def __init__(self, world: World, start_ms: int, settings: FaultSettings) -> None:
        self.truth = Truth()
        self._settings = settings
        self._rng = np.random.default_rng(derive(world.fleet.settings.seed, "faults"))
        self._scene = Scene(world, self.truth, settings.fault_speed, self._rng)
        self._next_ms = float(start_ms)
        self._number = 0
        count = settings.early_count
        for i in range(count):
            at = start_ms + EARLY_FIRST_MS + i * EARLY_SPAN_MS // max(count, 1)
            self._start(EARLY[i % len(EARLY)], at)
        self._advance()

    def extend(self, until_ms: int) -> None:
        """Schedule everything that starts before a time. Call it before asking for values of that time."""
        names = list(SCENARIOS)
        weights = np.array([SCENARIOS[name].weight for name in names], np.float64)
        harmless = np.array([name.startswith("harmless-") for name in names])
        weights[harmless] *= HARMLESS_SHARE / weights[harmless].sum()
        weights[~harmless] /= weights[~harmless].sum()
        while self._next_ms < until_ms:
            name = names[int(self._rng.choice(len(names), p=weights / weights.sum()))]
            self._start(name, int(self._next_ms))
            self._advance()

    def _advance(self) -> None:
        rate_per_ms = self._settings.faults_per_hour * (1 + HARMLESS_SHARE) / 3_600_000
        self._next_ms += self._rng.exponential(1 / rate_per_ms) if rate_per_ms > 0 else np.inf

    def _start(self, name: str, at_ms: int) -> None:
        """Start a scenario; when no place for it is free (or it is summer for a heat fault) nothing happens."""
        self._number += 1
        play(self._scene, name, f"F{self._number:06d}", at_ms)
