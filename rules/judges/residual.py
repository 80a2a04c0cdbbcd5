"""The judge of ``t2`` and ``q``: what no longer goes together (``kernels/residual.py``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rules.judges.calibration import FLAT, TAIL, Bounds
from rules.kernels import residual as residual_kernel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

CAP: Final = 5.0
"""One frame counts at most this many times the limit, so that an alarm does not outlast its cause."""
SEEN: Final = 0.1
"""The median member's instrument errs by no more than this share of what the member moves."""
SHARES: Final = 6
"""Shares of variance from ``variance_low`` to ``variance``."""


class Residual:
    """``t2`` and ``q``: Hotelling's T² and the squared prediction error, each divided by what normal reaches."""

    outputs: Final = ("t2", "q")
    relative: Final = True
    """Outputs are divided by what normal reaches."""
    tails: Final = (np.inf, TAIL)
    """Of T² none is known: what moves seldom, as a pump that starts, is normal and far off."""
    later: Final[frozenset[str]] = frozenset()
    """State that older snapshots lack: it stays as in a new judge."""
    refit: Final = False
    """Whether it learns on while it is calibrated, to be fitted to the whole normal period in the end."""
    options: Final[Mapping[str, Bounds]] = {
        "lags": (2, 0, 16, "`t2`, `q`: frames before that belong to a vector"),
        "variance": (0.99, 0.1, 1, "`t2`, `q`: share of variance that the principal components explain"),
        "variance_low": (0, 0, 1, "`q`: geometric mean over shares from this one to `variance`; 0: `variance` alone"),
        "smooth_n": (4, 1, 1000, "`t2`, `q`: frames of smoothing"),
        "accuracy": (
            0,
            0,
            1,
            "`t2`, `q`: share of a member's mean by which its readings may be wrong and mean nothing",
        ),
    }

    def __init__(self, members: int, options: Mapping[str, float]) -> None:
        self.members = members
        self._lags = int(options["lags"])
        low, high = options["variance_low"], options["variance"]
        # evenly spaced by the logarithm of what is left over, as the components' variances fall
        self._shares = 1.0 - np.geomspace(1.0 - low, 1.0 - high, SHARES) if 0.0 < low < high < 1.0 else np.array([high])
        self._accuracy = options["accuracy"]
        self._smooth = 2.0 / (options["smooth_n"] + 1.0)
        width = members * (self._lags + 1)
        self.arrays: dict[str, NDArray[np.float64]] = {
            "clock": np.array([np.nan, np.nan, 0.0]),
            "history": np.full((self._lags, members), np.nan),
            "count": np.zeros(1),
            "most": np.full(1, np.inf),
            "mean": np.full(width, np.nan),
            "scatter": np.zeros((width, width)),
            "fit_mean": np.zeros(width),
            "scale": np.zeros(width),
            "axes": np.zeros((0, width)),
            "spread": np.zeros(0),
            "cuts": np.zeros(0),
            "precision": np.zeros((0, width)),
            "cap": np.full(2, np.inf),
            "smoothed": np.full(2, np.nan),
        }

    def _embed(self, ts: NDArray[np.float64], frames: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        vectors, whole = np.empty((len(ts), self.members * (self._lags + 1))), np.empty(len(ts))
        a = self.arrays
        residual_kernel.embed(ts, frames, self._lags, a["clock"], a["history"], vectors, whole)
        return vectors, whole

    def learn(self, ts: NDArray[np.float64], frames: NDArray[np.float64]) -> None:
        """Take normal frames in."""
        vectors, whole = self._embed(ts, frames)
        self._moments(vectors, whole, np.ones(len(ts)))

    def _moments(self, vectors: Any, whole: Any, take: Any) -> None:
        a = self.arrays
        residual_kernel.moments(vectors, whole, take, a["most"][0], a["count"], a["mean"], a["scatter"])

    def fit(self) -> None:
        """Components of what was learned."""
        a = self.arrays
        n = a["count"][0]
        deviation = np.sqrt(np.diag(a["scatter"]) / max(n - 1.0, 1.0))
        mean = np.nan_to_num(a["mean"])
        moved = deviation > FLAT * np.maximum(1.0, np.abs(mean))
        # what moves by less than its instrument can tell would otherwise count for as much as what moves by half
        if not moved.any():
            return
        told = np.hypot(deviation, self._told(deviation, mean, moved))
        scale = np.where(moved, 1.0 / np.where(moved, told, 1.0), 0.0)
        correlation = a["scatter"] / max(n - 1.0, 1.0) * np.outer(scale, scale)
        values, axes = np.linalg.eigh(correlation)
        values, axes = values[::-1], axes[:, ::-1]
        cuts = np.searchsorted(np.cumsum(values) / values.sum(), self._shares) + 1
        # one direction at least is left for Q: where all are taken, what is left is rounding
        cuts = np.maximum(1, np.minimum(cuts, np.count_nonzero(values > FLAT) - 1))
        kept = int(cuts[-1])
        axes[~moved] = 0.0
        a["fit_mean"], a["scale"] = mean, scale
        a["cuts"] = cuts.astype(np.float64)
        a["axes"], a["spread"] = np.ascontiguousarray(axes[:, :kept].T), values[:kept].copy()
        # outside of the components every direction is taken to be alike (probabilistic PCA; Tipping and Bishop 1999)
        rest = max(values[kept:].sum() / max(np.count_nonzero(moved) - kept, 1), FLAT)
        a["precision"] = (a["axes"].T * (1.0 / a["spread"] - 1.0 / rest)) @ a["axes"] + np.eye(len(scale)) / rest

    def _told(self, deviation: Any, mean: Any, moved: Any) -> Any:
        """By how much the instrument of each may err: a share of its mean, unless means are no measure of their range.

        Levels above the sea or kelvin have large means that say nothing. Instruments are chosen for what they are to
        see: where in the median they would miss more than ``SEEN`` of it, what is told is no share of the mean.
        """
        error = self._accuracy * np.abs(mean)
        usual = np.median(error[moved] / deviation[moved])
        return error * min(1.0, SEEN / usual) if usual > 0.0 else error

    def judge(self, ts: NDArray[np.float64], frames: NDArray[np.float64], *, follow: bool) -> NDArray[np.float64]:
        """T², Q and the member that stands out, one row a frame. With ``follow`` normal frames go on being learned."""
        vectors, whole = self._embed(ts, frames)
        a, out = self.arrays, np.empty((len(ts), 3))
        if len(a["precision"]):
            residual_kernel.fill(vectors, whole, a["fit_mean"], a["scale"], a["precision"])
        residual_kernel.judge(
            vectors,
            whole,
            a["fit_mean"],
            a["scale"],
            a["axes"],
            a["spread"],
            a["cuts"],
            self._smooth,
            a["cap"],
            a["smoothed"],
            out,
        )
        out[:, 2] %= self.members
        if not a["scale"].any():
            out[:] = np.nan
        if follow:
            take = (out[:, :2] <= a["cap"] / CAP).all(axis=1).astype(np.float64)
            self._moments(vectors, whole, take)
        return out

    def calibrated(self, limit: NDArray[np.float64]) -> None:
        """Told what normal reaches: from now on what is learned is forgotten at the pace of the normal period."""
        self.arrays["most"] = self.arrays["count"].copy()
        self.arrays["cap"] = np.nan_to_num(limit * CAP, nan=np.inf)
