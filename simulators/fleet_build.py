"""Building a fleet: how many of which kind, where, in which zone, behind which gateway, and each point's own figures.

Everything is a hash of (seed, what, number): no order of calls matters. Devices of a kind are spread over the leaf
grids by weight and numbered from the west of the first district on, so that equal ranks of two kinds are near each
other: zones and gateways are runs of neighbours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from simulators.city import apportion, build_city
from simulators.fleet import KIND_INDEX, KINDS, SENSORS, Fleet, FleetSettings, Kind
from simulators.kernels.noise import bell_array, derive, mix_array, uniform_array
from simulators.signals.model import Model, Op, Shape, pack
from simulators.signals.weather import DAY_MS, Weather

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LETTER: Final = {"gas": "G", "water": "W", "heat": "H"}
_ZONES: Final = {"gas": ("RD", 300), "water": ("DMA", 450), "heat": ("HL", 300)}
_FIRST_INSTALL: Final = 16_801
"""2016-01-01 in days since 1970; devices were installed in the nine years from then."""
_RESET_FROM_MS: Final = 1_420_070_400_000
_RESET_SPAN_MS: Final = 30 * 365 * DAY_MS
"""A meter is swapped (its volume starts at 0 again) once at some time of the thirty years from 2015."""


def scaled_counts(sensors: int) -> list[int]:
    """Devices per kind for a fleet of another size: the same mix, at least one of each kind when there is room."""
    if sensors < len(KINDS):
        return apportion(sensors, [float(kind.count) for kind in KINDS])
    # one device of each kind is given; it stands for SENSORS / sensors of the full mix
    rest = [max(0.0, kind.count - SENSORS / sensors) for kind in KINDS]
    return [1 + count for count in apportion(sensors - len(KINDS), rest)]


def _grids(seed: int, counts: list[int]) -> list[NDArray[np.int64]]:
    """For each kind the leaf grid of each device, in geographic order (rural grids hold fewer, of heat none)."""
    city = build_city()
    weights = {
        "gas": np.where(city.leaf_urban, 1.0, 0.25),
        "water": np.where(city.leaf_urban, 1.0, 0.35),
        "heat": np.where(city.leaf_urban, 1.0, 0.0),
    }
    grids = []
    for kind, count in zip(KINDS, counts, strict=True):
        cumulative = np.cumsum(weights[kind.utility])
        draws = np.sort(uniform_array(derive(seed, "grid", kind.utility, kind.name), np.arange(count)))
        grids.append(np.searchsorted(cumulative, draws * cumulative[-1], side="right"))
    # a cover lies on its well: first the valve wells', then those of adjacent spaces
    wells = np.concatenate([grids[KIND_INDEX["gas", "valve-well"]], grids[KIND_INDEX["gas", "adjacent-space"]]])
    cover = KIND_INDEX["gas", "manhole-cover"]
    grids[cover] = wells[np.arange(counts[cover]) % max(len(wells), 1)] if len(wells) else grids[cover]
    return grids


def _assets(counts: list[int]) -> list[list[str]]:
    """Asset ids per kind; a cover has that of its well."""
    assets = [[f"{kind.asset}{i:06d}" for i in range(count)] for kind, count in zip(KINDS, counts, strict=True)]
    wells = assets[KIND_INDEX["gas", "valve-well"]] + assets[KIND_INDEX["gas", "adjacent-space"]]
    cover = KIND_INDEX["gas", "manhole-cover"]
    if wells:
        assets[cover] = [wells[i % len(wells)] for i in range(counts[cover])]
    return assets


def _intervals(settings: FleetSettings, kind: Kind, count: int) -> NDArray[np.int64]:
    if settings.interval_s is not None:
        return np.full(count, round(settings.interval_s * 1000), np.int64)
    intervals = np.full(count, round(kind.interval_s * 1000), np.int64)
    for one_in, interval_s in kind.fast:
        intervals[::one_in] = round(interval_s * 1000)
    return intervals


def build_fleet(settings: FleetSettings | None = None) -> Fleet:
    """The fleet of these settings. About 1 s for 219,300 devices."""
    settings = settings or FleetSettings()
    seed = settings.seed
    city = build_city()
    counts = scaled_counts(settings.sensors)
    grids, assets = _grids(seed, counts), _assets(counts)
    kind = np.repeat(np.arange(len(KINDS)), counts).astype(np.int16)
    grid = np.concatenate(grids)
    asset = [name for names in assets for name in names]
    interval = np.concatenate([_intervals(settings, k, n) for k, n in zip(KINDS, counts, strict=True)])
    # rank within the kind, 0 .. 1: as each kind is spread over the city alike, equal ranks are near each other
    rank = np.concatenate([(np.arange(n) + 0.5) / max(n, 1) for n in counts])
    wells = KIND_INDEX["gas", "manhole-cover"]
    if counts[wells] > 0:  # a cover belongs to the zone of its place, not of its number
        reference = np.sort(grids[KIND_INDEX["gas", "household-meter"]])
        rank[kind == wells] = np.searchsorted(reference, grids[wells]) / max(len(reference), 1)
    utility = np.array([list(_LETTER).index(k.utility) for k in KINDS])[kind]
    consumer = np.array([k.consumer for k in KINDS])[kind]
    order = np.lexsort((kind, grid, consumer, utility))
    kind, grid, interval = kind[order], grid[order], interval[order]
    rank, utility, consumer = rank[order], utility[order], consumer[order]
    asset = [asset[i] for i in order]
    zone, zones = _zones(utility, rank, settings.sensors)
    gateway, gateways, gateway_utility = _gateways(utility, consumer, settings.gateway_devices)
    number = np.concatenate([np.arange((utility == u).sum()) for u in range(3)])
    letters = [_LETTER[name] for name in _LETTER]
    ids = [f"{letters[u]}{n:07d}" for u, n in zip(utility.tolist(), number.tolist(), strict=True)]
    index = np.arange(len(ids))
    spread = 120.0 / 111_200.0  # within about 120 m of the centre of the grid
    placement = np.array([int(name[3:]) + 1_000_000 * (ord(name[1]) * 256 + ord(name[2])) for name in asset], np.int64)
    lon = city.leaf_lon[grid] + spread * (2 * uniform_array(derive(seed, "lon"), placement) - 1)
    lat = city.leaf_lat[grid] + spread * (2 * uniform_array(derive(seed, "lat"), placement) - 1)
    zone_keys = mix_array(derive(seed, "zone"), np.arange(len(zones)))
    return Fleet(
        settings=settings,
        ids=ids,
        device_kind=kind,
        device_grid=city.leaf_row[grid],
        device_lon=np.round(lon, 6),
        device_lat=np.round(lat, 6),
        device_zone=zone,
        device_gateway=gateway,
        device_asset=asset,
        device_install_day=(_FIRST_INSTALL + uniform_array(derive(seed, "install"), index) * 9 * 365).astype(np.int32),
        interval_ms=interval,
        device_shift=((uniform_array(derive(seed, "shift"), index) - 0.5) * 5_400_000).astype(np.int64),
        device_zone_key=zone_keys[zone],
        zones=zones,
        gateways=gateways,
        gateway_utility=gateway_utility,
        **_points(seed, kind),
    )


def _zones(utility: NDArray[np.int64], rank: NDArray[np.float64], sensors: int) -> tuple[NDArray[np.int32], list[str]]:
    zone = np.zeros(len(utility), np.int32)
    names: list[str] = []
    for u, name in enumerate(_LETTER):
        prefix, full = _ZONES[name]
        count = max(1, min(full, round(full * sensors / SENSORS)))
        chosen = utility == u
        zone[chosen] = len(names) + np.minimum((rank[chosen] * count).astype(np.int32), count - 1)
        names += [f"{prefix}-{i + 1:04d}" for i in range(count)]
    return zone, names


def _gateways(
    utility: NDArray[np.int64], consumer: NDArray[np.bool_], devices: int
) -> tuple[NDArray[np.int32], list[str], list[str]]:
    """Runs of ``devices`` neighbours of one utility, network and consumer devices apart."""
    gateway = np.zeros(len(utility), np.int32)
    names: list[str] = []
    utilities: list[str] = []
    for u, utility_name in enumerate(_LETTER):
        number = 0
        for consumers in (False, True):
            chosen = np.flatnonzero((utility == u) & (consumer == consumers))
            count = -(-len(chosen) // devices)
            gateway[chosen] = len(names) + np.arange(len(chosen)) // devices
            names += [f"{_LETTER[utility_name]}GW{number + i + 1:05d}" for i in range(count)]
            utilities += [utility_name] * count
            number += count
    return gateway, names, utilities


def _points(seed: int, kind: NDArray[np.int16]) -> dict[str, Any]:
    """The point arrays of devices of these kinds."""
    models = tuple(model for k in KINDS for model in k.models)
    sizes = np.array([len(k.models) for k in KINDS])
    first_model = np.concatenate([[0], np.cumsum(sizes)])[:-1]
    device_points = sizes[kind]
    ptr = np.concatenate([[0], np.cumsum(device_points)]).astype(np.int64)
    device = np.repeat(np.arange(len(kind), dtype=np.int32), device_points)
    within = np.arange(ptr[-1]) - ptr[device]
    model = (first_model[kind][device] + within).astype(np.int16)
    index = np.arange(ptr[-1])
    mid = np.array([m.base for m in models])[model]
    sd = np.array([m.base_sd for m in models])[model]
    relative = np.array([m.relative for m in models])[model]
    own = mid + sd * bell_array(derive(seed, "base"), index)
    common = mid * np.exp(0.3 * bell_array(derive(seed, "size"), device.astype(np.int64)))
    base = np.where(relative, common, own)
    scale = np.where(relative, base, 0.7 + 0.6 * uniform_array(derive(seed, "scale"), index))
    weather = Weather(seed)
    op = np.array([m.op for m in models])[model]
    # batteries: base is when the first one was put in (ms), scale how long one lasts (6 .. 10 years)
    draws = uniform_array(derive(seed, "battery"), device.astype(np.int64))
    base = np.where(op == Op.BATTERY, np.floor((_FIRST_INSTALL - 3650 * draws) * DAY_MS), base)
    scale = np.where(op == Op.BATTERY, np.floor((2190 + 1460 * (draws * 7919 % 1)) * DAY_MS), scale)
    set_at = (_FIRST_INSTALL + uniform_array(derive(seed, "set"), device.astype(np.int64)) * 9 * 365) * DAY_MS
    swap_at = _RESET_FROM_MS + uniform_array(derive(seed, "swap"), device.astype(np.int64)) * _RESET_SPAN_MS
    reset = np.maximum(swap_at, set_at).astype(np.int64)
    return {
        "device_ptr": ptr,
        "point_model": model,
        "point_device": device,
        "point_key": mix_array(derive(seed, "point"), index),
        "point_base": base,
        "point_scale": scale,
        "point_set": _integral(weather, models, model, set_at.astype(np.int64)),
        "point_reset": reset,
        "point_set2": _integral(weather, models, model, reset),
        "models": models,
        "model_table": pack(models),
        "weather": weather,
    }


def _integral(
    weather: Weather, models: tuple[Model, ...], model: NDArray[np.int16], t_ms: NDArray[np.int64]
) -> NDArray[np.float64]:
    """What the kernel's integral is at each point's time; 0 where the model has none."""
    result = np.zeros(len(model), np.float64)
    for number, m in enumerate(models):
        if m.op != Op.CUMULATIVE:
            continue
        rows = np.flatnonzero(model == number)
        sums = weather.integrals(t_ms[rows])
        column = {Shape.WATER_SUM: 0, Shape.GAS_SUM: 1, Shape.HEAT_SUM: 2}[m.shape]
        result[rows] = m.amp * sums[:, column] + (1 - m.amp) * t_ms[rows] / 3_600_000 + m.tout * sums[:, 3]
    return result
