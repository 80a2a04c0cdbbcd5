"""The features in memory: which rules need which, their state per point, and their columns for a batch of fresh rows.

Two rules that mention the same feature with the same option share it. State is kept only for points of such rules,
found by a slot map (int32 a point, -1 for none).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from rules import features
from rules.kernels import features as kernels

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from lifeline.core.registry import Registry
    from rules.features import Feature
    from rules.plan import BoundRule


@dataclass(frozen=True, slots=True)
class FreshRows:
    """Rows that move their points forward, in reading order; ``prev`` and ``dt`` (s) are NaN for a first reading."""

    row: NDArray[np.int32]
    """Index in the batch."""
    point: NDArray[np.int32]
    ts: NDArray[np.int64]
    value: NDArray[np.float64]
    prev: NDArray[np.float64]
    dt: NDArray[np.float64]


def _no_slots() -> NDArray[np.int32]:
    return np.zeros(0, np.int32)


@dataclass
class Tracked:
    """One feature with one option. ``slot[p]`` is the row of ``state`` of point p."""

    feature: Feature
    option: float
    rules: list[BoundRule]
    slot: NDArray[np.int32] = field(default_factory=_no_slots)
    state: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        """No points yet."""
        self.state = np.zeros((0, self.feature.width))

    def grow(self, registry: Registry) -> None:
        """Give slots to the new points of the rules, which have grown already."""
        start = len(self.slot)
        wanted = np.zeros(len(registry), bool)
        for rule in self.rules:
            wanted[rule.points] = True
        new = np.flatnonzero(wanted[start:])
        slot = np.full(len(registry) - start, -1, np.int32)
        slot[new] = np.arange(len(self.state), len(self.state) + len(new), dtype=np.int32)
        self.slot = np.concatenate([self.slot, slot])
        self.state = np.concatenate([self.state, np.full((len(new), self.feature.width), np.nan)])

    def compute(self, rows: FreshRows) -> NDArray[np.float64]:
        """Advance over the rows; result [output, row], meaningless where the point has no slot."""
        out = np.empty((len(self.feature.outputs), len(rows.row)))
        self.feature.kernel(
            self.slot, rows.point, rows.ts, rows.value, rows.prev, rows.dt, self.option, self.state, out
        )
        return out

    @property
    def nbytes(self) -> int:
        """Memory."""
        return self.slot.nbytes + self.state.nbytes


@dataclass
class Sibling:
    """``device_<quantity>``: the newest value of that quantity on the same device."""

    quantity: str
    rules: list[BoundRule]
    source: NDArray[np.int32] = field(default_factory=_no_slots)
    target: NDArray[np.int32] = field(default_factory=_no_slots)
    limit_ms: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    state: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))
    _slot_of_device: dict[int, int] = field(default_factory=dict)

    def grow(self, registry: Registry) -> None:
        """Give a slot to each device that carries the quantity."""
        start, stop = len(self.source), len(registry)
        source, target = np.full(stop, -1, np.int32), np.full(stop, -1, np.int32)
        source[:start] = self.source
        limits = list(self.limit_ms)
        if self.quantity in registry.quantities:
            code = registry.quantities.index(self.quantity)
            carriers = np.flatnonzero(registry.point_quantity[start:] == code) + start
            for p, device in zip(carriers.tolist(), registry.point_device[carriers].tolist(), strict=True):
                interval = float(registry.interval_ms[p]) * features.SIBLING_INTERVALS
                source[p] = self._slot_of_device.setdefault(device, len(limits))
                limits.append(interval or features.SIBLING_MS_UNKNOWN)
        slot_of_device = np.full(len(registry.devices), -1, np.int32)
        if self._slot_of_device:
            slot_of_device[list(self._slot_of_device)] = list(self._slot_of_device.values())
        for rule in self.rules:
            target[rule.points] = slot_of_device[registry.point_device[rule.points]]
        self.source, self.target = source, target
        more = np.full((len(limits) - len(self.state), 2), np.nan)
        self.limit_ms, self.state = np.array(limits, np.float64), np.concatenate([self.state, more])

    def compute(self, rows: FreshRows) -> NDArray[np.float64]:
        """Advance over the rows; result [1, row], meaningless where the point is not of such a rule."""
        out = np.full((1, len(rows.row)), np.nan)
        kernels.sibling(self.source, self.target, rows.point, rows.ts, rows.value, self.limit_ms, self.state, out)
        return out

    @property
    def nbytes(self) -> int:
        """Memory."""
        return self.source.nbytes + self.target.nbytes + self.limit_ms.nbytes + self.state.nbytes


class FeatureBank:
    """All features that a list of rules mentions."""

    def __init__(self, rules: Iterable[BoundRule]) -> None:
        self.tracked: dict[tuple[tuple[str, ...], float], Tracked] = {}
        self.siblings: dict[str, Sibling] = {}
        for rule in rules:
            for name in rule.names:
                feature = features.FEATURE_OF.get(name)
                if feature is not None:
                    option = features.option_of(feature, rule.spec.params)
                    kept = self.tracked.setdefault((feature.outputs, option), Tracked(feature, option, []))
                    if rule not in kept.rules:
                        kept.rules.append(rule)
                elif is_sibling(name):
                    quantity = name.removeprefix(features.SIBLING)
                    self.siblings.setdefault(quantity, Sibling(quantity, [])).rules.append(rule)

    def grow(self, registry: Registry) -> None:
        """Take in the registry's new points; the rules have grown already."""
        for kept in self._all():
            kept.grow(registry)

    def compute(self, rows: FreshRows) -> dict[tuple[str, float], NDArray[np.float64]]:
        """Columns by (name, option) for the fresh rows; every row must be given exactly once and in order."""
        columns: dict[tuple[str, float], NDArray[np.float64]] = {}
        for (outputs, option), kept in self.tracked.items():
            out = kept.compute(rows)
            columns |= {(name, option): out[k] for k, name in enumerate(outputs)}
        for quantity, sibling in self.siblings.items():
            columns[features.SIBLING + quantity, 0.0] = sibling.compute(rows)[0]
        return columns

    def states(self) -> dict[str, NDArray[np.float64]]:
        """State arrays by a stable name: what a snapshot holds."""
        named = {f"feature/{'+'.join(k[0])}/{k[1]!r}": t.state for k, t in self.tracked.items()}
        return named | {f"sibling/{quantity}": s.state for quantity, s in self.siblings.items()}

    @property
    def nbytes(self) -> int:
        """Memory of all features."""
        return sum(kept.nbytes for kept in self._all())

    def _all(self) -> list[Tracked | Sibling]:
        return [*self.tracked.values(), *self.siblings.values()]


def is_sibling(name: str) -> bool:
    """Whether a column is the value of another quantity of the same device."""
    return name.startswith(features.SIBLING) and name not in features.DESCRIPTIONS
