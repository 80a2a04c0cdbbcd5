"""Features: what a rule may ask for that needs memory of its point, one table.

Adding one is one kernel (``kernels/``), one line in ``FEATURES`` and its naive twin in the tests; its tables in
``docs/rules.md`` are generated (``rules/vocabulary.py``). A feature is computed only for rules that mention it, over
their own rows. Each may be used as it is, with options as parameters named ``<feature>_<option>``, and any number of
times more under names of its own (``[rule.features]``, see ``rules/instances.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from rules import bounds
from rules.feature import Feature, Lean, Option
from rules.kernels import background, charts, lean, meters, normal, robust
from rules.kernels import features as kernels

if TYPE_CHECKING:
    from collections.abc import Callable


def _fixed(width: int) -> Callable[[tuple[float, ...]], int]:
    return lambda _: width


def _days(options: tuple[float, ...]) -> tuple[int, ...]:
    """Of a baseline's slots the days learned, of the one at hand its number and readings."""
    end = normal.SLOT * int(options[0] * options[1])
    return (*range(2, end, normal.SLOT), end, end + 3)


_WINDOW = Option("window_s", 0.0, "seconds; 0: since the previous reading")
_TAU_HOUR = Option("tau_s", 3600.0, "time constant in seconds", above=True)
_LAMBDA = Option("lambda", 0.0, "weight of one reading; 0: by time, with tau_s", high=1.0)

FEATURES: Final = (
    Feature(
        "samples",
        kernels.count,
        {"samples": "how many readings of the point were seen, this one included"},
        _fixed(1),
        bounds=bounds.samples,
    ),
    Feature(
        "rate",
        kernels.rate,
        {"rate": "change per second since the previous reading, or over about window_s seconds"},
        _fixed(4),
        (_WINDOW,),
        steps=True,
    ),
    Feature(
        "ewma",
        kernels.ewma,
        {"ewma": "weighted mean of what came before", "ewstd": "standard deviation around ewma"},
        _fixed(2),
        (_TAU_HOUR, _LAMBDA),
        learns=True,
        lean=(Lean(("ewma",), lean.mean, lambda _: (0,)),),
        bounds=bounds.ewma,
    ),
    Feature(
        "flat",
        kernels.flat,
        {"flat_s": "seconds since the value last changed", "flat_n": "readings since the value last changed"},
        _fixed(2),
        steps=True,
        lean=(
            Lean(("flat_s",), lean.unchanged_s, lambda _: (0,)),
            Lean(("flat_n",), lean.unchanged_n, lambda _: (1,)),
        ),
        bounds=bounds.flat,
    ),
    Feature(
        "still",
        meters.still,
        {
            "still_s": "seconds since the value left its place by more than band or its own resolution",
            "still_n": "readings since then",
            "quantum": "smallest change ever seen at the point: its resolution",
        },
        _fixed(4),
        (Option("band", 0.0, "in the point's unit; 0: the resolution alone"),),
        steps=True,
        lean=(Lean(("quantum",), lean.quantum, lambda _: (3,)),),
        bounds=bounds.still,
    ),
    Feature(
        "faint",
        meters.faint,
        {
            "faint": "value that a share of the readings above nothing stays under, before this reading",
            "faint_n": "how many readings above nothing that is",
        },
        _fixed(2),
        (Option("share", 0.01, "of the readings above nothing", high=1.0),),
        bounds=bounds.faint,
    ),
    Feature(
        "prev_step",
        kernels.steps,
        {"prev_step": "the step of the previous reading"},
        _fixed(1),
        steps=True,
        bounds=bounds.prev_step,
    ),
    Feature(
        "robust",
        robust.robust,
        {
            "median": "median of the n readings before this one",
            "mad": "their median absolute deviation",
            "robust_z": "(value - median) / (1.4826 mad); NULL where mad is 0",
        },
        lambda options: int(options[0]) + 1,
        (Option("n", 15, "readings", low=3, high=101, whole=True),),
    ),
    Feature(
        "cusum",
        charts.cusum,
        {
            "cusum_high": "CUSUM of deviations above the mean in standard deviations, this reading included",
            "cusum_low": "the same below the mean",
        },
        _fixed(5),
        (
            Option("tau_s", 86_400.0, "time constant of mean and deviation in seconds", above=True),
            Option("k", 0.5, "slack in deviations: half the shift to be found"),
            Option("cap", 20.0, "largest sum: bounds the way back", above=True),
            Option("sd_min", 0.0, "least standard deviation, in the point's unit"),
            Option("z_max", 4.0, "most that one reading can add", above=True),
        ),
        learns=True,
    ),
    Feature(
        "tukey",
        robust.tukey,
        {
            "smooth": "EWMA of the value, this reading included",
            "fence_low": "lower quartile of smooth before this reading - k interquartile ranges",
            "fence_high": "upper quartile + k interquartile ranges",
        },
        _fixed(5),
        (
            Option("lambda", 0.2, "weight of one reading", high=1.0, above=True),
            Option("k", 3.0, "interquartile ranges between quartile and fence"),
            Option("memory", 500.0, "readings that the quartiles remember", low=20, whole=True),
            Option("tau_s", 0.0, "time constant of the EWMA in seconds; 0: lambda"),
            Option("memory_s", 0.0, "seconds that they remember at least"),
        ),
        learns=True,
        bounds=bounds.tukey,
    ),
    Feature(
        "trend",
        charts.trend,
        {
            "trend": "slope of a line through the recent past, per second",
            "trend_value": "that line now",
            "minutes_to_limit": "minutes until the line reaches the parameter limit; NULL when it does not lead there",
        },
        _fixed(6),
        (Option("tau_s", 900.0, "time constant in seconds", above=True),),
        limit=True,
    ),
    Feature(
        "counter",
        meters.counter,
        {
            "increment": "growth of a cumulative meter since the previous reading; NULL at a reset",
            "increment_h": "increment per hour",
            "counter_event": "0 forward, 1 reset or exchange, 2 rollover, 3 reverse flow",
            "reversed_by": "how far the meter stands below its highest",
        },
        _fixed(1),
        (Option("modulus", 0.0, "value at which the meter rolls over; 0: never"),),
        steps=True,
        bounds=bounds.counter,
    ),
    Feature(
        "floor",
        background.floor,
        {"floor": "background under the signal, before this reading", "excess": "value - floor"},
        _fixed(1),
        (
            Option("fall_s", 300.0, "time constant downwards in seconds", above=True),
            Option("rise_s", 14_400.0, "time constant upwards in seconds", above=True),
            Option("clip", 1.0, "excess that lifts it at most, in the point's unit", above=True),
            Option("share", 0.0, "or this share of the floor where that is more"),
        ),
    ),
    Feature(
        "usage",
        background.usage,
        {
            "used": "what a meter delivered, whether it counts up or tells the use of each interval",
            "used_h": "the same per hour",
            "busy_s": "seconds since it last delivered nothing for pause_s",
        },
        _fixed(6),
        (
            Option("idle", 0.0, "use an hour that counts as nothing"),
            # a tap that drips fills a litre sooner, and an hourly reading of nothing is a pause
            Option("pause_s", 1800.0, "seconds that are a pause"),
        ),
        steps=True,
        lean=(Lean(("used", "used_h"), lean.delivered, lambda _: (0, 1, 3, 5)),),
        bounds=bounds.usage,
    ),
    Feature(
        "baseline",
        normal.baseline,
        {
            "baseline": "usual value in this slot of the local day, from the days before",
            "baseline_sigma": "usual deviation there, as a standard deviation",
            "baseline_z": "(value - baseline) / baseline_sigma",
            "trained": "days learned in this slot",
        },
        lambda options: normal.SLOT * int(options[0] * options[1]) + 4,
        (
            Option("slots", 24, "slots of a day", choices=(24, 48, 96)),
            Option("days", 1, "1: every day alike, 2: weekdays and weekends, 7: each weekday", choices=(1, 2, 7)),
            Option("memory", 28, "days that are remembered", low=2, high=3660, whole=True),
        ),
        local=True,
        learns=True,
        dtype=np.float32,
        seldom=lambda options: normal.SLOT * int(options[0] * options[1]),
        noting=normal.baseline_noting,
        lean=(Lean(("trained",), lean.days, _days, lambda o: int(o[0] * o[1]), lean.days_noting, 1),),
        bounds=bounds.baseline,
    ),
    Feature(
        "night",
        normal.night,
        {
            "night_min": "least value of the last whole night",
            "night_median": "median of the minima of the nights before it",
            "night_low": "their lower quantile (1 - q)",
            "night_high": "their upper quantile (q)",
            "nights": "how many nights that is",
        },
        lambda options: int(options[2]) + 8,
        (
            Option("from_h", 2.0, "local hour at which the night begins", high=24),
            Option("to_h", 4.0, "local hour at which it ends", high=24),
            Option("n", 14, "nights that are remembered", low=1, high=60, whole=True),
            Option("q", 0.9, "quantile of night_high", low=0.5, high=1.0),
        ),
        local=True,
        learns=True,
        dtype=np.float32,
        bounds=bounds.night,
    ),
)
FEATURE: Final = {feature.name: feature for feature in FEATURES}
FEATURE_OF: Final = {output: feature for feature in FEATURES for output in feature.outputs}
OPTIONS: Final = {f"{f.name}_{option.name}": option for f in FEATURES for option in f.options}
"""Parameters that are options of a feature."""
