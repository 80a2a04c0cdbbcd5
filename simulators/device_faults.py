"""What goes wrong with the devices that watch: frozen, drifting and jumping sensors, silence, batteries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from simulators.effects import Act
from simulators.fleet import KIND_INDEX

if TYPE_CHECKING:
    from simulators.scene import Scene

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


def sensor_stuck(scene: Scene, at: int) -> bool:
    """One channel shows the same value for hours."""
    chosen = _sensor(scene, at)
    if chosen is None:
        return False
    device, quantity = chosen
    frozen = scene.world.value_of(scene.fleet.point_of(device, quantity), at)
    end = at + scene.lasting(scene.draw(240, 720), device, reports=40)
    scene.act(device, quantity, Act.LEVEL, (at, end, 0, 0), frozen)
    return True


def sensor_drift(scene: Scene, at: int) -> bool:
    """One channel moves away from the truth over a day or more, by about its normal band."""
    chosen = _sensor(scene, at)
    if chosen is None:
        return False
    device, quantity = chosen
    whole = scene.lasting(scene.draw(1440, 4320), device, reports=60)
    # of the normal band: some physical spans are so wide that a share of them would be no drift but a jump
    size = scene.draw(0.6, 1.2) * _band(scene, device, quantity) * (1 if scene.draw(0, 1) < 0.5 else -1)
    scene.act(device, quantity, Act.ADD, (at, at + whole, round(whole * 0.8), 0), size)
    return True


def sensor_spikes(scene: Scene, at: int) -> bool:
    """One channel jumps, a few of a hundred reports."""
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


def dropout(scene: Scene, at: int) -> bool:
    """A device says nothing for hours."""
    device = scene.pick(at, *KIND_INDEX)
    if device is None:
        return False
    scene.silence(device, at, at + scene.lasting(scene.draw(180, 1440), device))
    return True


def gateway_outage(scene: Scene, at: int) -> bool:
    """All devices behind one gateway say nothing."""
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


def battery_low(scene: Scene, at: int) -> bool:
    """A battery falls below a tenth."""
    device = scene.pick(
        at, ("gas", "valve-well"), ("gas", "manhole-cover"), ("water", "pressure-point"), ("water", "hydrant")
    )
    if device is None:
        return False
    rise = scene.ms(60)
    end = at + rise + scene.lasting(1440, device)
    scene.act(device, "battery", Act.LEVEL, (at, end, rise, 0), scene.draw(3, 9))
    return True
