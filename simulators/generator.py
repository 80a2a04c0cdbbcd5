"""One tick after the other: schedule, faults, values. The pure middle that the publisher and the history share.

Ticks must follow each other without a gap; equal settings, start and tick length give equal ticks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulators.dirt import Dirt, DirtSettings
from simulators.faults import Faults, FaultSettings
from simulators.fleet import Fleet, FleetSettings
from simulators.fleet_build import build_fleet
from simulators.schedule import Objects, Schedule, Shape
from simulators.world import World

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from simulators.truth import Truth


@dataclass(frozen=True, slots=True)
class Tick:
    """What is sent in [start, end): objects, and the values of object i: ``scaled[ptr[i]:ptr[i + 1]]``."""

    start: int
    end: int
    objects: Objects
    ptr: NDArray[np.int64]
    scaled: NDArray[np.int64]


class Generator:
    """A fleet from ``start_ms`` on."""

    def __init__(
        self,
        fleet: Fleet | FleetSettings,
        start_ms: int,
        faults: FaultSettings | None = None,
        dirt: DirtSettings | None = None,
        shape: Shape = "single",
    ) -> None:
        self.fleet = fleet if isinstance(fleet, Fleet) else build_fleet(fleet)
        self.world = World(self.fleet)
        self._dirt = Dirt(self.fleet.settings.seed, len(self.fleet), dirt or DirtSettings())
        self._schedule = Schedule(self.fleet, self._dirt, shape)
        self._faults = Faults(self.world, start_ms, faults or FaultSettings())
        self._next_ms = start_ms

    @property
    def truth(self) -> Truth:
        """Labels of everything scheduled so far."""
        return self._faults.truth

    def tick(self, length_ms: int) -> Tick:
        """The next ``length_ms``."""
        start, end = self._next_ms, self._next_ms + length_ms
        self._next_ms = end
        self._faults.extend(end)
        objects = self._schedule.tick(start, end)
        silent = self.world.effects.silent(objects.device, objects.due)  # what a batch stored goes with its upload
        if silent.any():
            objects = objects.take(~silent)
        ptr, scaled = self.world.values(objects.device, objects.t)
        return Tick(start, end, objects, ptr, scaled)
