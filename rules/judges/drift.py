"""The judge of ``drift``: what leaves its own wandering level (``kernels/drift.py``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rules.judges.calibration import FLAT, TAIL, Bounds
from rules.kernels import drift as drift_kernel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

SETTLED: Final = 2.0
"""A member whose squared steps over several blocks are no larger than those over one, but for so many of their standard
errors, trembles about a level and does not walk: walking they would grow with the blocks."""
SURE: Final = 2
"""Of these lags the second at least must fit in, or nothing is known of it."""
UNSEEN: Final = 3.0
"""Of K blocks with noise, a walk of ``UNSEEN`` / K² of the noise a block cannot be told from none: the means of their
halves differ by it, squared, a quarter as much as by the noise. Nobody may count on less."""
KNOWN: Final = 64
"""Blocks after which noise and walk are known: a normal period that was shorter is learned on from normal frames."""
NORMAL: Final = 2.5
"""Of them a member's frames are learned while it is no further from its level, and no other beyond ``QUIET`` (Rousseeuw
and Leroy 1987: at two deviations a quarter of the variance would be cut off, at two and a half a tenth is)."""
QUIET: Final = 3.0


class Drift:
    """``drift`` and ``drift_rms``: the largest and the mean distance of a member from its own level, in deviations."""

    outputs: Final = ("drift", "drift_rms")
    relative: Final = False
    tails: Final = (float(np.sqrt(TAIL)), float(np.sqrt(TAIL)))
    later: Final = frozenset({"freedom", "lagged", "reach", "grows", "home", "blocks"})
    former: Final = frozenset({"joint", "together"})
    """Arrays that snapshots of older releases have besides."""
    refit: Final = True
    options: Final[Mapping[str, Bounds]] = {
        "block_n": (10, 2, 1000, "`drift`: frames in a block"),
        "gate": (4, 1, 1000, "`drift`: a level does not follow a block that is so many deviations away"),
        "patience": (0, 0, 1e6, "`drift`: but takes its place after so many, at most as it is known from; 0: never"),
        "reached": (0, 0, 1000, "`drift`: who went further in the normal period is told in shares of that; 0: nobody"),
        "back": (0, 0, 1, "`drift`: who comes back does so but for such a share of how far it was; 0: to the digit"),
    }

    RECENT: Final = 64
    """Blocks from which the level is started."""

    def __init__(self, members: int, options: Mapping[str, float]) -> None:
        self.members = members
        self._n = max(2, int(options["block_n"]))
        self._gate, self._patience, self._reached = options["gate"], options["patience"], options["reached"]
        self._back = options["back"]
        self.arrays: dict[str, NDArray[np.float64]] = {"block": np.zeros((7, members)), "level": np.zeros((5, members))}
        self.arrays["freedom"] = np.zeros(members)
        # as of the last fit: those learned so far depend on where a batch ends; not known, they bound nothing
        self.arrays["blocks"] = np.full(members, np.inf)
        self.arrays["block"][[0, 6]] = np.nan
        self.arrays["recent"] = np.full((self.RECENT, members), np.nan)
        self.arrays["lagged"] = np.zeros((2, len(drift_kernel.LAGS), members))
        self.arrays["reach"] = np.zeros((4, members))
        self.arrays["reach"][drift_kernel.SCALE] = 1.0
        self.arrays["grows"] = np.zeros(1)
        self.arrays["home"] = np.zeros((4, members))
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
            a["lagged"],
        )  # fmt: skip

    def fit(self) -> None:
        """Noise and walk of each member, and its level at the end of what was learned."""
        a, reach = self.arrays, self.arrays["reach"]
        mean = a["block"][5]
        noise, walk, moved = self._measure()
        level, variance = self._level(noise, walk, moved)
        moved &= ~np.isnan(level)
        # the last blocks say less than all of them of the level of a member that never leaves it
        stays = (walk == 0.0) & (a["block"][1] > 0)
        level = np.where(stays, mean, level)
        variance = np.where(stays, noise / np.maximum(a["block"][1], 1), variance)
        a["level"] = np.stack(
            [np.nan_to_num(level), variance, np.where(moved, noise, 0.0), walk, np.zeros(self.members)]
        )
        a["home"] = np.zeros((4, self.members))
        reach[drift_kernel.NOW : drift_kernel.SCALE] = np.stack(
            [np.zeros(self.members), reach[drift_kernel.NOW], reach[drift_kernel.LAST]]
        )

    def _measure(self) -> tuple[Any, Any, Any]:
        """Noise and walk of each member, and whether it moved at all; also how well that is known."""
        a = self.arrays
        _, blocks, within, steps, n_steps, mean, quantum = a["block"]
        noise = within / np.maximum(blocks, 1) / self._n
        walk = np.maximum(0.0, steps / np.maximum(n_steps, 1) - 2.0 * noise)
        settled, trembling = self._settled()
        settled &= walk > 0.0
        noise, walk = np.where(settled, np.maximum(noise, trembling), noise), np.where(settled, 0.0, walk)
        # a signal that mostly rests and then moves by its last digit: half a digit is its noise, for no average helps
        resting = within / np.maximum(blocks, 1) < quantum**2 / 12.0
        noise = np.where(resting, np.maximum(noise, quantum**2 / 4.0), noise)
        moved = (blocks > 1) & (noise + walk > (FLAT * np.maximum(1.0, np.abs(mean))) ** 2)
        # a member that only steps between blocks, never within one, has noise all the same: a block's share of its walk
        noise = np.where(moved, np.maximum(noise, walk / self._n), 0.0)
        # Satterthwaite (1946): of a sum of variances, each known from so many blocks or steps; what is known less well
        # than it says, a walk of few steps, may not call its own wandering a fault
        counted = np.where(settled, n_steps, blocks * (self._n - 1))
        doubt = walk**2 / np.maximum(n_steps, 1) + noise**2 / np.maximum(counted, 1)
        a["freedom"] = np.divide((walk + noise) ** 2, doubt, out=np.zeros(self.members), where=doubt > 0)
        a["blocks"] = blocks.copy()
        few = (blocks <= self.RECENT) & moved
        walk = np.where(few, np.maximum(walk, UNSEEN * noise / np.maximum(blocks, 1) ** 2), walk)
        return noise, walk, moved

    def _settled(self) -> tuple[Any, Any]:
        """Which members tremble about a level, and the variance of a block's mean about it (of all)."""
        a = self.arrays
        squares = np.vstack([a["block"][3], a["lagged"][0]])
        count = np.vstack([a["block"][4], a["lagged"][1]])
        lags = np.array([[1], *([lag] for lag in drift_kernel.LAGS)])
        size = squares / np.maximum(count, 1)
        # steps over several blocks overlap: so many of them are worth one for each time their blocks fit in
        weight = np.where(count > lags, count / lags, 0.0)
        most = (1.0 + SETTLED * np.sqrt(2.0 / np.maximum(weight, 1.0))) * size[0]
        usual = (weight * size).sum(axis=0) / np.maximum(weight.sum(axis=0), 1e-300)
        return (weight[SURE] > 0.0) & ((size < most) | (weight == 0.0)).all(axis=0), usual / 2.0

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
        out, at = np.empty((len(ts), 3)), 0
        while follow and at < len(ts) and self._grows:
            # one by one: the fit is renewed after a block of them, however they are cut
            frame = slice(at, at + 1)
            far = self._judge(ts[frame], frames[frame], out[frame], follow=True)
            block = self.arrays["learn_clock"][0] // self._n
            normal = (far < NORMAL) & ~(out[at, 0] > QUIET)
            self.learn(ts[frame], np.where(normal, frames[frame], np.nan))
            if self.arrays["learn_clock"][0] // self._n > block:
                self._renew()
            at += 1
        if at < len(ts):
            self._judge(ts[at:], frames[at:], out[at:], follow=follow)
        return out

    @property
    def _grows(self) -> bool:
        """Whether the normal period was too short, and what is normal since then is learned too."""
        return bool(self.arrays["grows"][0] > 0.0 and self.arrays["learn_clock"][0] < KNOWN * self._n)

    def _renew(self) -> None:
        """Noise and walk as far as they are known now; a level that is followed already stays where it is."""
        level = self.arrays["level"]
        noise, walk, moved = self._measure()
        first = (level[2] <= 0.0) & moved
        if first.any():
            start, variance = self._level(noise, walk, moved)
            first &= ~np.isnan(start)
            level[0], level[1] = np.where(first, start, level[0]), np.where(first, variance, level[1])
        level[2], level[3] = np.where(moved & (first | (level[2] > 0.0)), noise, 0.0), walk

    def _judge(self, ts: Any, frames: Any, out: Any, *, follow: bool) -> NDArray[np.float64]:
        a, far = self.arrays, np.full(self.members, np.nan)
        drift_kernel.judge(
            ts, frames, follow, self._gate, self._patience, self._back,
            a["judge_clock"], a["judge_ring"], a["judge_sum"], a["judge_count"], a["level"], a["home"], a["freedom"],
            a["blocks"], a["reach"], out, far,
        )  # fmt: skip
        return far

    def calibrated(self, limit: NDArray[np.float64]) -> None:  # noqa: ARG002 - the distance is in deviations already
        """The normal period is over: who went further in it than chance lets go is judged by how far it went."""
        reach = self.arrays["reach"]
        if self._reached > 0.0:
            reach[drift_kernel.SCALE] = np.maximum(1.0, reach[: drift_kernel.SCALE].max(axis=0) / self._reached)
        self.arrays["grows"][0] = 1.0
