"""Gas: methane background, low-pressure network after the regulators, household meters and detectors, covers.

Figures: appliance nominal pressure 2 kPa and regulator outlets of 2 .. 3 kPa, medium-pressure A inlets of 0.2 .. 0.4
MPa (GB 50028 classes); methane in clean wells is near 0, sewers breathe biogas by day.
"""

from __future__ import annotations

from typing import Final

from simulators.signals.model import Model, Op, Shape, battery

_CH4 = Model("ch4", "%LEL", (0, 100), (0, 2), 2, base=0.45, base_sd=0.15, slow_sd=0.2, noise_sd=0.06)
_SOIL_TEMP = Model("temp", "degC", (-40, 85), (-12, 40), 1, base=15, base_sd=0.8, tout=0.6, slow_sd=0.3, noise_sd=0.1)
_VOLUME = Model(
    "volume",
    "m3",
    (0, 99999.999),
    (0, 99999.999),
    3,
    Op.CUMULATIVE,
    base=0.016,
    relative=True,
    shape=Shape.GAS_SUM,
    amp=1,
    slow_sd=1.5,
    slow_knot_s=86400,
)
_FLOW = Model(
    "flow", "m3/h", (0, 10), (0, 3), 3, Op.INTERMITTENT, base=0.016, relative=True, shape=Shape.GAS, duty=0.03
)

MODELS: Final[dict[str, tuple[Model, ...]]] = {
    "valve-well": (_CH4, _SOIL_TEMP, battery()),
    "adjacent-space": (
        Model(
            "ch4",
            "%LEL",
            (0, 100),
            (0, 10),
            2,
            base=3.0,
            base_sd=0.8,
            shape=Shape.BIOGAS,
            amp=1.6,
            slow_sd=0.5,
            noise_sd=0.1,
        ),
        Model("c2h6", "ppm", (0, 1000), (0, 5), 1, base=1.0, base_sd=0.3, slow_sd=0.5, noise_sd=0.2),
        _SOIL_TEMP,
        battery(),
    ),
    "regulator": (
        Model(
            "pressure",
            "kPa",
            (0, 10),
            (2.2, 3.1),
            3,
            base=2.62,
            base_sd=0.05,
            shape=Shape.GAS,
            amp=-0.07,
            zone_sd=0.02,
            slow_sd=0.02,
            noise_sd=0.008,
        ),
        Model(
            "inlet_pressure",
            "MPa",
            (0, 0.6),
            (0.18, 0.4),
            4,
            base=0.29,
            base_sd=0.012,
            shape=Shape.GAS,
            amp=-0.012,
            zone_sd=0.006,
            slow_sd=0.004,
            noise_sd=0.0008,
        ),
        Model(
            "flow",
            "m3/h",
            (0, 2000),
            (2, 1200),
            1,
            base=180,
            relative=True,
            shape=Shape.GAS,
            amp=0.5,
            tout=-0.018,
            zone_sd=0.05,
            slow_sd=0.03,
            noise_sd=0.012,
        ),
        _CH4,
        _SOIL_TEMP,
    ),
    "pipe": (
        Model(
            "pressure",
            "kPa",
            (0, 10),
            (2.0, 3.0),
            3,
            base=2.48,
            base_sd=0.05,
            shape=Shape.GAS,
            amp=-0.09,
            zone_sd=0.02,
            slow_sd=0.02,
            noise_sd=0.01,
        ),
        _SOIL_TEMP,
    ),
    "household-meter": (_VOLUME, _FLOW, battery()),
    "household-detector": (
        Model(
            "ch4",
            "%LEL",
            (0, 100),
            (0, 4),
            1,
            base=0.9,
            base_sd=0.3,
            shape=Shape.GAS,
            amp=0.3,
            slow_sd=0.3,
            noise_sd=0.1,
        ),
        Model("temp", "degC", (-40, 85), (5, 38), 1, base=21, base_sd=1.2, tout=0.3, slow_sd=0.7, noise_sd=0.15),
    ),
    "manhole-cover": (
        Model("tilt", "deg", (0, 180), (0, 4), 1, base=1.2, base_sd=0.5, slow_sd=0.05, noise_sd=0.08),
        battery(),
    ),
}
"""Models by kind, in the order of a device's points."""
