"""What the columns of features can be, by the range of what they are computed on.

One function a feature, named in its line of the table (``rules/features.py``); a feature without one may give anything.
A function must hold for every form of its kernel, whatever the options and the times of readings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from rules.possible import Range

if TYPE_CHECKING:
    from collections.abc import Callable

    Bounds = Callable[["Seen"], dict[str, Range]]

ROUNDING: Final = 1e-12
"""A mean leaves the range of what it is made of by rounding alone, of some 1e-16 of the largest; once beyond an end it
moves back, so that errors do not add up."""
ROUNDING_SINGLE: Final = 1e-5
"""The same of a mean kept in single precision, which cannot tell less than ``LEAST_SINGLE`` from nothing."""
LEAST_SINGLE: Final = 1e-37
DAY_S_MIN: Final = 20 * 3_600
"""Of a local day, however clocks are changed."""


class Seen(Protocol):
    """What a feature is computed on, at some points."""

    @property
    def value(self) -> Range:
        """What it may be."""

    @property
    def step(self) -> Range:
        """From one reading to the next."""

    @property
    def count(self) -> Any:
        """Readings at most."""

    @property
    def longest(self) -> Any:
        """How often in a row the value was what it was before, at most."""

    @property
    def span_s(self) -> Any:
        """Seconds from the first reading to the last."""


def samples(seen: Seen) -> dict[str, Range]:
    """They count up."""
    return {"samples": Range(1.0, seen.count)}


def ewma(seen: Seen) -> dict[str, Range]:
    """A weighted mean; its variance is at most the square of the range (each step keeps it: (1 - a)(1 + a) <= 1)."""
    mean = _mean(seen.value, ROUNDING)
    return {"ewma": mean, "ewstd": Range(0.0, mean.high - mean.low, null=True)}


def flat(seen: Seen) -> dict[str, Range]:
    """As long as the value stood."""
    return {"flat_s": Range(0.0, np.where(seen.longest > 0, seen.span_s, 0.0)), "flat_n": Range(0.0, seen.longest)}


def still(seen: Seen) -> dict[str, Range]:
    """Not longer than there are readings."""
    quantum = np.maximum(np.abs(seen.step.low), np.abs(seen.step.high))
    return {
        "still_s": Range(0.0, seen.span_s),
        "still_n": Range(0.0, seen.count),
        "quantum": Range(0.0, quantum, null=True),
    }


def faint(seen: Seen) -> dict[str, Range]:
    """Readings are counted; the value is moved by factors, so that it may be anything above nothing."""
    return {"faint": Range(0.0, np.inf, null=True), "faint_n": Range(0.0, seen.count, null=True)}


def prev_step(seen: Seen) -> dict[str, Range]:
    """A step like others."""
    return {"prev_step": Range(seen.step.low, seen.step.high, null=True)}


def tukey(seen: Seen) -> dict[str, Range]:
    """A weighted mean, and quartiles that may be anywhere on their way."""
    return {"smooth": _mean(seen.value, ROUNDING)}


def counter(seen: Seen) -> dict[str, Range]:
    """A meter that never fell only counts forward."""
    falls = seen.step.low < 0.0
    return {
        "counter_event": Range(0.0, np.where(falls, 3.0, 0.0)),
        "reversed_by": Range(0.0, np.where(falls, np.inf, 0.0)),
    }


def usage(seen: Seen) -> dict[str, Range]:
    """The value itself, or what it grew by."""
    width = seen.value.high - seen.value.low
    used = Range(np.minimum(seen.value.low, 0.0), np.maximum(seen.value.high, width), null=True)
    return {"used": used, "busy_s": Range(0.0, seen.span_s)}


def baseline(seen: Seen) -> dict[str, Range]:
    """Means of a slot's days, kept in single precision."""
    return {"baseline": _mean(seen.value, ROUNDING_SINGLE), "trained": Range(0.0, _days(seen))}


def night(seen: Seen) -> dict[str, Range]:
    """Minima of nights, kept in single precision, and how many."""
    least = _mean(seen.value, ROUNDING_SINGLE)
    names = ("night_min", "night_median", "night_low", "night_high")
    return dict.fromkeys(names, least) | {"nights": Range(0.0, _days(seen))}


def _days(seen: Seen) -> Any:
    """Local days that may have ended; each twice where clocks go back."""
    return 1.0 + 2.0 * np.floor(seen.span_s / DAY_S_MIN)


def _mean(of: Range, rounding: float) -> Range:
    slack = rounding * np.maximum(np.abs(of.low), np.abs(of.high))
    if rounding == ROUNDING_SINGLE:
        slack = slack + LEAST_SINGLE
    return Range(of.low - slack, of.high + slack, null=True)
