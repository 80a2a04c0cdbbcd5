"""What real networks do to honest readings: repeats, losses, wrong clocks, restarts, batches that come a day late.

All of it is a hash of (seed, device, time): the same objects are lost or repeated in every run.

======================= ==================================================================================
repeat                  1 of 2,000 objects is sent again, with the next tick (same id, seq, ts and values)
loss                    1 of 1,000 objects is never sent; its seq is skipped
clock skew              1 of 200 devices is up to 90 s off, 1 of 5,000 up to 5 min (never beyond the 10 min
                        after which a reading would be rejected)
restart                 1 of 10 devices begins its seq at 0 again each 500 .. 8,000 messages
late batch              each ``batch-meter`` (see ``schedule``), once a day at 11:00 or 16:00 local time: 96
                        values of the day before (a documented water terminal does exactly this)
meter swap              a volume begins at 0 again, once in thirty years of a meter (see ``fleet_build``)
======================= ==================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from simulators.kernels.noise import derive, uniform_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SKEW_MS: Final = 90_000
_SKEW_FAR_MS: Final = 300_000
_SPREAD: Final = 0x2545F4914F6CDD1D


@dataclass(frozen=True, slots=True)
class DirtSettings:
    """Shares of objects or devices; ``CLEAN`` has none."""

    repeat: float = 1 / 2000
    loss: float = 1 / 1000
    skewed: float = 1 / 200
    skewed_far: float = 1 / 5000
    restarting: float = 1 / 10

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"dirt {name} is a share: give 0 .. 1, not {getattr(self, name)}")


CLEAN: Final = DirtSettings(0, 0, 0, 0, 0)


class Dirt:
    """The dirt of one fleet; arrays of one entry a device."""

    def __init__(self, seed: int, devices: int, settings: DirtSettings) -> None:
        index = np.arange(devices, dtype=np.int64)
        self._settings = settings
        self._loss_key = derive(seed, "loss")
        self._repeat_key = derive(seed, "repeat")
        draw = uniform_array(derive(seed, "skewed"), index)
        reach = np.where(draw < settings.skewed_far, _SKEW_FAR_MS, np.where(draw < settings.skewed, _SKEW_MS, 0))
        self.skew_ms: NDArray[np.int64] = ((2 * uniform_array(derive(seed, "skew"), index) - 1) * reach).astype(
            np.int64
        )
        restarting = uniform_array(derive(seed, "restarting"), index) < settings.restarting
        messages = 500 + (uniform_array(derive(seed, "restart"), index) * 7500).astype(np.int64)
        self.seq_modulus: NDArray[np.int64] = np.where(restarting, messages, 1 << 32)
        self.seq_first: NDArray[np.int64] = (uniform_array(derive(seed, "seq"), index) * 100_000).astype(np.int64)

    def seq(self, devices: NDArray[np.int32], count: NDArray[np.int64]) -> NDArray[np.uint32]:
        """Sequence numbers of each device's ``count``-th report."""
        return ((count + self.seq_first[devices]) % self.seq_modulus[devices]).astype(np.uint32)

    def lost(self, devices: NDArray[np.int32], t_ms: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which objects are never sent."""
        return _draw(self._loss_key, devices, t_ms) < self._settings.loss

    def repeated(self, devices: NDArray[np.int32], t_ms: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which objects are sent twice."""
        return _draw(self._repeat_key, devices, t_ms) < self._settings.repeat


def _draw(key: int, devices: NDArray[np.int32], t_ms: NDArray[np.int64]) -> NDArray[np.float64]:
    return uniform_array(key, devices.astype(np.int64) * _SPREAD + t_ms)
