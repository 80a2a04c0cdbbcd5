"""A judge with its normal period: learning, calibrating, judging (see ``judges``), for one group of one rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rules.judges import FRAMES_MIN
from rules.judges.calibration import Calibration
from rules.kernels import median

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

FIRST, PHASE, SEEN, REFIT, FITS = range(5)
"""Places in ``meta``: time of the first frame, part of life, frames seen, frames at the next fit, fits so far."""
LEARNING, CALIBRATING, JUDGING = 0.0, 1.0, 2.0
GROWTH: Final = 1.5
"""In the normal period it is fitted anew each time it has seen so many times the frames of the fit before; frames since
the last fit or the last but one are what it is calibrated on, none of which the fit had seen."""
TIMES: Final = "normal_at"
"""State that older snapshots lack: when it was calibrated on what is not known then."""
HUGE: Final = 1e100
"""Nothing that is measured is so large or, the other way round, so small: squares of more are no numbers any longer."""
REFITS: Final = 4
"""A judge that follows is fitted anew after a quarter more frames."""


@dataclass(frozen=True, slots=True)
class Learn:
    """The normal period: so many seconds from the first frame on, unless its end is given; then frozen or following."""

    seconds: float
    follow: bool


class Model:
    """One judge over the frames of one group. ``process`` takes every frame once, in order, however cut."""

    def __init__(
        self, judge: Any, members: int, options: Mapping[str, float], learn: Learn, train_to: int | None
    ) -> None:
        self.judge = judge(members, options)
        self.members = members
        self._learn = learn
        self._train_to = train_to
        self._past = np.full((int(options["median_n"]) - 1, members), np.nan)
        self._calibration = Calibration(len(judge.outputs))
        self._meta = np.array([np.nan, LEARNING, 0.0, 0.0, 0.0])

    def process(self, ts: NDArray[np.int64], frames: NDArray[np.float64]) -> NDArray[np.float64]:
        """The judge's outputs and the member that stands out, one row a frame; NaN while it learns.

        ``frames`` may have more columns than members were known when the model began: newer ones are left out.
        """
        frames = np.ascontiguousarray(_measured(frames[:, : self.members]))
        if len(self._past):
            told, frames = frames, np.empty_like(frames)
            median.calm(told, self._past, frames)
        times = ts.astype(np.float64)
        out = np.full((len(ts), len(self.judge.outputs) + 1), np.nan)
        at = 0
        while at < len(ts):
            if np.isnan(self._meta[FIRST]):
                self._meta[FIRST] = times[0]
            part = slice(at, at + self._length(times[at:]))
            self._advance(times[part], frames[part], out[part])
            at = part.stop
        return out

    def _length(self, times: NDArray[np.float64]) -> int:
        """How many of the coming frames belong to the present part of life; at least one, by turning to the next."""
        while self._meta[PHASE] != JUDGING:
            seen = self._meta[SEEN]
            if self._meta[PHASE] == LEARNING:
                wanted = FRAMES_MIN - seen
            else:
                end = self._meta[FIRST] + self._learn.seconds * 1000.0
                end = end if self._train_to is None else float(self._train_to)
                wanted = min(int(np.searchsorted(times, end)), self._meta[REFIT] - seen)
            if wanted > 0:
                return min(int(wanted), len(times))
            self._turn(over=self._meta[PHASE] == CALIBRATING and seen < self._meta[REFIT])
        if not (self._learn.follow and self.judge.relative):
            return len(times)
        return min(len(times), max(1, int(self._meta[REFIT] - self._meta[SEEN])))

    def _turn(self, *, over: bool) -> None:
        """Fit to what was learned; ``over``: the normal period is, so what it reached is the limit."""
        if over:
            self.judge.fit()
            self._calibration.close(self.judge.tails)
            self.judge.calibrated(self._calibration.limit)
            self._meta[PHASE] = JUDGING
            self._meta[REFIT] = self._meta[SEEN] * (1.0 + 1.0 / REFITS)
            return
        self.judge.fit()
        self._meta[PHASE] = CALIBRATING
        self._meta[REFIT] = np.ceil(self._meta[SEEN] * GROWTH)
        self._meta[FITS] += 1.0
        self._calibration.fitted()

    def _advance(self, ts: NDArray[np.float64], frames: NDArray[np.float64], out: NDArray[np.float64]) -> None:
        self._meta[SEEN] += len(ts)
        if self._meta[PHASE] == LEARNING:
            self.judge.learn(ts, frames)
        elif self._meta[PHASE] == CALIBRATING:
            self._calibration.add(ts, self.judge.judge(ts, frames, follow=True)[:, :-1])
            if self.judge.refit:
                self.judge.learn(ts, frames)
        else:
            out[:] = self.judge.judge(ts, frames, follow=self._learn.follow)
            if self.judge.relative:
                out[:, :-1] /= self._calibration.limit
            if self._learn.follow and self._meta[SEEN] >= self._meta[REFIT]:
                self._meta[REFIT] *= 1.0 + 1.0 / REFITS
                if self.judge.relative:
                    self.judge.fit()

    @property
    def judging(self) -> bool:
        """Whether its normal period is over."""
        return bool(self._meta[PHASE] == JUDGING)

    @property
    def seen(self) -> int:
        """Frames so far."""
        return int(self._meta[SEEN])

    @property
    def limit(self) -> NDArray[np.float64]:
        """What normal reaches, one number an output; NaN until the normal period is over."""
        return self._calibration.limit

    @property
    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """All state by name."""
        kept = int(self._calibration.meta[0])
        own = {
            "meta": self._meta,
            "normal": self._calibration.values[:kept],
            TIMES: self._calibration.at[:kept],
            "normal_meta": self._calibration.meta,
            "normal_limit": self._calibration.limit,
        }
        if len(self._past):
            own["past"] = self._past
        return {**own, **self.judge.arrays}

    def load(self, arrays: Mapping[str, NDArray[np.float64]]) -> None:
        """Take the state of ``arrays`` back.

        Raises:
            ValueError: it is not the state of such a model.
        """
        known = set(self.arrays) | getattr(self.judge, "former", frozenset())
        if not set(self.arrays) - self.judge.later - {TIMES} <= set(arrays) <= known:
            raise ValueError("the snapshot was made with another judge of a group")
        self._meta = arrays["meta"].copy()
        self._calibration.meta[: len(arrays["normal_meta"])] = arrays["normal_meta"]
        self._calibration.limit = arrays["normal_limit"].copy()
        kept = len(arrays["normal"])
        self._calibration.values[:kept] = arrays["normal"]
        self._calibration.at[:kept] = arrays.get(TIMES, np.nan)
        if len(self._past):
            self._past = arrays["past"].copy()
        self.judge.arrays = {name: arrays.get(name, own).copy() for name, own in self.judge.arrays.items()}

    @property
    def nbytes(self) -> int:
        """Memory."""
        held = self._calibration
        return sum(array.nbytes for array in self.arrays.values()) + held.values.nbytes + held.at.nbytes


def _measured(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """The frames; what no instrument can tell is none, and what is next to nothing is nothing."""
    size = np.abs(frames)
    wild, least = size > HUGE, (size < 1.0 / HUGE) & (size > 0.0)
    if not (wild.any() or least.any()):
        return frames
    return np.where(wild, np.nan, np.where(least, 0.0, frames))
