"""The judge of ``drift``: what leaves its own wandering level (``kernels/drift.py``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rules.judges.calibration import FLAT, TAIL, Bounds
from rules.kernels import drift as drift_kernel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

LEAST_ROOT: Final = 0.02
"""Of what a member does the others explain no more than leaves this least root of their correlation."""


class Drift:
    """``drift`` and ``drift_rms``: the largest and the mean distance of a member from its own level, in deviations."""

    outputs: Final = ("drift", "drift_rms")
    relative: Final = False
    tails: Final = (float(np.sqrt(TAIL)), float(np.sqrt(TAIL)))
    later: Final = frozenset({"freedom", "joint", "together"})
    refit: Final = True
    options: Final[Mapping[str, Bounds]] = {
        "block_n": (10, 2, 1000, "`drift`: frames in a block"),
        "gate": (4, 1, 1000, "`drift`: a level does not follow a block that is so many deviations away"),
        "patience": (0, 0, 1e6, "`drift`: but takes its place after so many such blocks in a row; 0: never"),
        "mutual": (0, 0, 1, "`drift`: 1: of each member is taken off what the steps of the others let expect"),
    }

    RECENT: Final = 64
    """Blocks from which the level is started."""

    def __init__(self, members: int, options: Mapping[str, float]) -> None:
        self.members = members
        self._n = max(2, int(options["block_n"]))
        self._gate, self._patience = options["gate"], options["patience"]
        self.arrays: dict[str, NDArray[np.float64]] = {"block": np.zeros((7, members)), "level": np.zeros((5, members))}
        self.arrays["freedom"] = np.zeros(members)
        many = members if options["mutual"] > 0 else 0
        self.arrays |= {"joint": np.zeros((2, many, many)), "together": np.zeros((0, 0))}
        self.arrays["block"][[0, 6]] = np.nan
        self.arrays["recent"] = np.full((self.RECENT, members), np.nan)
        self.arrays |= self._ring("learn") | self._ring("judge")

    def _ring(self, name: str) -> dict[str, NDArray[np.float64]]:
        zeros = np.zeros(self.members)
        ring = np.full((self._n, self.members), np.nan)
        clock = np.array([0.0, np.nan, np.nan])
        return {f"{name}_clock": clock, f"{name}_ring": ring, f"{name}_sum": zeros, f"{name}_count": zeros.copy()}

    def learn(self, ts: NDArray[np.float64], frames: NDArray[np.float64]) -> None:
        """Take normal frames in."""
        a = self.arrays
        drift_kernel.learn(
            ts, frames, a["learn_clock"], a["learn_ring"], a["learn_sum"], a["learn_count"], a["block"], a["recent"],
            a["joint"],
        )  # fmt: skip

    def fit(self) -> None:
        """Noise and walk of each member, and its level at the end of what was learned."""
        a = self.arrays
        _, blocks, within, steps, n_steps, mean, quantum = a["block"]
        noise = within / np.maximum(blocks, 1) / self._n
        walk = np.maximum(0.0, steps / np.maximum(n_steps, 1) - 2.0 * noise)
        # a signal that mostly rests and then moves by its last digit: half a digit is its noise, for no average helps
        resting = within / np.maximum(blocks, 1) < quantum**2 / 12.0
        noise = np.where(resting, np.maximum(noise, quantum**2 / 4.0), noise)
        moved = (blocks > 1) & (noise + walk > (FLAT * np.maximum(1.0, np.abs(mean))) ** 2)
        # a member that only steps between blocks, never within one, has noise all the same: a block's share of its walk
        noise = np.where(moved, np.maximum(noise, walk / self._n), 0.0)
        level, variance = self._level(noise, walk, moved)
        moved &= ~np.isnan(level)
        level = np.where(walk > 0, level, mean)
        variance = np.where(walk > 0, variance, noise / np.maximum(blocks, 1))
        a["level"] = np.stack(
            [np.nan_to_num(level), variance, np.where(moved, noise, 0.0), walk, np.zeros(self.members)]
        )
        # Satterthwaite (1946): of a sum of variances, each known from so many blocks or steps; what is known less well
        # than it says, a walk of few steps, may not call its own wandering a fault
        doubt = walk**2 / np.maximum(n_steps, 1) + noise**2 / np.maximum(blocks * (self._n - 1), 1)
        a["freedom"] = np.divide((walk + noise) ** 2, doubt, out=np.zeros(self.members), where=doubt > 0)
        if a["joint"].size:
            a["together"] = self._together(a["joint"])

    @staticmethod
    def _together(joint: NDArray[np.float64]) -> NDArray[np.float64]:
        """Correlation of the steps of each two members, shrunk to none by as much as so few steps are worth."""
        products, steps = joint
        size = np.sqrt(np.diag(products) / np.maximum(np.diag(steps), 1.0))
        both = np.outer(size, size) * np.maximum(steps, 1.0)
        alike = np.divide(products, both, out=np.zeros_like(products), where=both > 0)
        own = np.eye(len(alike))
        # pairs that were seen at different times could leave no correlation at all: its least root is bounded
        shrunk = (len(alike) + 1.0) / (len(alike) + 1.0 + steps.max())
        alike = (1.0 - own) * (1.0 - shrunk) * alike
        least = np.linalg.eigvalsh(alike + own)[0]
        together: NDArray[np.float64] = own + alike * min(1.0, (1.0 - LEAST_ROOT) / max(1.0 - least, LEAST_ROOT))
        return together

    def _level(self, noise: Any, walk: Any, moved: Any) -> tuple[Any, Any]:
        """Level of each member at the end of what was learned, and its variance, by Kalman's filter over the blocks.

        The last step is over the frames of the block that is not whole yet: where blocks begin must not matter.
        """
        a = self.arrays
        level, variance = np.full(self.members, np.nan), noise.copy()
        frames = int(a["learn_clock"][0])
        order, begun = divmod(frames, self._n)
        steps = [(a["recent"][k % self.RECENT], noise, walk) for k in range(max(0, order - self.RECENT), order)]
        count = np.count_nonzero(~np.isnan(a["learn_ring"][:begun]), axis=0)
        part = np.where(count > 1, np.nansum(a["learn_ring"][:begun], axis=0) / np.maximum(count, 1), np.nan)
        steps.append((part, noise * self._n / np.maximum(count, 1), walk * begun / self._n))
        for seen, doubt, wander in steps:
            known, first = ~np.isnan(seen), np.isnan(level)
            variance = np.where(first, variance, variance + wander)
            gain = np.divide(variance, variance + doubt, out=np.zeros_like(noise), where=moved & known)
            level = np.where(known, np.where(first, seen, level + gain * (seen - level)), level)
            variance = np.where(known & ~first, variance * (1.0 - gain), variance)
        return level, variance

    def judge(self, ts: NDArray[np.float64], frames: NDArray[np.float64], *, follow: bool) -> NDArray[np.float64]:
        """The two distances and the member with the largest, one row a frame."""
        out, a = np.empty((len(ts), 3)), self.arrays
        drift_kernel.judge(
            ts, frames, follow, self._gate, self._patience,
            a["judge_clock"], a["judge_ring"], a["judge_sum"], a["judge_count"], a["level"], a["freedom"],
            a["together"], out,
        )  # fmt: skip
        return out

    def calibrated(self, limit: NDArray[np.float64]) -> None:
        """The distance is in deviations already."""
