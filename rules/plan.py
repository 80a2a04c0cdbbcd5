"""A rule set bound to a registry: which rules look at which points, with which parameters, and where state lies.

For each rule the points of its ``where`` get *slots* 0, 1, 2, … in point order; alarm state and overridden parameters
are arrays over slots. Going the other way, ``ptr``/``pair_rule``/``pair_slot`` list the (rule, slot) pairs of each
point (CSR). A registry only appends points, so growth only appends slots: nothing that exists moves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from rules import conditions, features, spec
from rules.alarms import AlarmState
from rules.kernels import select

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from lifeline.core.registry import Registry
    from rules.conditions import Condition
    from rules.spec import RuleSpec


def condition_of(text: str, columns: Mapping[str, pl.DataType], prefixes: Sequence[str] = ()) -> Condition:
    """A condition that ``load`` has accepted before."""
    condition, faults = conditions.parse(text, columns, prefixes)
    assert not faults, faults
    return condition


def points_frame(registry: Registry, start: int) -> pl.DataFrame:
    """The points view from point ``start`` on, as conditions in ``where`` see it."""
    points = pl.DataFrame(pl.from_arrow(registry.points.slice(start)))
    lead = registry.device_points[registry.device_ptr[:-1]] if len(registry) else np.zeros(0, np.int32)
    is_lead = np.zeros(len(registry), bool)
    is_lead[lead] = True
    return points.with_columns(lead=pl.Series(is_lead[start:]))


def mask_of(text: str, frame: pl.DataFrame) -> NDArray[np.bool_]:
    """Which rows of ``points_frame`` satisfy ``where``."""
    condition = condition_of(text, features.WHERE)
    return conditions.evaluate(frame, frame.height, m=condition.expression({}))[0]


@dataclass
class BoundRule:
    """One rule over its points: compiled conditions, parameters and alarm state."""

    spec: RuleSpec
    order: int
    """Place of the rule in the set: decides ties between changes of one reading."""
    points: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    state: AlarmState = field(default_factory=AlarmState)
    varying: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    """Parameters that overrides change, one entry a slot."""
    expressions: dict[str, pl.Expr] = field(init=False)
    names: tuple[str, ...] = field(init=False)
    """Columns that the expressions need, varying parameters not among them."""

    def __post_init__(self) -> None:
        """Compile the conditions."""
        rule = self.spec
        self.varying = {name: np.zeros(0) for o in rule.overrides for name in o.params}
        columns = dict.fromkeys((*features.COLUMNS[rule.evaluate], *rule.params), features.FLOAT)
        texts = {"raise": rule.raise_, "clear": rule.clear}
        if rule.active == spec.HEATING_SEASON:
            texts["active"] = "heating = 1"
        elif rule.active != spec.ALWAYS:
            texts["active"] = rule.active
        parsed = {key: condition_of(text, columns, (features.SIBLING,)) for key, text in texts.items()}
        fixed = {k: v for k, v in rule.params.items() if k not in self.varying}
        self.expressions = {key: condition.expression(fixed) for key, condition in parsed.items()}
        used = frozenset().union(*(condition.names for condition in parsed.values()))
        self.names = tuple(sorted(used - set(rule.params)))
        self.varying_used = tuple(sorted(used & set(self.varying)))

    def grow(self, frame: pl.DataFrame, start: int) -> NDArray[np.int32]:
        """Take in the points from ``start`` on; returns those of them that are the rule's."""
        new = np.flatnonzero(mask_of(self.spec.where, frame)).astype(np.int32)
        for name in self.varying:
            values = np.full(len(new), self.spec.params[name])
            for override in self.spec.overrides:
                if name in override.params:
                    values[mask_of(override.where, frame)[new]] = override.params[name]
            self.varying[name] = np.concatenate([self.varying[name], values])
        new += np.int32(start)
        self.points = np.concatenate([self.points, new])
        self.state.grow(len(self.points))
        return new

    def limit(self, slot: int) -> float:
        """The parameter named ``limit`` at a slot, NaN when the rule has none."""
        if "limit" in self.varying:
            return float(self.varying["limit"][slot])
        return self.spec.params.get("limit", float("nan"))

    def masks(self, frame: pl.DataFrame, rows: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which rows satisfy ``raise``, and which ``clear``. Out of its season a rule never raises, always clears."""
        found = conditions.evaluate(frame, rows, **self.expressions)
        if len(found) == 2:
            return found[0], found[1]
        return found[0] & found[2], found[1] | ~found[2]


class Plan:
    """Rules of one kind of evaluation over all points."""

    def __init__(self, rules: list[BoundRule]) -> None:
        self.rules = rules
        self.ptr = np.zeros(1, np.int64)
        self.pair_rule = np.zeros(0, np.int16)
        self.pair_slot = np.zeros(0, np.int32)

    def grow(self, frame: pl.DataFrame, start: int) -> None:
        """Take in the points of ``frame``, the first of which is point ``start``."""
        found = []
        for r, rule in enumerate(self.rules):
            first = len(rule.points)
            new = rule.grow(frame, start)
            slots = np.arange(first, first + len(new), dtype=np.int32)
            found.append((new, np.full(len(new), r, np.int16), slots))
        if not found:
            return
        point, rule_of, slot = (np.concatenate(column) for column in zip(*found, strict=True))
        order = np.argsort(point, kind="stable")
        counts = np.bincount(point - start, minlength=frame.height) if len(point) else np.zeros(frame.height, np.int64)
        self.ptr = np.concatenate([self.ptr, self.ptr[-1] + np.cumsum(counts)]).astype(np.int64)
        self.pair_rule = np.concatenate([self.pair_rule, rule_of[order]])
        self.pair_slot = np.concatenate([self.pair_slot, slot[order]])

    def select(self, point: NDArray[np.int32]) -> list[tuple[BoundRule, NDArray[np.int32], NDArray[np.int32]]]:
        """For each rule that looks at any of the rows: the rule, the row indices and their slots, in reading order."""
        if not self.rules or not len(point):
            return []
        totals = np.zeros(len(self.rules), np.int64)
        select.count_rows(point, self.ptr, self.pair_rule, totals)
        ends = np.cumsum(totals)
        cursor = ends - totals
        rows, slots = np.empty(ends[-1], np.int32), np.empty(ends[-1], np.int32)
        select.fill_rows(point, self.ptr, self.pair_rule, self.pair_slot, cursor, rows, slots)
        parts = [slice(end - total, end) for end, total in zip(ends, totals, strict=True)]
        return [(r, rows[p], slots[p]) for r, p, total in zip(self.rules, parts, totals, strict=True) if total]

    @property
    def nbytes(self) -> int:
        """Memory of the plan with its alarm state."""
        own = self.ptr.nbytes + self.pair_rule.nbytes + self.pair_slot.nbytes
        each = (r.points.nbytes + r.state.nbytes + sum(v.nbytes for v in r.varying.values()) for r in self.rules)
        return own + sum(each)
