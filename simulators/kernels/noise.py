"""Noise without a state: hashes of (key, time), so that any value can be computed alone and always comes out the same.

The mixer is the finalizer of SplitMix64 (Steele, Lea, Flood 2014). Only integer operations, additions and
multiplications: the same bits on every machine. ``*_array`` functions are the same in numpy, for building the fleet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

_M1 = np.uint64(0xBF58476D1CE4E5B9)
_M2 = np.uint64(0x94D049BB133111EB)
_STEP = np.uint64(0x9E3779B97F4A7C15)
_S30 = np.uint64(30)
_S27 = np.uint64(27)
_S31 = np.uint64(31)
_S11 = np.uint64(11)
_S16 = np.uint64(16)
_LOW16 = np.uint64(0xFFFF)
_UNIT = 2.0**-53
_SQRT3 = 1.7320508075688772


@njit(cache=True, nogil=True, inline="always")
def mix(key: Any, counter: Any) -> Any:
    """64 random-looking bits of (uint64 key, int64 counter)."""
    x = key + np.uint64(counter) * _STEP
    x = (x ^ (x >> _S30)) * _M1
    x = (x ^ (x >> _S27)) * _M2
    return x ^ (x >> _S31)


@njit(cache=True, nogil=True, inline="always")
def uniform(bits: Any) -> Any:
    """Uniform in [0, 1) from 64 bits."""
    return (bits >> _S11) * _UNIT


@njit(cache=True, nogil=True, inline="always")
def bell(bits: Any) -> Any:
    """About normal, mean 0, variance 1: the sum of four 16-bit uniforms; never beyond 3.47."""
    total = (
        np.int64(bits & _LOW16)
        + np.int64((bits >> _S16) & _LOW16)
        + np.int64((bits >> np.uint64(32)) & _LOW16)
        + np.int64(bits >> np.uint64(48))
    )
    return (total - 131070) * (_SQRT3 / 65535.0)


@njit(cache=True, nogil=True, inline="always")
def smooth(key: Any, t_ms: Any, knot_ms: Any) -> Any:
    """Slow noise of about unit variance at its knots: smoothstep between uniform values at multiples of ``knot_ms``."""
    knot = t_ms // knot_ms
    f = (t_ms - knot * knot_ms) / knot_ms
    a = uniform(mix(key, knot))
    b = uniform(mix(key, knot + 1))
    s = f * f * (3.0 - 2.0 * f)
    return (a + (b - a) * s - 0.5) * (2.0 * _SQRT3)


def mix_array(key: int, counter: NDArray[np.int64]) -> NDArray[np.uint64]:
    """``mix`` of one key (any Python integer) and many counters."""
    with np.errstate(over="ignore"):
        x = np.uint64(key & 0xFFFFFFFFFFFFFFFF) + counter.astype(np.uint64) * _STEP
        x = (x ^ (x >> _S30)) * _M1
        x = (x ^ (x >> _S27)) * _M2
        return np.asarray(x ^ (x >> _S31), np.uint64)


def uniform_array(key: int, counter: NDArray[np.int64]) -> NDArray[np.float64]:
    """``uniform`` of ``mix_array``."""
    return np.asarray((mix_array(key, counter) >> _S11).astype(np.float64) * _UNIT)


def bell_array(key: int, counter: NDArray[np.int64]) -> NDArray[np.float64]:
    """``bell`` of ``mix_array``."""
    bits = mix_array(key, counter)
    parts = [((bits >> np.uint64(shift)) & _LOW16).astype(np.int64) for shift in (0, 16, 32, 48)]
    return np.asarray((sum(parts[1:], parts[0]) - 131070) * (_SQRT3 / 65535.0))


def derive(seed: int, *names: str | int) -> int:
    """A 64-bit key from a seed and names: FNV-1a, then mixed. Stable across processes (unlike ``hash``)."""
    value = 0xCBF29CE484222325
    for byte in "\x1f".join(map(str, (seed, *names))).encode():
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return int(mix_array(value, np.zeros(1, np.int64))[0])
