"""Heat: substations (secondary side), make-up water of the loops, heat meters, room temperatures.

Figures: secondary supply 45 .. 60 °C by a heating curve of -0.45 K per K outdoors, temperature difference about 10 K,
make-up about 0.3 % of the circulation (design <= 1 %), rooms above 18 °C; season 15 Nov - 15 Mar.
"""

from __future__ import annotations

from typing import Final

from simulators.signals.model import Model, Op, Shape, battery


def _temperature(quantity: str, high: float, base: float, tout: float, normal: tuple[float, float]) -> Model:
    return Model(
        quantity,
        "degC",
        (0, high),
        (0, normal[1]),
        1,
        Op.HEATED,
        base=base,
        base_sd=0.8,
        shape=Shape.HEAT,
        amp=1.5,
        tout=tout,
        zone_sd=0.4,
        slow_sd=0.3,
        noise_sd=0.12,
        off_base=17,
        off_tout=0.6,
        season_normal=normal,
    )


def _pressure(quantity: str, base: float, off: float, normal: tuple[float, float]) -> Model:
    return Model(
        quantity,
        "MPa",
        (0, 1.6),
        (0.1, normal[1]),
        4,
        Op.HEATED,
        base=base,
        base_sd=0.012,
        zone_sd=0.005,
        slow_sd=0.003,
        noise_sd=0.0012,
        off_base=off,
        season_normal=normal,
    )


MODELS: Final[dict[str, tuple[Model, ...]]] = {
    "substation": (
        _temperature("supply_temp", 150, 47.5, -0.45, (42, 64)),
        _temperature("return_temp", 120, 37, -0.32, (32, 50)),
        _pressure("supply_pressure", 0.52, 0.3, (0.42, 0.62)),
        _pressure("return_pressure", 0.3, 0.29, (0.24, 0.36)),
        Model(
            "heat_power",
            "GJ/h",
            (0, 100),
            (0, 30),
            2,
            Op.HEATED,
            base=5.5,
            relative=True,
            shape=Shape.HEAT,
            amp=0.12,
            tout=-0.05,
            zone_sd=0.02,
            slow_sd=0.02,
            noise_sd=0.01,
            season_normal=(1, 30),
        ),
    ),
    "loop-makeup": (
        Model(
            "makeup_flow",
            "m3/h",
            (0, 50),
            (0, 2.5),
            2,
            Op.HEATED,
            base=1.0,
            base_sd=0.15,
            zone_sd=0.12,
            slow_sd=0.12,
            noise_sd=0.05,
            season_normal=(0, 2.5),
        ),
        Model(
            "circulation_flow",
            "m3/h",
            (0, 2000),
            (0, 600),
            1,
            Op.HEATED,
            base=330,
            base_sd=50,
            zone_sd=3,
            slow_sd=2,
            noise_sd=1.5,
            season_normal=(120, 600),
        ),
        _pressure("supply_pressure", 0.53, 0.3, (0.42, 0.62)),
    ),
    "heat-meter": (
        Model(
            "energy",
            "GJ",
            (0, 9999999.99),
            (0, 9999999.99),
            2,
            Op.CUMULATIVE,
            base=0.12,
            relative=True,
            shape=Shape.HEAT_SUM,
            amp=1,
            slow_sd=1.5,
            slow_knot_s=86400,
        ),
        Model(
            "flow",
            "m3/h",
            (0, 100),
            (0, 8),
            3,
            Op.HEATED,
            base=1.6,
            relative=True,
            shape=Shape.HEAT,
            amp=0.05,
            slow_sd=0.03,
            noise_sd=0.01,
            season_normal=(0.1, 8),
        ),
        _temperature("supply_temp", 150, 46.5, -0.45, (40, 63)),
        _temperature("return_temp", 120, 36.5, -0.32, (31, 50)),
    ),
    "room-temp": (
        Model(
            "room_temp",
            "degC",
            (-20, 60),
            (0, 38),
            1,
            Op.HEATED,
            base=21.9,
            base_sd=0.6,
            tout=0.03,
            zone_sd=0.2,
            slow_sd=0.25,
            noise_sd=0.05,
            off_base=20,
            off_tout=0.5,
            season_normal=(18.5, 25),
        ),
        battery(),
    ),
}
"""Models by kind, in the order of a device's points."""
