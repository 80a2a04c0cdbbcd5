"""Where a history can make a clock rule raise, and which devices it must hear of for that.

How long a device was silent at most is known when a history was looked at (``kernels/reach.py``), and from it how many
devices were ever overdue, and a bound for each gateway: it is silent no longer than any device behind it. From these
ranges follows, as for rules over readings (``rules/narrowing.py``), where ``raise`` can be true. Only what rules can
ask of there is heard sign by sign: those devices, all that are ever overdue, and all behind the gateways of points at
which a rule that speaks of gateways is left. Every other device is *steady*: from its first sign of life on it is heard
and never overdue, which is all that a census asks of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from rules import possible
from rules.devices import allowed_ms, gateways_of, interval_ms_of
from rules.kernels import hearing as kernel
from rules.kernels import reach
from rules.machine_code import parts_of
from rules.possible import UNKNOWN, Range

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
        self._device, self._first = registry.point_device, devices[:, reach.HEARD_FIRST]
        self._gateway, gateways = gateways_of(registry)
        silent_ms, self._overdue = np.empty(len(devices), np.int64), np.empty(len(devices), np.bool_)
        kernel.longest(devices, allowed_ms(interval_ms_of(registry)), end, silent_ms, self._overdue)
        of_gateways = np.zeros((3, gateways + 1))
        kernel.behind(devices, self._gateway, silent_ms, self._overdue, of_gateways)
        self._device_silent_s = silent_ms / 1000.0
        self._behind = dict(zip(("gateway_devices", "gateway_overdue", "gateway_silent_s"), of_gateways, strict=True))
        """The most that each can be, by gateway; the last for none."""
        self._left = np.zeros(registry.device_count, np.bool_)
        """Devices of points at which some rule is left."""
        self._asks_gateways = np.zeros(registry.device_count, np.bool_)
        """The same of rules that ask about gateways."""

    def possible(self, rule: BoundRule, points: NDArray[np.int32], numbers: Numbers) -> NDArray[np.intp]:
        """At which of a clock rule's points it can raise, by place."""
        tree, left = rule.tests[0].tree, np.arange(len(points))
        device = self._device[points]
        for part, wanted in () if tree is None else parts_of(tree, wanted=True):
            theirs = device[left]

            def column(name: str, theirs: NDArray[np.int32] = theirs, left: NDArray[np.intp] = left) -> Range:
                if name in rule.by_slot:
                    return _exactly(numbers(name)[left])
                return self._range(name, theirs)

            found = np.broadcast_to(possible.possible(part, column, wanted=wanted), len(left))
            left = left[np.flatnonzero(found)]
        return left

    def ask(self, rule: BoundRule, points: NDArray[np.int32]) -> None:
        """Points at which a clock rule will be judged."""
        self._left[self._device[points]] = True
        if not GATEWAY.isdisjoint(rule.names):
            self._asks_gateways[self._device[points]] = True

    def heard(self) -> NDArray[np.bool_]:
        """Devices whose life signs rules must hear; all others are steady. Asked when all rules are bound."""
        if not self._left.any():
            return self._left
        asked = np.zeros(len(self._behind["gateway_devices"]), np.bool_)
        asked[self._gateway[self._asks_gateways]] = True
        asked[-1] = False
        heard: NDArray[np.bool_] = self._left | self._overdue | asked[self._gateway]
        return heard

    def steady(self) -> NDArray[np.int64]:
        """When each steady device was heard first (epoch ms); ``NEVER`` for others and for what was never heard."""
        return np.where(self.heard(), reach.NEVER, self._first)

    def _range(self, name: str, device: NDArray[np.int32]) -> Range:
        if name == "silent_devices":
            return Range(0.0, float(np.count_nonzero(self._overdue)))
        if name == "device_silent_s":
            return Range(-np.inf, self._device_silent_s[device], null=True)
        if name not in self._behind:
            return UNKNOWN
        gateway = self._gateway[device]
        return Range(-np.inf if name.endswith("_s") else 0.0, self._behind[name][gateway], gateway < 0)


def _exactly(numbers: NDArray[np.float64]) -> Range:
    return Range(numbers, numbers, np.isnan(numbers))
