"""Signals: the kernel agrees with a naive twin, stays in its bands, and depends on (seed, device, time) alone."""

from __future__ import annotations

import hashlib
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.effects import Act, Effect
from simulators.faults import FaultSettings
from simulators.fleet import KINDS, Fleet, FleetSettings
from simulators.fleet_build import build_fleet
from simulators.generator import Generator
from simulators.kernels.noise import bell_array, derive, mix, mix_array, smooth, uniform, uniform_array
from simulators.kernels.signal import _ramp, _ramp_hours
from simulators.signals.model import Op
from simulators.signals.weather import Weather
from simulators.wire import Encoder
from simulators.world import World

T0 = 1_795_000_000_000  # 18 Nov 2026, in the heating season
MASK = (1 << 64) - 1


def naive_mix(key: int, counter: int) -> int:
    x = (key + counter * 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def naive_uniform(key: int, counter: int) -> float:
    return (naive_mix(key, counter) >> 11) * 2.0**-53


def naive_bell(bits: int) -> float:
    return (sum((bits >> shift) & 0xFFFF for shift in (0, 16, 32, 48)) - 131070) * (math.sqrt(3) / 65535.0)


def naive_smooth(key: int, t: int, knot_ms: int) -> float:
    knot, rest = divmod(t, knot_ms)
    f = rest / knot_ms
    a, b = naive_uniform(key, knot), naive_uniform(key, knot + 1)
    return (a + (b - a) * (f * f * (3 - 2 * f)) - 0.5) * 2 * math.sqrt(3)


@given(st.integers(0, MASK), st.integers(-(2**62), 2**62))
@settings(max_examples=60, deadline=None)
def test_noise_agrees_with_its_twin(key: int, counter: int) -> None:
    bits = naive_mix(key, counter)

    assert int(mix(np.uint64(key), counter)) == bits
    assert int(mix_array(key, np.array([counter]))[0]) == bits
    assert float(uniform(np.uint64(bits))) == (bits >> 11) * 2.0**-53
    assert float(uniform_array(key, np.array([counter]))[0]) == (bits >> 11) * 2.0**-53
    assert float(bell_array(key, np.array([counter]))[0]) == pytest.approx(naive_bell(bits), abs=1e-12)
    assert float(smooth(np.uint64(key), abs(counter), 1_800_000)) == pytest.approx(
        naive_smooth(key, abs(counter), 1_800_000), abs=1e-9
    )


def test_noise_has_unit_size() -> None:
    sample = bell_array(derive(1, "x"), np.arange(200_000))

    assert abs(sample.mean()) < 0.01
    assert abs(sample.std() - 1) < 0.01


def naive_value(world: World, point: int, t: int) -> int:
    """One value by the formulas of ``signals/model.py``, in plain Python."""
    fleet = world.fleet
    device = int(fleet.point_device[point])
    m = fleet.models[int(fleet.point_model[point])]
    key, base, scale = int(fleet.point_key[point]), float(fleet.point_base[point]), float(fleet.point_scale[point])
    first, table = fleet.weather.rows(t, t)

    def at(column: int, when: int) -> float:
        minute, rest = divmod(when, 60_000)
        row = minute - first
        return float(table[row, column] + (table[row + 1, column] - table[row, column]) * (rest / 60_000))

    tout, season = at(0, t) - 15.0, at(1, t)
    daily = at(m.shape, t + int(fleet.device_shift[device]))
    noise = naive_bell(naive_mix(key, t))
    level = m.amp * (daily - 1) + m.tout * tout
    level += m.zone_sd * naive_smooth(int(fleet.device_zone_key[device]), t, int(m.zone_knot_s * 1000))
    level += m.slow_sd * naive_smooth(key ^ 0x6A09E667F3BCC909, t, int(m.slow_knot_s * 1000)) + m.noise_sd * noise
    level = base + scale * level
    if m.op == Op.LEVEL:
        v = level
    elif m.op == Op.HEATED:
        off = m.off_base + m.off_tout * tout + (m.noise_sd * noise if m.off_base else 0)
        v = season * level + (1 - season) * off
    elif m.op == Op.INTERMITTENT:
        bits = naive_mix(key ^ 0xBB67AE8584CAA73B, t // 300_000)
        use = base / m.duty * (0.3 + 1.4 * naive_uniform(bits, 1))
        v = use if (bits >> 11) * 2.0**-53 < m.duty * daily else 0.0
    elif m.op == Op.CUMULATIVE:
        warped = t
        if m.slow_sd:
            warped += int(m.slow_sd * 3_600_000 * naive_smooth(key ^ 0x6A09E667F3BCC909, t, int(m.slow_knot_s * 1000)))
        total = m.amp * at(m.shape, warped) + (1 - m.amp) * warped / 3_600_000 + m.tout * at(10, warped)
        origin = fleet.point_set2[point] if t >= fleet.point_reset[point] else fleet.point_set[point]
        v = base * max(0.0, total - float(origin))
    else:
        life = (t - base) / scale
        v = 100 - 65 * (life - math.floor(life))
    v = min(max(v, m.normal[0]), m.normal[1])
    v = min(max(v, m.span[0]), m.span[1])
    return math.floor(v * 10.0**m.decimals + 0.5)


@given(st.integers(0, 1999), st.integers(1_577_836_800_000, 1_893_456_000_000))
@settings(max_examples=60, deadline=None)
def test_values_agree_with_their_twin(device: int, t: int) -> None:
    """Each point of a device at any time of ten years; one unit of the last place for the order of additions."""
    world = World(_fleet())
    ptr, scaled = world.values(np.array([device], np.int32), np.array([t], np.int64))
    first = int(world.fleet.device_ptr[device])

    expected = [naive_value(world, first + i, t) for i in range(int(ptr[1]))]
    assert np.abs(scaled - np.array(expected)).max() <= 1


_CACHE: list[Fleet] = []


def _fleet() -> Fleet:
    if not _CACHE:
        _CACHE.append(build_fleet(FleetSettings(sensors=2000, interval_s=10.0)))
    return _CACHE[0]


def test_values_stay_in_span_and_normal_band_all_year(small_fleet: Fleet) -> None:
    """Without faults: each hour of 24 days of a year; heat in its season within the season's band."""
    world = World(small_fleet)
    devices = np.arange(len(small_fleet), dtype=np.int32)
    op = small_fleet.model_table[:, 0][small_fleet.point_model]
    low, high = (np.array([m.normal[i] for m in small_fleet.models])[small_fleet.point_model] for i in (0, 1))
    season_low, season_high = (
        np.array([(m.season_normal or m.normal)[i] for m in small_fleet.models])[small_fleet.point_model]
        for i in (0, 1)
    )
    for day in range(0, 360, 15):
        t = T0 + day * 86_400_000 + (day % 24) * 3_600_000
        ptr, scaled = world.values(devices, np.full(len(devices), t, np.int64))
        value = world.decimal(world.points(devices, ptr), scaled)
        assert ((value >= low) & (value <= high)).all()
        if small_fleet.weather.is_heating(t):
            heated = op == Op.HEATED
            assert ((value >= season_low) & (value <= season_high))[heated].all()


def test_meters_only_rise(small_fleet: Fleet) -> None:
    """Cumulative quantities over two days in steps of ten minutes, but for the few meters swapped meanwhile."""
    world = World(small_fleet)
    devices = np.arange(len(small_fleet), dtype=np.int32)
    rising = small_fleet.model_table[:, 0][small_fleet.point_model] == Op.CUMULATIVE
    rising &= (small_fleet.point_reset < T0) | (small_fleet.point_reset > T0 + 2 * 86_400_000)
    before = np.zeros(int(rising.sum()), np.int64)
    for step in range(288):
        _, scaled = world.values(devices, np.full(len(devices), T0 + step * 600_000, np.int64))
        assert (scaled[rising] >= before).all()
        before = scaled[rising]


def test_flow_of_an_inlet_is_the_slope_of_its_volume(small_fleet: Fleet) -> None:
    """Noise apart, a day's mean flow of a DMA inlet times 24 h is what its meter adds."""
    world = World(small_fleet)
    inlet = next(i for i in range(len(small_fleet)) if KINDS[small_fleet.device_kind[i]].name == "dma-inlet")
    times = T0 + np.arange(0, 86_400_000, 60_000)
    ptr, scaled = world.values(np.full(len(times), inlet, np.int32), times)
    values = world.decimal(world.points(np.full(len(times), inlet, np.int32), ptr), scaled).reshape(-1, 3)

    assert values[-1, 2] - values[0, 2] == pytest.approx(values[:, 0].mean() * 24, rel=0.05)


def test_values_do_not_depend_on_company(small_fleet: Fleet) -> None:
    """Asked alone or with all others, in any order, today or between other days: the same number."""
    devices = np.arange(len(small_fleet), dtype=np.int32)
    times = T0 + (devices.astype(np.int64) * 7_919_000) % 86_400_000
    ptr, together = World(small_fleet).values(devices, times)
    world = World(small_fleet)
    for device in (0, 77, 1999, 501):
        world.values(devices[:1], np.array([T0 + 90 * 86_400_000], np.int64))
        _, alone = world.values(devices[device : device + 1], times[device : device + 1])
        assert alone.tolist() == together[ptr[device] : ptr[device + 1]].tolist()


def stream_digest(seed: int) -> str:
    """Hash of packets and truth of 20 s with many faults."""
    generator = Generator(FleetSettings(sensors=800, interval_s=5.0, seed=seed), T0, FaultSettings(500, 60))
    encoder = Encoder(generator.fleet, "single")
    digest = hashlib.sha256()
    for i in range(40):
        tick = generator.tick(500)
        digest.update(encoder.encode(tick.objects, tick.ptr, tick.scaled, i * 1000).data.tobytes())
    digest.update(str(generator.truth.table().to_pylist()).encode())
    return digest.hexdigest()


def test_same_seed_same_bytes_in_every_process() -> None:
    """This process and a fresh one agree on every byte; another seed gives other bytes."""
    command = [sys.executable, "-c", f"import runpy; print(runpy.run_path({__file__!r})['stream_digest'](3))"]
    fresh = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert stream_digest(3) == fresh
    assert stream_digest(4) != fresh


def naive_ramp_hours(t: int, start: int, end: int, rise: int, fall: int) -> float:
    """The integral by small steps."""
    edges = np.linspace(start, max(start, min(t, end)), 4001)
    middle = (edges[:-1] + edges[1:]) / 2
    up = np.minimum(1, (middle - start) / rise) if rise else np.ones_like(middle)
    down = np.minimum(1, (end - middle) / fall) if fall else np.ones_like(middle)
    return float((np.clip(np.minimum(up, down), 0, 1) * np.diff(edges)).sum() / 3_600_000)


@given(st.integers(-1000, 40_000), st.integers(1, 30_000), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_ramps_integrate(t: int, length: int, rise_share: float, fall_share: float) -> None:
    rise = int(length * rise_share)
    fall = int((length - rise) * fall_share)

    assert _ramp_hours(t, 0, length, rise, fall) == pytest.approx(naive_ramp_hours(t, 0, length, rise, fall), abs=1e-6)
    assert 0 <= _ramp(t, 0, length, rise, fall) <= 1


def test_effects_do_what_their_names_say(small_fleet: Fleet) -> None:
    """Add, times, level and accumulate on one inlet; nothing before the start, nothing but the meter after the end."""
    inlet = next(i for i in range(len(small_fleet)) if KINDS[small_fleet.device_kind[i]].name == "dma-inlet")
    calm, world = World(small_fleet), World(small_fleet)
    flow, pressure, volume = range(int(small_fleet.device_ptr[inlet]), int(small_fleet.device_ptr[inlet]) + 3)
    end = T0 + 3_600_000
    world.effects.add([Effect(flow, Act.TIMES, T0, end, 0.5), Effect(volume, Act.ACCUMULATE, T0, end, 100.0)])
    world.effects.add([Effect(pressure, Act.ADD, T0, end, -0.1, rise=1_800_000)])
    middle = T0 + 900_000

    assert world.value_of(flow, T0 - 1) == calm.value_of(flow, T0 - 1)
    assert world.value_of(flow, middle) == pytest.approx(1.5 * calm.value_of(flow, middle), abs=0.02)
    assert world.value_of(pressure, middle) == pytest.approx(calm.value_of(pressure, middle) - 0.05, abs=2e-4)
    assert world.value_of(volume, middle) == pytest.approx(calm.value_of(volume, middle) + 25, abs=0.11)
    assert world.value_of(flow, end) == calm.value_of(flow, end)
    assert world.value_of(volume, end + 10**7) == pytest.approx(calm.value_of(volume, end + 10**7) + 100, abs=0.11)


def test_heating_season_is_15_november_to_15_march_local_time() -> None:
    weather = Weather(1)
    day = 86_400_000

    def is_on(text: str) -> bool:
        return weather.is_heating(int(np.datetime64(text, "ms").astype(np.int64)) - 8 * 3_600_000)

    assert [is_on(t) for t in ("2026-11-14T12:00", "2026-11-15T00:00", "2027-01-01T00:00", "2027-03-15T00:00")] == [
        False,
        True,
        True,
        True,
    ]
    assert not is_on("2027-03-16T12:00")
    assert not is_on("2026-07-01T00:00")
    with pytest.raises(ValueError, match="2000"):
        weather.rows(0, day)
