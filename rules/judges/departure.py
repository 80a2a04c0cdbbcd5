"""The judge ``departure``: the last minutes beside what was before (kernels ``departure`` and ``unrest``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from rules.kernels import departure as kernel
from rules.kernels import unrest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from rules.judges.calibration import Bounds

FRAMES_MOST: Final = 240
"""Frames that a window holds at most."""


class Departure:
    """``departure``: the largest distance of a member's last minutes from its level, 1 at its limit.

    Where unrest is judged, that is a distance too.
    """

    outputs: Final = ("departure",)
    relative: Final = False
    tails: Final = (np.inf,)
    later: Final = frozenset({"unrest"})
    refit: Final = False
    options: Final[Mapping[str, Bounds]] = {
        "block_s": (900, 1, 86_400, "`departure`: seconds of the window that is judged; one frame at least"),
        "deviations": (3.6, 0.5, 1000, "`departure`: least limit of a member, in deviations"),
        "daily": (2, 0.01, 1000, "`departure`: departures a day at which limits neither rise nor fall"),
        "trim": (0.125, 0, 0.5, "`departure`: share of a window's values that is left out on either side"),
        "weight": (0.75, 0.01, 1, "`departure`: weight of a window in the level"),
        "unrest": (0, 0, 1000, "`departure`: least limit of a member's unrest, in deviations; 0: it is not judged"),
        "calm_s": (259_200, 3600, 1e8, "`departure`: seconds over which deviations are followed"),
    }

    def __init__(self, members: int, options: Mapping[str, float]) -> None:
        self.members = members
        self._block, self._stays, self._calm = (1000.0 * options[name] for name in ("block_s", "stays_s", "calm_s"))
        self._least, self._daily = options["deviations"], options["daily"]
        self._heavy, self._uneasiest, self._trim = options["weight"], options["unrest"], options["trim"]
        room = int(np.ceil(options["block_s"] / max(options.get("frame_s", 60.0), 1.0)))
        room = min(max(room, unrest.STEPS + 1 if self._uneasiest > 0.0 else 1), FRAMES_MOST)
        member = np.zeros((7, members))
        member[[kernel.LEVEL, kernel.VALUE]] = np.nan
        member[kernel.LIMIT], member[kernel.DIGIT] = 1.0, np.inf
        clock = np.zeros(8)
        clock[[kernel.BLOCK, kernel.SINCE, kernel.UNTIL]] = np.nan
        clock[kernel.AWAY] = -1.0
        clock[kernel.CALM] = kernel.HOUR
        self.arrays: dict[str, NDArray[np.float64]] = {
            "clock": clock,
            "times": np.full(room, np.nan),
            "ring": np.full((room, members), np.nan),
            "member": member,
            "unrest": np.zeros((4, members)),
            "joint": np.zeros((members, members)),
        }
        self.arrays["unrest"][unrest.LIMIT] = 1.0

    def learn(self, ts: NDArray[np.float64], frames: NDArray[np.float64]) -> None:
        """Take normal frames in."""
        self.judge(ts, frames, follow=True)

    def fit(self) -> None:
        """All is followed frame by frame."""

    def judge(self, ts: NDArray[np.float64], frames: NDArray[np.float64], *, follow: bool) -> NDArray[np.float64]:
        """The distance and the member that has it, one row a frame; with ``follow`` frames are learned as well."""
        out, a = np.empty((len(ts), 2)), self.arrays
        kernel.walk(
            ts, frames, follow, self._block, self._trim, self._stays, self._calm, self._heavy, self._least,
            self._uneasiest, self._daily, a["clock"], a["times"], a["ring"], a["member"], a["unrest"], a["joint"], out,
        )  # fmt: skip
        return out

    def calibrated(self, limit: NDArray[np.float64]) -> None:
        """Limits are the members' own."""
