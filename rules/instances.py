"""Which features a rule uses, with which options, over which column.

``params = { rate_window_s = 300 }`` gives the feature ``rate`` its window. A rule that wants it twice, or wants a
feature of a feature, says so in a table; its columns are then named after it::

    [rule.features]
    slow = { feature = "rate", window_s = "1h" }           # column slow_rate
    flow = { feature = "night", on = "increment_h" }       # columns flow_night_min, flow_night_median …
    cusum = { on = "baseline_z", k = 0.75 }                # a feature's own name: its columns keep theirs

Readings at which the column of ``on`` is NULL are passed over by the feature, and its columns are NULL there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rules import features

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rules.feature import Feature, Form

VALUE: Final = "value"
INSTANCES_MAX: Final = 16
"""Named features of one rule: a rule with more is several rules."""


@dataclass(frozen=True, slots=True)
class Instance:
    """A feature with its options, in the order of the feature's table entry."""

    name: str
    feature: Feature
    options: tuple[float, ...]
    on: str = VALUE

    @property
    def outputs(self) -> tuple[str, ...]:
        """Its columns."""
        own = self.name == self.feature.name
        return tuple(output if own else f"{self.name}_{output}" for output in self.feature.outputs)

    def form(self, asked: frozenset[str]) -> tuple[Form, tuple[str, ...]]:
        """The leanest form of the feature that gives these columns, and all columns that it gives."""
        own = dict(zip(self.outputs, self.feature.outputs, strict=True))
        form = self.feature.form(self.options, frozenset(own[column] for column in asked))
        return form, tuple(column for column, output in own.items() if output in form.outputs)

    @property
    def meaning(self) -> tuple[object, ...]:
        """Everything that decides what it computes."""
        return (self.name, self.feature.name, self.options, self.on)


def default_instances(params: Mapping[str, float]) -> dict[str, Instance]:
    """Every feature under its own name, with options from the rule's parameters."""
    return {
        f.name: Instance(f.name, f, tuple(params.get(f"{f.name}_{o.name}", o.default) for o in f.options))
        for f in features.FEATURES
    }


def by_column(instances: Iterable[Instance]) -> dict[str, Instance]:
    """Which instance gives a column."""
    return {output: instance for instance in instances for output in instance.outputs}


def wanted(names: Iterable[str], instances: Mapping[str, Instance]) -> list[Instance]:
    """The instances behind these columns and behind what those are computed on, each after what it needs.

    ``instances`` is by column and free of circles (``circle``).
    """
    found: dict[str, Instance] = {}

    def visit(column: str) -> None:
        instance = instances.get(column)
        if instance is not None and instance.name not in found:
            visit(instance.on)
            found[instance.name] = instance

    for name in names:
        visit(name)
    return list(found.values())


def circle(instance: Instance, instances: Mapping[str, Instance]) -> bool:
    """Whether an instance is computed, in the end, from itself."""
    at, steps = instances.get(instance.on), 0
    while at is not None and steps <= len(instances):
        if at.name == instance.name:
            return True
        at, steps = instances.get(at.on), steps + 1
    return at is not None
