"""Where a history can make a clock rule raise, and which devices it must hear of for that.

How long a device was silent at most is known when a history was looked at (``kernels/reach.py``), and from it how many
devices were ever overdue, and a bound for each gateway: it is silent no longer than any device behind it. From these
ranges follows, as for rules over readings (``rules/reach.py``), where ``raise`` can be true. Only what rules can ask
of there is heard sign by sign: those devices, all that are ever overdue, and all behind the gateways of points at which
a rule that speaks of gateways is left. Every other device is *steady*: from its first sign of life on it is heard and
never overdue, which is all that a census asks of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from rules.devices import allowed_ms, gateways_of, interval_ms_of
from rules.kernels import reach as kernel
from rules.machine_code import parts_of
from rules.possible import UNKNOWN, Range, possible

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lifeline.core.registry import Registry
    from rules.bound import BoundRule, Numbers

BEHIND: Final = ("gateway_devices", "gateway_silent_s", "gateway_back_s", "gateway_overdue")
GATEWAY: Final = frozenset(BEHIND)
"""Columns about the gateway of a point."""


class Hearing:
    """Life signs of a whole history by device, and what clock rules left to judge ask of them."""

    def __init__(self, registry: Registry, devices: NDArray[np.int64], end: int) -> None:
        """``devices``: their records (``kernels/reach.py``). ``end``: log time up to which silence is judged."""
        self._device = registry.point_device
        first, last = devices[:, kernel.HEARD_FIRST], devices[:, kernel.HEARD_LAST]
        self._never = first == kernel.NEVER
        self._first = np.where(self._never, kernel.NEVER, first)
        self._longest = np.where(self._never, -1, np.maximum(devices[:, kernel.SILENT], end - last))
        """Milliseconds; -1 of what was never heard."""
        allowed = allowed_ms(interval_ms_of(registry))
        self._overdue = (allowed > 0) & (self._longest > allowed)
        self._gateway, gateways = gateways_of(registry)
        self._count = gateways
        self._left = np.zeros(registry.device_count, np.bool_)
        """Devices of points at which some rule is left."""
        self._asks_gateways = np.zeros(registry.device_count, np.bool_)
        """The same of rules that ask about gateways."""
        self._ranges = self._of_all()

    def kept(self, rule: BoundRule, points: NDArray[np.int32], numbers: Numbers) -> NDArray[np.intp]:
        """At which of a clock rule's points it must be judged, by place."""
        tree, left = rule.tests[0].tree, np.arange(len(points))
        device = self._device[points]
        for part, wanted in () if tree is None else parts_of(tree, wanted=True):
            theirs = device[left]

            def column(name: str, theirs: NDArray[np.int32] = theirs, left: NDArray[np.intp] = left) -> Range:
                if name in self._ranges:
                    return self._range(name, theirs)
                return _exactly(numbers(name)[left]) if name in rule.by_slot else UNKNOWN

            found = np.broadcast_to(possible(part, column, wanted=wanted), len(left))
            left = left[np.flatnonzero(found)]
        self._left[device[left]] = True
        if not GATEWAY.isdisjoint(rule.names):
            self._asks_gateways[device[left]] = True
        return left

    def heard(self) -> NDArray[np.bool_]:
        """Devices whose life signs rules must hear; all others are steady. Asked when all rules are bound."""
        if not self._left.any():
            return self._left
        asked = np.zeros(self._count + 1, np.bool_)
        asked[self._gateway[self._asks_gateways]] = True
        asked[-1] = False  # of no gateway
        heard: NDArray[np.bool_] = self._left | self._overdue | asked[self._gateway]
        return heard

    def steady(self) -> NDArray[np.int64]:
        """When each steady device was heard first (epoch ms); ``NEVER`` for others and for what was never heard."""
        return np.where(self.heard(), kernel.NEVER, self._first)

    def _range(self, name: str, device: NDArray[np.int32]) -> Range:
        high = self._ranges[name]
        if name == "silent_devices":
            return Range(0.0, high[0])
        if name == "device_silent_s":
            return Range(-np.inf, high[device], null=True)
        gateway = self._gateway[device]
        return Range(-np.inf if name.endswith("_s") else 0.0, high[gateway], gateway < 0)

    def _of_all(self) -> dict[str, NDArray[np.float64]]:
        """The most that columns can be, by device, or by gateway with one more entry for none."""
        behind, of = np.flatnonzero(self._gateway >= 0), self._gateway[self._gateway >= 0]
        devices, overdue = np.zeros(self._count + 1), np.zeros(self._count + 1)
        np.add.at(devices, of, 1.0)
        np.add.at(overdue, of, self._overdue[behind].astype(np.float64))
        known = behind[~self._never[behind]]
        of = self._gateway[known]
        begin = np.full(self._count + 1, np.iinfo(np.int64).max)
        np.minimum.at(begin, of, self._first[known])
        silent = np.full(self._count + 1, np.iinfo(np.int64).max)
        np.minimum.at(silent, of, np.maximum(self._longest[known], self._first[known] - begin[of]))
        return {
            "device_silent_s": self._longest / 1000.0,
            "silent_devices": np.array([float(np.count_nonzero(self._overdue))]),
            "gateway_devices": devices,
            "gateway_overdue": overdue,
            "gateway_silent_s": silent / 1000.0,
        }


def _exactly(numbers: NDArray[np.float64]) -> Range:
    return Range(numbers, numbers, np.isnan(numbers))
