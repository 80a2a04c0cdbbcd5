"""The stage on which faults play: which devices are free, for how long, and what the truth says of it.

Natural times are in minutes and divided by ``speed``; yet nothing is over before the device has reported a few times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from simulators.effects import Act, Effect
from simulators.fleet import KIND_INDEX

if TYPE_CHECKING:
    from simulators.truth import Truth
    from simulators.world import World

_KM_PER_DEGREE: Final = 111.2
_TRIES: Final = 30
_SEEN_REPORTS: Final = 8
_REACH_LEAST: Final = 0.3


class Scene:
    """The stage on which scenarios play: picks free devices, hangs effects, writes labels."""

    def __init__(self, world: World, truth: Truth, speed: float, rng: np.random.Generator) -> None:
        self.world = world
        self.fleet = world.fleet
        self.rng = rng
        self._truth = truth
        self._speed = speed
        self._busy_until = np.zeros(len(self.fleet), np.int64)
        self._of_kind = {
            key: np.flatnonzero(self.fleet.device_kind == index).astype(np.int32) for key, index in KIND_INDEX.items()
        }
        self._fault_id = ""
        self._kind = ""

    def begin(self, kind: str, fault_id: str) -> None:
        """Labels from here on are of this fault."""
        self._fault_id, self._kind = fault_id, kind

    # --- choosing ----------------------------------------------------------------------------------------------

    def draw(self, low: float, high: float) -> float:
        """Uniform in [low, high)."""
        return float(self.rng.uniform(low, high))

    def pick(self, at_ms: int, *kinds: tuple[str, str]) -> int | None:
        """A free device of one of these kinds, each kind equally likely; None when there is none to find."""
        pools = [self._of_kind[kind] for kind in kinds if len(self._of_kind[kind])]
        for _ in range(_TRIES if pools else 0):
            pool = pools[int(self.rng.integers(len(pools)))]
            device = int(pool[int(self.rng.integers(len(pool)))])
            if self._busy_until[device] <= at_ms:
                return device
        return None

    def neighbours(self, device: int, utility: str, *kinds: str) -> list[int]:
        """Free or busy devices of these kinds in the device's zone, the device itself excluded."""
        found: list[int] = []
        for kind in kinds:
            pool = self._of_kind[utility, kind]
            same = pool[self.fleet.device_zone[pool] == self.fleet.device_zone[device]]
            found += [int(other) for other in same if other != device]
        return found

    def is_free(self, device: int, at_ms: int) -> bool:
        """Takes part in no fault at this time."""
        return bool(self._busy_until[device] <= at_ms)

    def nearness(self, device: int, other: int, reach_km: float) -> float:
        """exp(-distance / reach): 1 at the same place."""
        f = self.fleet
        dx = (f.device_lon[device] - f.device_lon[other]) * np.cos(np.radians(f.device_lat[device]))
        dy = f.device_lat[device] - f.device_lat[other]
        return float(np.exp(-np.hypot(dx, dy) * _KM_PER_DEGREE / reach_km))

    # --- times -------------------------------------------------------------------------------------------------

    def ms(self, minutes: float) -> int:
        """Natural minutes as simulated milliseconds."""
        return max(1, round(minutes * 60_000 / self._speed))

    def lasting(self, minutes: float, device: int, reports: int = _SEEN_REPORTS) -> int:
        """Natural minutes as milliseconds, but at least so many reports of the device."""
        return max(self.ms(minutes), reports * int(self.fleet.report_ms[device]))

    # --- acting ------------------------------------------------------------------------------------------------

    def act(
        self,
        device: int,
        quantity: str,
        act: Act,
        times: tuple[int, int, int, int],
        size: float,
        *,
        label: bool = True,
    ) -> None:
        """An effect with its label; times = start, end, rise, fall (ms; rise and fall at most the whole)."""
        start, end, rise, fall = times
        whole = end - start
        if act != Act.SPIKE:  # a spike's rise is a share
            rise = min(rise, whole)
            fall = min(fall, whole - rise)
        point = self.fleet.point_of(device, quantity)
        self.world.effects.add([Effect(point, act, start, end, size, rise, fall)])
        self._busy_until[device] = max(int(self._busy_until[device]), end + self.ms(30))
        if label:
            self._truth.add(self._fault_id, self._kind, self.fleet.ids[device], quantity, start, end)

    def silence(self, device: int, start: int, end: int) -> None:
        """A silence with its label."""
        self.world.effects.silence(device, start, end)
        self._busy_until[device] = max(int(self._busy_until[device]), end + self.ms(30))
        self._truth.add(self._fault_id, self._kind, self.fleet.ids[device], None, start, end)
