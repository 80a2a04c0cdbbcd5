"""Values of whole devices at given times: the five operations of ``signals/model.py``, then faults, clipping, rounding.

One row is one object (device, time); its values go to ``out[out_ptr[row] : out_ptr[row + 1]]`` as integers scaled by
``10 ** decimals`` of the model: exact on the wire, and the ledger holds the same number.
Faults hang on points as linked lists (``effect_head`` by point, ``next`` in the effect's row): most points have none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from simulators.kernels.noise import bell, mix, smooth, uniform

if TYPE_CHECKING:
    from numpy.typing import NDArray

# columns of the model table, in the order of signals.model.FIELDS
OP, SHAPE, AMP, TOUT, ZONE_SD, SLOW_SD, NOISE_SD, ZONE_KNOT, SLOW_KNOT = 0, 1, 2, 3, 4, 5, 6, 7, 8
NORMAL_LOW, NORMAL_HIGH, SPAN_LOW, SPAN_HIGH, POWER, OFF_BASE, OFF_TOUT, DUTY = 9, 10, 11, 12, 13, 14, 15, 16

# what an effect does (faults.py: Act)
ADD, TIMES, LEVEL, SPIKE, ACCUMULATE = 0, 1, 2, 3, 4

_SLOT_MS = 300_000
_HOUR_MS = 3_600_000.0
_REST = np.uint64(0x6A09E667F3BCC909)  # separates the streams of one point: slow noise
_DRAW = np.uint64(0xBB67AE8584CAA73B)  # intermittent draws
_SPIKE = np.uint64(0x3C6EF372FE94F82B)  # spikes


@njit(cache=True, nogil=True, inline="always")
def _ramp(t: Any, start: Any, end: Any, rise: Any, fall: Any) -> Any:
    """0 .. 1: linear rise from the start, linear fall to the end."""
    up = 1.0 if rise <= 0 else min(1.0, (t - start) / rise)
    down = 1.0 if fall <= 0 else min(1.0, (end - t) / fall)
    return max(0.0, min(up, down))


@njit(cache=True, nogil=True, inline="always")
def _ramp_hours(t: Any, start: Any, end: Any, rise: Any, fall: Any) -> Any:
    """Integral of the ramp from the start to t, in hours (rise + fall <= end - start)."""
    x = min(t, end) - start
    if x <= 0:
        return 0.0
    total = 0.5 * min(x, rise) ** 2 / rise if rise > 0 else 0.0
    plateau_end = end - start - fall
    if x > rise:
        total += min(x, plateau_end) - rise
    if x > plateau_end and fall > 0:
        left = end - start - x
        total += 0.5 * (fall - left * left / fall)
    return total / _HOUR_MS


@njit(cache=True, nogil=True)
def evaluate(
    row_device: NDArray[np.int32],
    row_t: NDArray[np.int64],
    out_ptr: NDArray[np.int64],
    device_ptr: NDArray[np.int64],
    device_shift: NDArray[np.int64],
    device_zone_key: NDArray[np.uint64],
    point_model: NDArray[np.int16],
    point_key: NDArray[np.uint64],
    point_base: NDArray[np.float64],
    point_scale: NDArray[np.float64],
    point_set: NDArray[np.float64],
    point_reset: NDArray[np.int64],
    point_set2: NDArray[np.float64],
    models: NDArray[np.float64],
    weather: NDArray[np.float64],
    first_minute: int,
    effect_head: NDArray[np.int32],
    effect_next: NDArray[np.int32],
    effect_act: NDArray[np.int8],
    effect_times: NDArray[np.int64],
    effect_size: NDArray[np.float64],
    out: NDArray[np.int64],
) -> None:
    """Fill ``out``; see the module. ``effect_times`` [n, 4] = start, end, rise, fall (ms)."""
    for row in range(len(row_device)):
        d = row_device[row]
        t = row_t[row]
        zone_key = device_zone_key[d]
        shifted = t + device_shift[d]
        k = out_ptr[row]
        minute = t // 60_000
        f = (t - minute * 60_000) / 60_000.0
        now = minute - first_minute
        shifted_minute = shifted // 60_000
        g = (shifted - shifted_minute * 60_000) / 60_000.0
        later = shifted_minute - first_minute
        tout = weather[now, 0] + (weather[now + 1, 0] - weather[now, 0]) * f - 15.0
        season = weather[now, 1] + (weather[now + 1, 1] - weather[now, 1]) * f
        for p in range(device_ptr[d], device_ptr[d + 1]):
            m = point_model[p]
            key = point_key[p]
            op = models[m, OP]
            shape = int(models[m, SHAPE])
            scale = point_scale[p]
            v = 0.0
            if op <= 1.0:
                on = 0.0
                if op == 0.0 or season > 0.0:
                    daily = weather[later, shape] + (weather[later + 1, shape] - weather[later, shape]) * g
                    on = models[m, AMP] * (daily - 1.0) + models[m, TOUT] * tout
                    if models[m, ZONE_SD] > 0.0:
                        on += models[m, ZONE_SD] * smooth(zone_key, t, int(models[m, ZONE_KNOT]))
                    if models[m, SLOW_SD] > 0.0:
                        on += models[m, SLOW_SD] * smooth(key ^ _REST, t, int(models[m, SLOW_KNOT]))
                    on += models[m, NOISE_SD] * bell(mix(key, t))
                    on = point_base[p] + scale * on
                if op == 0.0:
                    v = on
                else:
                    off = models[m, OFF_BASE] + models[m, OFF_TOUT] * tout
                    if models[m, OFF_BASE] != 0.0:
                        off += models[m, NOISE_SD] * bell(mix(key, t))
                    v = season * on + (1.0 - season) * off
            elif op == 2.0:
                daily = weather[later, shape] + (weather[later + 1, shape] - weather[later, shape]) * g
                bits = mix(key ^ _DRAW, t // _SLOT_MS)
                if uniform(bits) < models[m, DUTY] * daily:
                    v = point_base[p] / models[m, DUTY] * (0.3 + 1.4 * uniform(mix(bits, 1)))
            elif op == 3.0:
                warped = t
                if models[m, SLOW_SD] > 0.0:
                    warped += int(models[m, SLOW_SD] * _HOUR_MS * smooth(key ^ _REST, t, int(models[m, SLOW_KNOT])))
                minute_w = warped // 60_000
                h = (warped - minute_w * 60_000) / 60_000.0
                at = minute_w - first_minute
                a = models[m, AMP]
                total = a * (weather[at, shape] + (weather[at + 1, shape] - weather[at, shape]) * h)
                total += (1.0 - a) * warped / _HOUR_MS
                total += models[m, TOUT] * (weather[at, 10] + (weather[at + 1, 10] - weather[at, 10]) * h)
                # never back over the swap of the meter by the warp
                origin = point_set2[p] if t >= point_reset[p] else point_set[p]
                v = point_base[p] * max(0.0, total - origin)
            else:
                life = (t - point_base[p]) / scale
                v = 100.0 - 65.0 * (life - np.floor(life))
            v = min(max(v, models[m, NORMAL_LOW]), models[m, NORMAL_HIGH])
            e = effect_head[p]
            while e >= 0:
                start = effect_times[e, 0]
                end = effect_times[e, 1]
                if t >= start:
                    act = effect_act[e]
                    rise = effect_times[e, 2]
                    fall = effect_times[e, 3]
                    size = effect_size[e]
                    if act == ACCUMULATE:
                        v += size * _ramp_hours(t, start, end, rise, fall)
                    elif t < end:
                        if act == ADD:
                            v += size * _ramp(t, start, end, rise, fall)
                        elif act == TIMES:
                            v *= 1.0 + size * _ramp(t, start, end, rise, fall)
                        elif act == LEVEL:
                            v += (size - v) * _ramp(t, start, end, rise, fall)
                        else:
                            # rise holds the spikes per thousand samples
                            bits = mix(key ^ _SPIKE, t)
                            if uniform(bits) * 1000.0 < rise:
                                v += size if bits & np.uint64(1) else -size
                e = effect_next[e]
            v = min(max(v, models[m, SPAN_LOW]), models[m, SPAN_HIGH])
            out[k] = int(np.floor(v * models[m, POWER] + 0.5))
            k += 1
