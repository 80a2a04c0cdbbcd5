"""What each fault does to which points: one function a scenario. Sizes are those of the docstring of ``fleet.py``.

Natural times are in minutes and divided by ``speed``; yet nothing is over before the device has reported a few times.
A zone fault reaches the devices of its zone with ``exp(-distance / reach)``; those it hardly touches are left out, so
that a label always means something to see.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from simulators.effects import Act, Effect
from simulators.fleet import KIND_INDEX, KINDS

if TYPE_CHECKING:
    from collections.abc import Callable

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

    def play(self, name: str, fault_id: str, at_ms: int) -> bool:
        """Play a scenario; False when it found no place (all busy, out of season, or no such device)."""
        self._fault_id, self._kind = fault_id, name
        return SCENARIOS[name].play(self, at_ms)

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


# --- gas ---------------------------------------------------------------------------------------------------------


def _gas_accumulation(scene: Scene, at: int) -> bool:
    device = scene.pick(
        at,
        ("gas", "valve-well"),
        ("gas", "valve-well"),
        ("gas", "household-detector"),
        ("gas", "adjacent-space"),
        ("gas", "regulator"),
    )
    if device is None:
        return False
    rise, fall = scene.ms(scene.draw(20, 60)), scene.ms(20)
    end = at + rise + scene.lasting(scene.draw(90, 240), device) + fall
    size = scene.draw(35, 90)
    scene.act(device, "ch4", Act.ADD, (at, end, rise, fall), size)
    if KINDS[int(scene.fleet.device_kind[device])].name == "adjacent-space":
        # pipeline gas carries ethane: 1 %LEL of methane comes with 2 ppm here
        scene.act(device, "c2h6", Act.ADD, (at, end, rise, fall), 2 * size)
    return True


def _cover_opened(scene: Scene, at: int) -> bool:
    device = scene.pick(at, ("gas", "manhole-cover"))
    if device is None:
        return False
    end = at + scene.lasting(scene.draw(60, 360), device)
    scene.act(device, "tilt", Act.ADD, (at, end, 0, 0), scene.draw(25, 110))
    return True


def _regulator_overpressure(scene: Scene, at: int) -> bool:
    device = scene.pick(at, ("gas", "regulator"))
    if device is None:
        return False
    rise, fall = scene.ms(scene.draw(10, 40)), scene.ms(5)
    end = at + rise + scene.lasting(scene.draw(60, 180), device) + fall
    # added to what it shows anyway: a regulator that does not close still breathes with the demand
    size = scene.draw(3.8, 5.8) - float(scene.fleet.point_base[scene.fleet.point_of(device, "pressure")])
    scene.act(device, "pressure", Act.ADD, (at, end, rise, fall), size)
    for pipe in scene.neighbours(device, "gas", "pipe"):
        share = scene.nearness(device, pipe, 2.0)
        if share > _REACH_LEAST and scene.is_free(pipe, at):
            scene.act(pipe, "pressure", Act.ADD, (at, end, rise, fall), size * share)
    return True


# --- water -------------------------------------------------------------------------------------------------------


def _district(scene: Scene, at: int) -> tuple[int, list[int]] | None:
    """A place in a DMA (a free pressure point) and the free inlets of the DMA; None when it has none."""
    place = scene.pick(at, ("water", "pressure-point"), ("water", "hydrant"))
    if place is None:
        return None
    inlets = [inlet for inlet in scene.neighbours(place, "water", "dma-inlet") if scene.is_free(inlet, at)]
    return (place, inlets) if inlets else None


def _pressures(scene: Scene, place: int, times: tuple[int, int, int, int], drop: float, reach_km: float) -> None:
    """Less pressure round a place of a DMA, half of it at the inlets (they are held by the main)."""
    scene.act(place, "pressure", Act.ADD, times, -drop)
    for other in scene.neighbours(place, "water", "pressure-point", "hydrant"):
        share = scene.nearness(place, other, reach_km)
        if share > _REACH_LEAST and scene.is_free(other, times[0]):
            scene.act(other, "pressure", Act.ADD, times, -drop * share)


def _inlet_flow(scene: Scene, inlet: int, times: tuple[int, int, int, int], share: float) -> None:
    mean_flow = float(scene.fleet.point_base[scene.fleet.point_of(inlet, "flow")])
    scene.act(inlet, "flow", Act.ADD, times, share * mean_flow)
    scene.act(inlet, "volume", Act.ACCUMULATE, times, share * mean_flow)


def _pipe_burst(scene: Scene, at: int) -> bool:
    district = _district(scene, at)
    if district is None:
        return False
    place, inlets = district
    rise, fall = scene.ms(5), scene.ms(20)
    times = (at, at + rise + scene.lasting(scene.draw(180, 480), place) + fall, rise, fall)
    drop, share = scene.draw(0.08, 0.22), scene.draw(0.6, 1.5)
    for inlet in inlets:
        _inlet_flow(scene, inlet, times, share)
        scene.act(inlet, "pressure", Act.ADD, times, -drop * 0.5)
    _pressures(scene, place, times, drop, 1.0)
    return True


def _slow_leak(scene: Scene, at: int) -> bool:
    district = _district(scene, at)
    if district is None:
        return False
    place, inlets = district
    rise, fall = scene.ms(scene.draw(240, 480)), scene.ms(20)
    times = (at, at + rise + scene.lasting(scene.draw(1440, 4320), place) + fall, rise, fall)
    share = scene.draw(0.15, 0.4)
    for inlet in inlets:
        _inlet_flow(scene, inlet, times, share)
    loggers = [i for i in scene.neighbours(place, "water", "noise-logger") if scene.is_free(i, at)]
    if loggers:
        nearest = max(loggers, key=lambda logger: scene.nearness(place, logger, 1.0))
        until = max(times[1], at + 3 * int(scene.fleet.interval_ms[nearest]))
        scene.act(nearest, "noise", Act.ADD, (at, until, rise, fall), scene.draw(20, 40))
    scene.act(place, "pressure", Act.ADD, times, -0.01, label=False)  # too small to be asked for
    return True


def _reverse_flow(scene: Scene, at: int) -> bool:
    device = scene.pick(at, ("water", "dma-inlet"), ("water", "household-meter"))
    if device is None:
        return False
    times = (at, at + scene.lasting(scene.draw(30, 180), device), scene.ms(1), scene.ms(1))
    base = float(scene.fleet.point_base[scene.fleet.point_of(device, "flow")])
    is_inlet = KINDS[int(scene.fleet.device_kind[device])].name == "dma-inlet"
    back = -scene.draw(0.02, 0.3) * base if is_inlet else -scene.draw(0.05, 0.5)
    scene.act(device, "flow", Act.LEVEL, times, back)
    scene.act(device, "volume", Act.ACCUMULATE, times, (back - base) if is_inlet else back)
    return True


# --- heat --------------------------------------------------------------------------------------------------------


def _heat_supply_collapse(scene: Scene, at: int) -> bool:
    place = scene.pick(at, ("heat", "substation")) if scene.fleet.weather.is_heating(at) else None
    if place is None:
        return False
    rise, fall = scene.ms(scene.draw(20, 60)), scene.ms(60)
    times = (at, at + rise + scene.lasting(scene.draw(180, 480), place) + fall, rise, fall)
    kelvin, power = scene.draw(12, 25), scene.draw(0.6, 0.9)
    stations = [place, *scene.neighbours(place, "heat", "substation")]
    for device in (i for i in stations if scene.is_free(i, at)):
        share = scene.draw(0.85, 1)
        scene.act(device, "supply_temp", Act.ADD, times, -kelvin * share)
        scene.act(device, "return_temp", Act.ADD, times, -kelvin * share / 2)
        scene.act(device, "heat_power", Act.TIMES, times, -power * share)
    for device in scene.neighbours(place, "heat", "heat-meter"):
        if scene.is_free(device, at):
            until = max(times[1], at + 4 * int(scene.fleet.interval_ms[device]))
            scene.act(device, "supply_temp", Act.ADD, (at, until, rise, fall), -kelvin * 0.9)
            scene.act(device, "return_temp", Act.ADD, (at, until, rise, fall), -kelvin * 0.45)
    cold = scene.draw(3, 6)
    for device in scene.neighbours(place, "heat", "room-temp"):
        if scene.is_free(device, at):
            until = max(times[1], at + 4 * int(scene.fleet.interval_ms[device]))
            scene.act(device, "room_temp", Act.ADD, (at, until, scene.ms(180), fall), -cold)
    return True


def _makeup_surge(scene: Scene, at: int) -> bool:
    device = scene.pick(at, ("heat", "loop-makeup")) if scene.fleet.weather.is_heating(at) else None
    if device is None:
        return False
    rise, fall = scene.ms(5), scene.ms(10)
    times = (at, at + rise + scene.lasting(scene.draw(60, 300), device) + fall, rise, fall)
    drop = scene.draw(0.05, 0.15)
    scene.act(device, "makeup_flow", Act.ADD, times, scene.draw(6, 25))
    scene.act(device, "supply_pressure", Act.ADD, times, -drop)
    for station in scene.neighbours(device, "heat", "substation"):
        if scene.is_free(station, at):
            scene.act(station, "supply_pressure", Act.ADD, times, -drop * 0.9)
    return True


# --- the sensor itself -------------------------------------------------------------------------------------------

_MEASURING: Final[tuple[tuple[str, str, str], ...]] = (
    ("gas", "regulator", "pressure"),
    ("gas", "pipe", "pressure"),
    ("gas", "valve-well", "temp"),
    ("water", "dma-inlet", "pressure"),
    ("water", "dma-inlet", "flow"),
    ("water", "pressure-point", "pressure"),
    ("heat", "substation", "supply_temp"),
    ("heat", "substation", "return_temp"),
)
"""Channels whose healthy value never rests, so that a frozen, drifting or jumping one can be told."""


def _sensor(scene: Scene, at: int) -> tuple[int, str] | None:
    heating = scene.fleet.weather.is_heating(at)
    choices = [choice for choice in _MEASURING if heating or choice[0] != "heat"]
    utility, kind, quantity = choices[int(scene.rng.integers(len(choices)))]
    device = scene.pick(at, (utility, kind))
    return None if device is None else (device, quantity)


def _band(scene: Scene, device: int, quantity: str) -> float:
    model = scene.fleet.models[int(scene.fleet.point_model[scene.fleet.point_of(device, quantity)])]
    low, high = model.season_normal or model.normal
    return high - low


def _sensor_stuck(scene: Scene, at: int) -> bool:
    chosen = _sensor(scene, at)
    if chosen is None:
        return False
    device, quantity = chosen
    frozen = scene.world.value_of(scene.fleet.point_of(device, quantity), at)
    end = at + scene.lasting(scene.draw(240, 720), device, reports=40)
    scene.act(device, quantity, Act.LEVEL, (at, end, 0, 0), frozen)
    return True


def _sensor_drift(scene: Scene, at: int) -> bool:
    chosen = _sensor(scene, at)
    if chosen is None:
        return False
    device, quantity = chosen
    whole = scene.lasting(scene.draw(1440, 4320), device, reports=60)
    # of the normal band: some physical spans are so wide that a share of them would be no drift but a jump
    size = scene.draw(0.6, 1.2) * _band(scene, device, quantity) * (1 if scene.draw(0, 1) < 0.5 else -1)
    scene.act(device, quantity, Act.ADD, (at, at + whole, round(whole * 0.8), 0), size)
    return True


def _sensor_spikes(scene: Scene, at: int) -> bool:
    chosen = _sensor(scene, at)
    if chosen is None:
        return False
    device, quantity = chosen
    # at the smallest share one report in 17 is off: of 100 there is none in only one case of 400
    end = at + scene.lasting(scene.draw(120, 360), device, reports=100)
    per_thousand = round(scene.draw(60, 150))
    scene.act(
        device, quantity, Act.SPIKE, (at, end, per_thousand, 0), scene.draw(1.0, 2.0) * _band(scene, device, quantity)
    )
    return True


def _dropout(scene: Scene, at: int) -> bool:
    device = scene.pick(at, *KIND_INDEX)
    if device is None:
        return False
    scene.silence(device, at, at + scene.lasting(scene.draw(180, 1440), device))
    return True


def _gateway_outage(scene: Scene, at: int) -> bool:
    device = scene.pick(at, *KIND_INDEX)
    if device is None:
        return False
    fleet = scene.fleet
    members = np.flatnonzero(fleet.device_gateway == fleet.device_gateway[device])
    slowest = int(members[np.argmax(fleet.report_ms[members])])
    end = at + scene.lasting(scene.draw(60, 360), slowest, reports=6)
    for member in members:
        if scene.is_free(int(member), at):
            scene.silence(int(member), at, end)
    return True


def _battery_low(scene: Scene, at: int) -> bool:
    device = scene.pick(
        at, ("gas", "valve-well"), ("gas", "manhole-cover"), ("water", "pressure-point"), ("water", "hydrant")
    )
    if device is None:
        return False
    rise = scene.ms(60)
    end = at + rise + scene.lasting(1440, device)
    scene.act(device, "battery", Act.LEVEL, (at, end, rise, 0), scene.draw(3, 9))
    return True


# --- look-alikes -------------------------------------------------------------------------------------------------


def _harmless_sewer_biogas(scene: Scene, at: int) -> bool:
    device = scene.pick(at, ("gas", "adjacent-space"))
    if device is None:
        return False
    rise, fall = scene.ms(120), scene.ms(120)
    end = at + rise + scene.lasting(scene.draw(120, 300), device) + fall
    scene.act(device, "ch4", Act.ADD, (at, end, rise, fall), scene.draw(26, 37))
    return True


def _harmless_flushing(scene: Scene, at: int) -> bool:
    district = _district(scene, at)
    if district is None:
        return False
    place, inlets = district
    rise = scene.ms(2)
    times = (at, at + rise + scene.lasting(20, place, reports=2) + rise, rise, rise)
    for inlet in inlets:
        _inlet_flow(scene, inlet, times, scene.draw(0.1, 0.25))
    _pressures(scene, place, times, scene.draw(0.01, 0.03), 1.0)
    return True


def _harmless_maintenance(scene: Scene, at: int) -> bool:
    kinds = [("gas", "manhole-cover"), ("gas", "regulator")]
    if scene.fleet.weather.is_heating(at):
        kinds.append(("heat", "loop-makeup"))
    device = scene.pick(at, *kinds)
    if device is None:
        return False
    rise = scene.ms(2)
    times = (at, at + scene.lasting(scene.draw(30, 90), device, reports=3), rise, rise)
    kind = KINDS[int(scene.fleet.device_kind[device])].name
    if kind == "manhole-cover":
        scene.act(device, "tilt", Act.LEVEL, times, scene.draw(5, 8))
    elif kind == "regulator":
        level = scene.draw(2.0, 2.15) if scene.draw(0, 1) < 0.5 else scene.draw(3.12, 3.3)
        scene.act(device, "pressure", Act.LEVEL, times, level)
    else:
        scene.act(device, "makeup_flow", Act.ADD, times, scene.draw(1, 2))
    return True


@dataclass(frozen=True, slots=True)
class Scenario:
    """A kind of fault: its share of all (of its half: real or harmless) and how it plays."""

    weight: float
    play: Callable[[Scene, int], bool]


SCENARIOS: Final[dict[str, Scenario]] = {
    "gas-accumulation": Scenario(14, _gas_accumulation),
    "cover-opened": Scenario(10, _cover_opened),
    "regulator-overpressure": Scenario(7, _regulator_overpressure),
    "pipe-burst": Scenario(9, _pipe_burst),
    "slow-leak": Scenario(7, _slow_leak),
    "reverse-flow": Scenario(5, _reverse_flow),
    "heat-supply-collapse": Scenario(6, _heat_supply_collapse),
    "makeup-surge": Scenario(6, _makeup_surge),
    "sensor-stuck": Scenario(8, _sensor_stuck),
    "sensor-drift": Scenario(6, _sensor_drift),
    "sensor-spikes": Scenario(6, _sensor_spikes),
    "dropout": Scenario(8, _dropout),
    "gateway-outage": Scenario(3, _gateway_outage),
    "battery-low": Scenario(5, _battery_low),
    "harmless-sewer-biogas": Scenario(4, _harmless_sewer_biogas),
    "harmless-flushing": Scenario(3, _harmless_flushing),
    "harmless-maintenance": Scenario(4, _harmless_maintenance),
}
"""By truth kind."""

EARLY: Final = (
    "gas-accumulation",
    "cover-opened",
    "pipe-burst",
    "makeup-surge",
    "regulator-overpressure",
    "heat-supply-collapse",
    "gas-accumulation",
    "cover-opened",
)
"""The first faults of a demonstration: what an alarm shows soonest."""
