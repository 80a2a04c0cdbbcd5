"""The judge ``habit``: how far a member is outside of what it did in the normal period (``kernels/habit.py``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from rules.judges.calibration import FLAT, Bounds
from rules.kernels import again
from rules.kernels import habit as kernel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

RIDGE: Final = 1e-3
"""Added to each variance, as a share: two members that say the same all the time leave no inverse."""
LEAST_REACH: Final = 0.05
"""In deviations of a component: a residual below it is rounding, however little normal ones were."""
CHANGES: Final = 20
"""Of a member that changed less often nobody knows how long it may rest."""
SLACK: Final = 1.3
"""A residual is unusual beyond so many times the largest of the normal period."""
RESTS: Final = 1.5
"""And a rest beyond so many times the longest, and"""
SLACKEN: Final = 1.5
"""so many windows, at most as much as frames may be apart."""
WANDERS: Final = 3.0
"""Who went through its range but n times leaves it by ``WANDERS`` / (n + 1) of its span, and nobody may wonder: what
wanders for days shows in two of them one side of where it goes, a tank between its marks all there is each hour."""
RUNS: Final = 10
"""Who went through its range so often since the last fit, and"""
FEWER: Final = 4
"""so many times as often as through all that it ever was in, and whose range is narrower than"""
NARROWER: Final = 0.5
"""this share of that, was elsewhere while the plant was started."""
AGES: Final = 0.5
"""Of how members go together what was before a fit counts for this share after it: a plant that is started goes
otherwise, and what wanders for days goes with all else that does so, for a while."""
EXPLAINED: Final = 0.9
"""Of a mean of which the others explain less its range says all there is."""


class Habit:
    """``habit``: range, rests and relations of each member, 1 at the bound of what normal times let expect."""

    outputs: Final = ("habit",)
    relative: Final = False
    tails: Final = (np.inf,)
    later: Final[frozenset[str]] = frozenset({"way", "turns", "times", "spells", "peaks", "when", "lately"})
    former: Final[frozenset[str]] = frozenset({"since", "calm"})
    """State that older snapshots have and that is no longer needed."""
    refit: Final = False
    options: Final[Mapping[str, Bounds]] = {
        "recent_n": (12, 4, 1000, "`habit`: frames at most of the window over which means and changes are taken"),
        "apart_s": (90, 0, 86_400, "`habit`: frames further apart than this are not judged: too slow to tell a change"),
        "margin": (0.15, 0, 10, "`habit`: share of its span by which a member may leave its range"),
        "recent_s": (60, 1, 86_400, "`habit`: seconds of that window, which has four frames at least"),
        "stays_s": (
            7200,
            0,
            1e8,
            "`habit`: what was told for so long, or three times, in a week is told again when it goes further",
        ),
    }

    def __init__(self, members: int, options: Mapping[str, float]) -> None:
        self.members = members
        self._apart, self._margin, self._stays = options["apart_s"] * 1000.0, options["margin"], options["stays_s"]
        self._recent = 1000.0 * options["recent_s"]
        n, width = int(options["recent_n"]), 2 * members
        none, most = np.full(members, np.inf), np.full(members, -np.inf)
        self.arrays: dict[str, NDArray[np.float64]] = {
            "clock": np.array([np.nan, 0.0, 0.0]),
            "ring": np.full((n, members), np.nan),
            "rests": np.full((3, members), np.nan),
            "bounds": np.stack([none, most, none, most]),
            "grown": np.zeros((2, members)),
            "longest": np.zeros(members),
            "count": np.zeros(1),
            "mean": np.zeros(width),
            "scatter": np.zeros((width, width)),
            "reached": np.zeros((2, width)),
            "low": np.zeros(members),
            "high": np.zeros(members),
            "rest_max": np.full(members, np.inf),
            "fit_mean": np.zeros(width),
            "scale": np.zeros(width),
            "precision": np.zeros((0, width)),
            "reach": np.full(width, np.inf),
            "spells": np.ones((4, again.KINDS, members)),
            "peaks": np.ones((again.TIMES, again.KINDS, members)),
            "when": np.full((again.TIMES, again.KINDS, members), -np.inf),
            "times": np.full(n, np.nan),
            "way": np.zeros((4, members)),
            "turns": np.zeros((3, members)),
            "lately": np.zeros((6, members)),
        }
        self.arrays["rests"][2] = 0.0
        self._lately()
        self._anew()

    def learn(self, ts: NDArray[np.float64], frames: NDArray[np.float64]) -> None:
        """Take normal frames in."""
        self._walk(ts, frames, follow=True)

    def judge(self, ts: NDArray[np.float64], frames: NDArray[np.float64], *, follow: bool) -> NDArray[np.float64]:
        """How unusual the most unusual member is, and which; with ``follow`` frames are learned as well."""
        return self._walk(ts, frames, follow=follow)

    def _walk(self, ts: NDArray[np.float64], frames: NDArray[np.float64], *, follow: bool) -> NDArray[np.float64]:
        a, out = self.arrays, np.empty((len(ts), 2))
        kernel.walk(
            ts, frames, follow, self._apart, self._stays * 1000.0, self._recent, a["clock"], a["times"], a["ring"],
            a["rests"], a["bounds"], a["grown"][0], a["longest"], a["turns"], a["lately"], a["count"], a["mean"],
            a["scatter"], a["reached"][0], a["low"], a["high"], a["rest_max"], a["fit_mean"], a["scale"],
            a["precision"], a["reach"], a["spells"], a["peaks"], a["when"], a["way"], out,
        )  # fmt: skip
        return out

    def fit(self) -> None:
        """Bounds of what was learned; how far they grew since the last fit or the last but one is a margin too."""
        a = self.arrays
        self._started()
        low, high = a["bounds"][:2]
        seen = low <= high
        span = np.where(seen, high - low, 0.0)
        size = np.where(seen, np.maximum(np.abs(low), np.abs(high)), 0.0)
        # what never moved has no span: a thousandth of what it is, or of one
        margin = np.maximum(self._margin, WANDERS / (a["turns"][kernel.TIMES] + 1.0)) * span
        margin = np.maximum(margin, a["grown"].max(axis=0))
        margin = np.maximum(margin, 1e-3 * np.maximum(size, 1.0) * (span <= FLAT * np.maximum(size, 1.0)))
        a["low"], a["high"] = np.where(seen, low - margin, 0.0), np.where(seen, high + margin, 0.0)
        a["bounds"][2:] = a["bounds"][:2]
        known = a["rests"][2] >= CHANGES
        a["rest_max"] = np.where(known, RESTS * a["longest"] + self._slack(), np.inf)
        reached = a["reached"].max(axis=0)
        a["reach"] = np.where(reached > 0.0, SLACK * np.maximum(reached, LEAST_REACH), np.inf)
        a["grown"] = np.stack([np.zeros(self.members), a["grown"][0]])
        a["reached"] = np.stack([np.zeros_like(reached), a["reached"][0]])
        self._anew()
        self._relations()
        if len(a["precision"]):
            means = slice(self.members)
            a["reach"][means][np.diag(a["precision"])[means] * (1.0 - EXPLAINED) < 1.0] = np.inf

    def _slack(self) -> float:
        """Milliseconds by which a rest may be longer: a window and a half, or one frame where that is more."""
        at = int(self.arrays["clock"][kernel.AT])
        newest = np.roll(self.arrays["times"], -at)[-int(self.arrays["clock"][kernel.FRAMES]) :]
        spacing = float(np.median(np.diff(newest))) if len(newest) > 1 else 0.0
        return min(self._apart, max(SLACKEN * self._recent, spacing))

    def _started(self) -> None:
        """Leave out what only a start did: a range far wider than the one that is gone through since, over and over."""
        a, lately = self.arrays, self.arrays["lately"]
        low, high = lately[kernel.LOW], lately[kernel.HIGH]
        began = lately[kernel.TIMES] >= np.maximum(RUNS, FEWER * a["turns"][kernel.TIMES])
        began &= np.where(began, high - low, np.inf) < NARROWER * np.where(began, a["bounds"][1] - a["bounds"][0], 0.0)
        for bound, value in zip((0, 1, 2, 3), (low, high, low, high), strict=True):
            a["bounds"][bound][began] = value[began]
        a["turns"][:, began] = lately[:3, began]
        a["grown"][:, began] = 0.0
        if began.any():
            a["longest"] = lately[kernel.LONGEST].copy()
        self._lately()

    def _lately(self) -> None:
        lately = self.arrays["lately"]
        lately[:] = 0.0
        lately[kernel.LOW], lately[kernel.HIGH] = np.inf, -np.inf

    def _anew(self) -> None:
        """By other bounds nothing is known of what was unusual."""
        a = self.arrays
        a["spells"][:], a["peaks"][:], a["when"][:] = 1.0, 1.0, -np.inf
        a["spells"][[again.BEGUN, again.LAST]] = np.nan

    def _relations(self) -> None:
        a = self.arrays
        n = a["count"][0]
        if n < 2:
            return
        deviation = np.sqrt(np.diag(a["scatter"]) / (n - 1.0))
        moved = deviation > FLAT * np.maximum(1.0, np.abs(a["mean"]))
        scale = np.where(moved, 1.0 / np.where(moved, deviation, 1.0), 0.0)
        correlation = a["scatter"] / (n - 1.0) * np.outer(scale, scale)
        np.fill_diagonal(correlation, 1.0 + RIDGE)
        a["fit_mean"], a["scale"] = a["mean"].copy(), scale
        a["precision"] = np.ascontiguousarray(np.linalg.inv(correlation))
        a["count"] *= AGES
        a["scatter"] *= AGES

    def calibrated(self, limit: NDArray[np.float64]) -> None:
        """The bounds are the judge's own."""
