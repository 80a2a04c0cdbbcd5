"""Every scenario there is, how often it plays, and the harmless ones that only look like faults.

What each does to which points is one function: of the networks (``network_faults``), of the devices
(``device_faults``), look-alikes here. Sizes are those of the docstring of ``fleet.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from simulators import device_faults, network_faults
from simulators.effects import Act
from simulators.fleet import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.scene import Scene


def _harmless_sewer_biogas(scene: Scene, at: int) -> bool:
    device = scene.pick(at, ("gas", "adjacent-space"))
    if device is None:
        return False
    rise, fall = scene.ms(120), scene.ms(120)
    end = at + rise + scene.lasting(scene.draw(120, 300), device) + fall
    scene.act(device, "ch4", Act.ADD, (at, end, rise, fall), scene.draw(26, 37))
    return True


def _harmless_flushing(scene: Scene, at: int) -> bool:
    found = network_faults.district(scene, at)
    if found is None:
        return False
    place, inlets = found
    rise = scene.ms(2)
    times = (at, at + rise + scene.lasting(20, place, reports=2) + rise, rise, rise)
    for inlet in inlets:
        network_faults.inlet_flow(scene, inlet, times, scene.draw(0.1, 0.25))
    network_faults.pressures(scene, place, times, scene.draw(0.01, 0.03), 1.0)
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
    "gas-accumulation": Scenario(14, network_faults.gas_accumulation),
    "cover-opened": Scenario(10, network_faults.cover_opened),
    "regulator-overpressure": Scenario(7, network_faults.regulator_overpressure),
    "pipe-burst": Scenario(9, network_faults.pipe_burst),
    "slow-leak": Scenario(7, network_faults.slow_leak),
    "reverse-flow": Scenario(5, network_faults.reverse_flow),
    "heat-supply-collapse": Scenario(6, network_faults.heat_supply_collapse),
    "makeup-surge": Scenario(6, network_faults.makeup_surge),
    "sensor-stuck": Scenario(8, device_faults.sensor_stuck),
    "sensor-drift": Scenario(6, device_faults.sensor_drift),
    "sensor-spikes": Scenario(6, device_faults.sensor_spikes),
    "dropout": Scenario(8, device_faults.dropout),
    "gateway-outage": Scenario(3, device_faults.gateway_outage),
    "battery-low": Scenario(5, device_faults.battery_low),
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


def play(scene: Scene, kind: str, fault_id: str, at_ms: int) -> bool:
    """Play a scenario; False when it found no place (all busy, out of season, or no such device)."""
    scene.begin(kind, fault_id)
    return SCENARIOS[kind].play(scene, at_ms)
