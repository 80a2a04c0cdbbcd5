"""What goes wrong in the networks: gas that gathers, pipes that burst, heat that fails; one function a scenario.

A zone fault reaches the devices of its zone with ``exp(-distance / reach)``; those it hardly touches are left out, so
that a label always means something to see.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from simulators.effects import Act
from simulators.fleet import KINDS

if TYPE_CHECKING:
    from simulators.scene import Scene

_REACH_LEAST: Final = 0.3

# --- gas ---------------------------------------------------------------------------------------------------------


def gas_accumulation(scene: Scene, at: int) -> bool:
    """Methane rises over an hour in a confined space and stays for hours; with ethane where sewers are beside."""
    wells = [("gas", "valve-well")] * 2
    device = scene.pick(at, *wells, ("gas", "household-detector"), ("gas", "adjacent-space"), ("gas", "regulator"))
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


def cover_opened(scene: Scene, at: int) -> bool:
    """A manhole cover tilts, for hours."""
    device = scene.pick(at, ("gas", "manhole-cover"))
    if device is None:
        return False
    end = at + scene.lasting(scene.draw(60, 360), device)
    scene.act(device, "tilt", Act.ADD, (at, end, 0, 0), scene.draw(25, 110))
    return True


def regulator_overpressure(scene: Scene, at: int) -> bool:
    """A regulator no longer closes: its pressure and that of the pipes behind it rise."""
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


def district(scene: Scene, at: int) -> tuple[int, list[int]] | None:
    """A place in a DMA (a free pressure point) and the free inlets of the DMA; None when it has none."""
    place = scene.pick(at, ("water", "pressure-point"), ("water", "hydrant"))
    if place is None:
        return None
    inlets = [inlet for inlet in scene.neighbours(place, "water", "dma-inlet") if scene.is_free(inlet, at)]
    return (place, inlets) if inlets else None


def pressures(scene: Scene, place: int, times: tuple[int, int, int, int], drop: float, reach_km: float) -> None:
    """Less pressure round a place of a DMA, half of it at the inlets (they are held by the main)."""
    scene.act(place, "pressure", Act.ADD, times, -drop)
    for other in scene.neighbours(place, "water", "pressure-point", "hydrant"):
        share = scene.nearness(place, other, reach_km)
        if share > _REACH_LEAST and scene.is_free(other, times[0]):
            scene.act(other, "pressure", Act.ADD, times, -drop * share)


def inlet_flow(scene: Scene, inlet: int, times: tuple[int, int, int, int], share: float) -> None:
    """More flow through an inlet, as a share of its mean, and what its meter counts of it."""
    mean_flow = float(scene.fleet.point_base[scene.fleet.point_of(inlet, "flow")])
    scene.act(inlet, "flow", Act.ADD, times, share * mean_flow)
    scene.act(inlet, "volume", Act.ACCUMULATE, times, share * mean_flow)


def pipe_burst(scene: Scene, at: int) -> bool:
    """A district draws more within minutes, and its pressure falls, most at the burst."""
    found = district(scene, at)
    if found is None:
        return False
    place, inlets = found
    rise, fall = scene.ms(5), scene.ms(20)
    times = (at, at + rise + scene.lasting(scene.draw(180, 480), place) + fall, rise, fall)
    drop, share = scene.draw(0.08, 0.22), scene.draw(0.6, 1.5)
    for inlet in inlets:
        inlet_flow(scene, inlet, times, share)
        scene.act(inlet, "pressure", Act.ADD, times, -drop * 0.5)
    pressures(scene, place, times, drop, 1.0)
    return True


def slow_leak(scene: Scene, at: int) -> bool:
    """Flow of a district creeps up over hours, for days; the nearest noise logger hears it."""
    found = district(scene, at)
    if found is None:
        return False
    place, inlets = found
    rise, fall = scene.ms(scene.draw(240, 480)), scene.ms(20)
    times = (at, at + rise + scene.lasting(scene.draw(1440, 4320), place) + fall, rise, fall)
    share = scene.draw(0.15, 0.4)
    for inlet in inlets:
        inlet_flow(scene, inlet, times, share)
    loggers = [i for i in scene.neighbours(place, "water", "noise-logger") if scene.is_free(i, at)]
    if loggers:
        nearest = max(loggers, key=lambda logger: scene.nearness(place, logger, 1.0))
        until = max(times[1], at + 3 * int(scene.fleet.interval_ms[nearest]))
        scene.act(nearest, "noise", Act.ADD, (at, until, rise, fall), scene.draw(20, 40))
    scene.act(place, "pressure", Act.ADD, times, -0.01, label=False)  # too small to be asked for
    return True


def reverse_flow(scene: Scene, at: int) -> bool:
    """Water runs backwards through an inlet or a household meter."""
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


def heat_supply_collapse(scene: Scene, at: int) -> bool:
    """A zone is supplied colder by many kelvins: its stations, meters and rooms. Only in the heating season."""
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


def makeup_surge(scene: Scene, at: int) -> bool:
    """A heating loop loses water: make-up surges, its pressure and that of its stations fall."""
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
