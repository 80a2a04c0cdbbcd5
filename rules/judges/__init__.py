"""What looks at a group's frames as a whole, after learning a normal period: one judge for each line of ``JUDGES``.

A judge sees every frame of its group once, in order, as a matrix (frames x members, NaN where a member is silent). Its
life has three parts: it *learns* from the first ``FRAMES_MIN`` frames, is *calibrated* over the rest of the normal
period while it is fitted again and again to ever more of it (what it says of normal frames that its fit had not seen
is what normal is), and *judges* from then on. Before that its columns are NULL. The normal period begins with the
group's first frame and ends at ``train_to`` where that is given (a backtest), else after the rule's ``learn.seconds``.

Adding one: a kernel, a module here whose class has ``learn``, ``fit`` and ``judge``, one line in ``JUDGES`` (the last:
their places are kept in snapshots), and its tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rules.judges.departure import Departure
from rules.judges.drift import Drift
from rules.judges.habit import Habit
from rules.judges.residual import Residual

if TYPE_CHECKING:
    from rules.judges.calibration import Bounds

FRAMES_MIN: Final = 30

JUDGES: Final[tuple[Any, ...]] = (Residual, Drift, Habit, Departure)
JUDGE_OF: Final = {output: judge for judge in JUDGES for output in judge.outputs}
OPTIONS: Final[dict[str, Bounds]] = {
    "median_n": (
        1,
        1,
        15,
        "judges: values of a member whose median is taken for the last, so that one wild one is none",
    )
} | {name: bounds for judge in JUDGES for name, bounds in judge.options.items()}
