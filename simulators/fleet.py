"""The fleet: 219,300 devices of gas, water and heat, as the registry tables ``POINTS`` and ``AREAS``.

What is reported, by whom, and what is normal (intervals are the declared ones; ``--interval`` overrides them all).
``normal`` is the band of a healthy point all year round (heat: in the heating season, 15 Nov - 15 Mar local time;
outside it temperatures follow the weather, pressures are static, flows and power are 0).

====== ================== ================ ========= =================== ============= ===========================
util.  kind (count)       quantity         unit      span                normal        interval, supply
====== ================== ================ ========= =================== ============= ===========================
gas    valve-well         ch4              %LEL      0 .. 100            0 .. 2        1800 s, battery
gas    (6,000)            temp             degC      -40 .. 85           -12 .. 40
gas                       battery          %         0 .. 100            35 .. 100
gas    adjacent-space     ch4              %LEL      0 .. 100            0 .. 10       1800 s, battery (sewer, cable
gas    (1,800)            c2h6             ppm       0 .. 1000           0 .. 5        and other wells next to gas
gas                       temp             degC      -40 .. 85           -12 .. 40     pipes: biogas is routine here)
gas                       battery          %         0 .. 100            35 .. 100
gas    regulator          pressure         kPa       0 .. 10             2.2 .. 3.1    60 s (one in five: 10 s), mains
gas    (1,500)            inlet_pressure   MPa       0 .. 0.6            0.18 .. 0.40
gas                       flow             m3/h      0 .. 2000           2 .. 1200
gas                       ch4              %LEL      0 .. 100            0 .. 2
gas                       temp             degC      -40 .. 85           -12 .. 40
gas    pipe               pressure         kPa       0 .. 10             2.0 .. 3.0    300 s, mains
gas    (2,000)            temp             degC      -40 .. 85           -12 .. 40
gas    household-meter    volume           m3        0 .. 99999.999      rises         86400 s, battery
gas    (62,000)           flow             m3/h      0 .. 10             0 .. 3
gas                       battery          %         0 .. 100            35 .. 100
gas    household-detector ch4              %LEL      0 .. 100            0 .. 4        3600 s, mains
gas    (36,000)           temp             degC      -40 .. 85           5 .. 38
gas    manhole-cover      tilt             deg       0 .. 180            0 .. 4        3600 s, battery; the asset_id is
gas    (7,000)            battery          %         0 .. 100            35 .. 100     that of the well it covers
water  dma-inlet          flow             m3/h      -500 .. 2000        5 .. 900      60 s (one in five: 10 s), mains
water  (900)              pressure         MPa       0 .. 1.6            0.20 .. 0.45
water                     volume           m3        0 .. 99999999.9     rises
water  pressure-point     pressure         MPa       0 .. 1.6            0.18 .. 0.45  300 s; of 24: one 1 s, two 5 s
water  (2,400)            battery          %         0 .. 100            35 .. 100
water  noise-logger       noise            dB        0 .. 100            4 .. 34       86400 s (at night), battery
water  (3,000)            battery          %         0 .. 100            35 .. 100
water  household-meter    volume           m3        0 .. 99999.999      rises         86400 s, battery
water  (60,000)           flow             m3/h      -5 .. 5             0 .. 2.5
water                     battery          %         0 .. 100            35 .. 100
water  batch-meter        volume           m3        0 .. 99999.999      rises         900 s, battery: stores a value
water  (6,000)            flow             m3/h      -5 .. 5             0 .. 2.5      each 15 min and uploads the 96 of
water                     battery          %         0 .. 100            35 .. 100     a day at once, up to a day late
water  hydrant            pressure         MPa       0 .. 1.6            0.18 .. 0.45  3600 s, battery
water  (3,700)            tilt             deg       0 .. 180            0 .. 4
water                     battery          %         0 .. 100            35 .. 100
heat   substation         supply_temp      degC      0 .. 150            42 .. 64      60 s, mains (secondary side)
heat   (1,800)            return_temp      degC      0 .. 120            32 .. 50
heat                      supply_pressure  MPa       0 .. 1.6            0.42 .. 0.62
heat                      return_pressure  MPa       0 .. 1.6            0.24 .. 0.36
heat                      heat_power       GJ/h      0 .. 100            1 .. 30
heat   loop-makeup        makeup_flow      m3/h      0 .. 50             0 .. 2.5      30 s, mains; normally about 0.3 %
heat   (300)              circulation_flow m3/h      0 .. 2000           120 .. 600    of the circulation (good: 0.5 %)
heat                      supply_pressure  MPa       0 .. 1.6            0.42 .. 0.62
heat   heat-meter         energy           GJ        0 .. 9999999.99     rises         3600 s, battery
heat   (16,900)           flow             m3/h      0 .. 100            0.1 .. 8
heat                      supply_temp      degC      0 .. 150            40 .. 63
heat                      return_temp      degC      0 .. 120            31 .. 50
heat   room-temp          room_temp        degC      -20 .. 60           18.5 .. 25    3600 s, battery
heat   (8,000)            battery          %         0 .. 100            35 .. 100
====== ================== ================ ========= =================== ============= ===========================

Faults (``truth`` kinds) and what they do at ``fault_speed`` 1:

- ``gas-accumulation`` (valve-well, regulator cabinet, household-detector; adjacent-space with c2h6 +70 .. 180 ppm):
  ch4 rises to 35 .. 90 %LEL in 20 .. 60 min, holds, is aired. ``cover-opened``: tilt jumps to 25 .. 110 deg.
- ``regulator-overpressure``: outlet pressure creeps from 2.6 to 3.8 .. 6 kPa in 10 .. 40 min, the zone's pipes with it.
- ``pipe-burst`` (a DMA): inlet flow jumps by 60 .. 150 %, pressures of the DMA fall by 0.08 .. 0.22 MPa (less with
  distance) in about 5 min. ``slow-leak``: inlet flow +15 .. 40 % in 4 .. 8 hours, a noise logger +20 .. 40 dB.
- ``reverse-flow``: a dma-inlet or a water meter shows -2 .. -30 % of its full flow.
- ``heat-supply-collapse`` (a loop): supply_temp -12 .. -25 K, return_temp half of that, heat_power -60 .. -90 %, and
  later room_temp -3 .. -6 K. ``makeup-surge`` (a loop): makeup_flow +6 .. +25 m3/h, supply_pressure -0.05 .. -0.15 MPa.
- Of the device: ``sensor-stuck`` (frozen value), ``sensor-drift`` (a ramp of 0.6 .. 1.2 normal bands in one
  to three days), ``sensor-spikes`` (6 .. 15 % of the samples 1 .. 2 normal bands off), ``dropout`` (a device silent),
  ``gateway-outage`` (all devices of a gateway silent), ``battery-low`` (battery 3 .. 9 %).
- Must not become warnings: ``harmless-sewer-biogas`` (adjacent-space: ch4 to 26 .. 44 %LEL, c2h6 stays at 0 .. 5 ppm),
  ``harmless-flushing`` (a hydrant is opened: DMA inlet flow +10 .. 25 % for 20 min, pressures -0.01 .. -0.03 MPa),
  ``harmless-maintenance`` (a well opened by its owner: tilt 8 deg or less, ch4 0; a regulator switched over:
  outlet pressure 2.0 .. 3.3 kPa; a loop refilled: makeup_flow +1 .. +2 m3/h).

Zones: gas ``RD-…`` (regulator district), water ``DMA-…``, heat ``HL-…`` (loop). Every device has a zone and a gateway
(concentrator or cell, the unit of an outage). ``group``: the DMA for its inlet and pressure points, the device for a
substation, null elsewhere. Device ids: utility letter, seven digits (``G0001234``); a device's points are contiguous.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from lifeline.core.schema import POINTS
from simulators.city import build_city
from simulators.signals import gas, heat, water
from simulators.signals.weather import DAY_MS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simulators.signals.model import Model
    from simulators.signals.weather import Weather

SENSORS: Final = 219_300
SENSORS_MAX: Final = 5_000_000
"""Over twenty cities: some 400 bytes a device, and five minutes to build."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of device: how many of the 219,300, how often it reports, whether it is a consumer's."""

    utility: str
    name: str
    count: int
    interval_s: float
    asset: str
    consumer: bool = False
    fast: tuple[tuple[int, float], ...] = ()
    """(one in n, its interval in s): some report more often."""

    @property
    def models(self) -> tuple[Model, ...]:
        """Quantities of a device, in the order of its points."""
        return _MODELS[self.utility][self.name]


_MODELS: Final = {"gas": gas.MODELS, "water": water.MODELS, "heat": heat.MODELS}

KINDS: Final[tuple[Kind, ...]] = (
    Kind("gas", "valve-well", 6_000, 1800, "GVW"),
    Kind("gas", "adjacent-space", 1_800, 1800, "GAS"),
    Kind("gas", "regulator", 1_500, 60, "GRG", fast=((5, 10.0),)),
    Kind("gas", "pipe", 2_000, 300, "GPI"),
    Kind("gas", "household-meter", 62_000, 86_400, "GHM", consumer=True),
    Kind("gas", "household-detector", 36_000, 3600, "GHD", consumer=True),
    Kind("gas", "manhole-cover", 7_000, 3600, "GVW"),
    Kind("water", "dma-inlet", 900, 60, "WDI", fast=((5, 10.0),)),
    Kind("water", "pressure-point", 2_400, 300, "WPP", fast=((8, 5.0), (24, 1.0))),
    Kind("water", "noise-logger", 3_000, 86_400, "WNL"),
    Kind("water", "household-meter", 60_000, 86_400, "WHM", consumer=True),
    Kind("water", "batch-meter", 6_000, 900, "WBM", consumer=True),
    Kind("water", "hydrant", 3_700, 3600, "WHY"),
    Kind("heat", "substation", 1_800, 60, "HSS"),
    Kind("heat", "loop-makeup", 300, 30, "HLM"),
    Kind("heat", "heat-meter", 16_900, 3600, "HHM", consumer=True),
    Kind("heat", "room-temp", 8_000, 3600, "HRT", consumer=True),
)
KIND_INDEX: Final = {(kind.utility, kind.name): i for i, kind in enumerate(KINDS)}

_OWNER: Final = {"gas": "燃气公司", "water": "自来水公司", "heat": "热力公司"}
_GROUPED: Final = frozenset({"dma-inlet", "pressure-point"})


@dataclass(frozen=True)
class FleetSettings:
    """What makes a fleet; equal settings make equal fleets."""

    sensors: int = SENSORS
    seed: int = 1
    interval_s: float | None = None
    """One interval for all devices (s), or each kind its own."""
    gateway_devices: int = 100
    """Devices behind one gateway: what a pack can hold."""

    def __post_init__(self) -> None:
        if not 1 <= self.sensors <= SENSORS_MAX:
            raise ValueError(f"sensors must be 1 .. {SENSORS_MAX:,}, not {self.sensors}: give another count")
        if self.interval_s is not None and not 0.01 <= self.interval_s <= 7 * 86_400:
            raise ValueError(f"interval must be 0.01 s .. 7 days, not {self.interval_s} s: give another interval")
        if not 1 <= self.gateway_devices <= 10_000:
            raise ValueError(f"a pack holds 1 .. 10,000 objects, not {self.gateway_devices}: give another pack")


@dataclass(frozen=True)
class Fleet:
    """Devices and points as arrays for the kernels; ``points`` and ``areas`` as tables for people.

    Device arrays have one entry a device in the order of the registry, point arrays one entry a point.
    """

    settings: FleetSettings
    ids: list[str]
    device_kind: NDArray[np.int16]
    device_ptr: NDArray[np.int64]
    device_grid: NDArray[np.int64]
    """Row of the ``AREAS`` table."""
    device_lon: NDArray[np.float64]
    device_lat: NDArray[np.float64]
    device_zone: NDArray[np.int32]
    device_gateway: NDArray[np.int32]
    device_asset: list[str]
    device_install_day: NDArray[np.int32]
    interval_ms: NDArray[np.int64]
    device_shift: NDArray[np.int64]
    device_zone_key: NDArray[np.uint64]
    zones: list[str]
    gateways: list[str]
    gateway_utility: list[str]
    point_model: NDArray[np.int16]
    point_device: NDArray[np.int32]
    point_key: NDArray[np.uint64]
    point_base: NDArray[np.float64]
    point_scale: NDArray[np.float64]
    point_set: NDArray[np.float64]
    point_reset: NDArray[np.int64]
    point_set2: NDArray[np.float64]
    models: tuple[Model, ...]
    model_table: NDArray[np.float64]
    weather: Weather = field(repr=False)

    def __len__(self) -> int:
        """Number of devices."""
        return len(self.ids)

    @cached_property
    def report_ms(self) -> NDArray[np.int64]:
        """How often each device is heard of (ms): its interval, but once a day where it uploads a day at once."""
        batch = self.device_kind == KIND_INDEX["water", "batch-meter"]
        return np.where(batch & (self.settings.interval_s is None), DAY_MS, self.interval_ms)

    @property
    def points_count(self) -> int:
        """Number of points."""
        return len(self.point_model)

    def utility(self, device: int) -> str:
        """Utility of a device."""
        return KINDS[int(self.device_kind[device])].utility

    def quantity(self, point: int) -> str:
        """Quantity of a point."""
        return self.models[int(self.point_model[point])].quantity

    def point_of(self, device: int, quantity: str) -> int:
        """The point of a device's quantity.

        Raises:
            KeyError: the device has no such quantity.
        """
        for point in range(int(self.device_ptr[device]), int(self.device_ptr[device + 1])):
            if self.quantity(point) == quantity:
                return point
        raise KeyError(f"{self.ids[device]} has no {quantity}")

    @property
    def areas(self) -> pa.Table:
        """The ``AREAS`` table of the city."""
        return build_city().areas

    @cached_property
    def points(self) -> pa.Table:
        """The ``POINTS`` table: row i is point i."""
        of_device = pa.array(self.point_device)
        of_model = pa.array(self.point_model)
        kinds = pa.array(self.device_kind)

        def by_kind(values: list[str]) -> pa.Array:
            return pa.array(values).take(kinds).take(of_device)

        def by_model(values: list[str] | list[float]) -> pa.Array:
            return pa.array(values).take(of_model)

        grouped = [
            self.zones[zone]
            if KINDS[kind].name in _GROUPED
            else self.ids[i]
            if KINDS[kind].name == "substation"
            else None
            for i, (kind, zone) in enumerate(zip(self.device_kind, self.device_zone, strict=True))
        ]
        columns = {
            "point": pa.array(np.arange(self.points_count, dtype=np.int32)),
            "device_id": pa.array(self.ids).take(of_device),
            "quantity": by_model([m.quantity for m in self.models]),
            "unit": by_model([m.unit for m in self.models]),
            "utility": by_kind([k.utility for k in KINDS]),
            "kind": by_kind([k.name for k in KINDS]),
            "span_low": by_model([float(m.span[0]) for m in self.models]),
            "span_high": by_model([float(m.span[1]) for m in self.models]),
            "interval_s": pa.array(self.interval_ms / 1000.0).take(of_device),
            "lon": pa.array(self.device_lon).take(of_device),
            "lat": pa.array(self.device_lat).take(of_device),
            "area_code": self.areas["area_code"].combine_chunks().take(pa.array(self.device_grid)).take(of_device),
            "asset_id": pa.array(self.device_asset).take(of_device),
            "owner": by_kind([_OWNER[k.utility] for k in KINDS]),
            "install_date": pa.array(self.device_install_day).cast(pa.date32()).take(of_device),
            "zone": pa.array(self.zones).take(pa.array(self.device_zone)).take(of_device),
            "gateway": pa.array(self.gateways).take(pa.array(self.device_gateway)).take(of_device),
            "group": pa.array(grouped, pa.string()).take(of_device),
        }
        return pa.Table.from_arrays([columns[f.name].cast(f.type) for f in POINTS], schema=POINTS)
