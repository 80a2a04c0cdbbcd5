"""Water: district inlets, network pressure, leak-noise loggers, household meters, hydrants.

Figures: network pressures of 0.14 MPa (end of the network, CJJ 58) to 0.45 MPa; a DMA of some hundred m3/h that falls
to a third at 02:00-04:00; a household uses about 0.35 m3 a day; a quiet street at night has 5 .. 20 dB on the pipe.
"""

from __future__ import annotations

from typing import Final

from simulators.signals.model import Model, Op, Shape, battery

_VOLUME = Model(
    "volume",
    "m3",
    (0, 99999.999),
    (0, 99999.999),
    3,
    Op.CUMULATIVE,
    base=0.0145,
    relative=True,
    shape=Shape.WATER_SUM,
    amp=1,
    slow_sd=1.5,
    slow_knot_s=86400,
)
_FLOW = Model(
    "flow", "m3/h", (-5, 5), (0, 2.5), 3, Op.INTERMITTENT, base=0.0145, relative=True, shape=Shape.WATER, duty=0.04
)
_TILT = Model("tilt", "deg", (0, 180), (0, 4), 1, base=1.0, base_sd=0.4, slow_sd=0.05, noise_sd=0.08)


def _pressure(base: float, low: float) -> Model:
    return Model(
        "pressure",
        "MPa",
        (0, 1.6),
        (low, 0.45),
        4,
        base=base,
        base_sd=0.016,
        shape=Shape.WATER,
        amp=-0.022,
        zone_sd=0.006,
        slow_sd=0.003,
        noise_sd=0.0015,
    )


MODELS: Final[dict[str, tuple[Model, ...]]] = {
    "dma-inlet": (
        Model(
            "flow",
            "m3/h",
            (-500, 2000),
            (5, 900),
            2,
            base=170,
            relative=True,
            shape=Shape.WATER,
            amp=0.85,
            tout=0.006,
            zone_sd=0.035,
            slow_sd=0.02,
            noise_sd=0.012,
        ),
        _pressure(0.345, 0.2),
        Model(
            "volume",
            "m3",
            (0, 99999999.9),
            (0, 99999999.9),
            1,
            Op.CUMULATIVE,
            base=170,
            relative=True,
            shape=Shape.WATER_SUM,
            amp=0.85,
            tout=0.006,
        ),
    ),
    "pressure-point": (_pressure(0.31, 0.18), battery()),
    "noise-logger": (
        Model("noise", "dB", (0, 100), (4, 34), 1, base=14, base_sd=2.5, slow_sd=1.2, noise_sd=1.0, slow_knot_s=86400),
        battery(),
    ),
    "household-meter": (_VOLUME, _FLOW, battery()),
    "batch-meter": (_VOLUME, _FLOW, battery()),
    "hydrant": (_pressure(0.3, 0.18), _TILT, battery()),
}
"""Models by kind, in the order of a device's points."""
