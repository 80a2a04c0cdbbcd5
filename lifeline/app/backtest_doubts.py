"""What a backtest cannot judge, said aloud: silence must not look like a clean bill of health.

Each doubt is one sentence in English and one in Chinese, with the place and what to do about it.
"""

from __future__ import annotations

import difflib
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import numpy as np

from lifeline.core.errors import ConfigurationError, Problem
from rules import conditions
from rules.census import Census
from rules.named import about
from rules.vocabulary import FOREIGN

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from lifeline.core.registry import Registry
    from rules.rule_set import RuleSet

SHOWN: Final = 5
"""Groups named of one rule, kinds, and quantities of a kind."""
NEAR: Final = 0.75
"""How alike two names are (difflib) of which one may be meant by the other."""


NOTHING: Final = "the period holds no readings: check --from and --to (所选时段内没有读数，请检查 --from 和 --to)"

VALUELESS: Final = (
    "no reading that a rule looks at has a value and is not of bad quality: look at these columns "
    "(规则所评判的读数均无有效数值，请检查数值列和质量列)"
)


def unjudged(span: tuple[int, int] | None, train_to: int | None) -> list[str]:
    """Doubts about a period (first and last time of receipt) and the end of its training (epoch ms).

    Raises:
        ConfigurationError: nothing is left to judge.
    """
    if span is None:
        return [NOTHING]
    first, last = span
    if train_to is None or first < train_to <= last:
        return []
    between = f"{_iso(first)} .. {_iso(last)}"
    if train_to > last:
        message = (
            f"{_iso(train_to)} is after the last reading: nothing is left to judge (晚于最后一条读数，没有可评判的数据)"
        )
        remedy = f"give a time within {between}, or leave it out (请取该时段内的时间，或省略此项)"
        raise ConfigurationError([Problem("command line", "--train-to", message, remedy)])
    doubt = (
        f"--train-to: {_iso(train_to)} is not after the first reading: nothing is learned as normal before it; "
        f"give a time within {between} (不晚于第一条读数，没有可学习的正常时段，请取该时段内的时间)"
    )
    return [doubt]


def unlearned(learning: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Doubts about rules whose normal period was not over at the end, by rule: groups and the frames that they had."""
    return [
        f"rule {rule}: {len(groups)} groups were never judged, their normal period was not over "
        f"({', '.join(f'{name}: {frames} frames' for name, frames in list(groups.items())[:SHOWN])}); "
        "give --train-to, or more history (正常时段未结束，该规则从未评判，请给出 --train-to 或更长的历史)"
        for rule, groups in learning.items()
    ]


def unwatched(rules: RuleSet, registry: Registry) -> list[str]:
    """Doubts about points at which no rule about the process looks: kinds misspelt, quantities called otherwise."""
    census = Census(registry)
    seen = np.zeros(len(registry), bool)
    for rule in rules.rules:
        if rule.category == "process" and rule.evaluate in {"reading", "group"}:
            seen[census.points(rule.where)] = True
    watched: dict[str | None, set[str]] = {}
    missed: dict[str | None, Counter[str]] = {}
    quantities = (registry.quantities[of] for of in registry.point_quantity)
    for kind, quantity, looked in zip(registry.column("kind"), quantities, seen.tolist(), strict=True):
        if looked:
            watched.setdefault(kind, set()).add(quantity)
        else:
            missed.setdefault(kind, Counter())[quantity] += 1
    doubts = []
    for kind, names in sorted(missed.items(), key=lambda item: -item[1].total())[:SHOWN]:
        if kind is None:
            doubts.append(
                f"{names.total()} points have no kind in the registry, no rule about the process looks at them: fill "
                f"its column kind ({', '.join(sorted(FOREIGN))}, …) (登记表缺少 kind，没有过程类规则评判这些测点)"
            )
            continue
        known = sorted({*FOREIGN, "heat-meter", *(name for name in watched if name)})
        called = _called(names, watched.get(kind, set()))
        if kind in watched:
            doubts.append(
                f"kind {kind!r}: no rule about the process looks at {names.total()} of its points: {called} "
                "(没有过程类规则评判这些测点，若应评判请改名)"
            )
        else:
            near = f"; {called}" if kind in known else f"; {conditions.nearest(kind, known)}"
            doubts.append(
                f"kind {kind!r}: no rule about the process looks at its {names.total()} points{near} "
                "(没有过程类规则评判这类测点)"
            )
    return doubts


def unfindable(truth: pa.Table, registry: Registry, first_ms: int, last_ms: int) -> list[str]:
    """Doubts about labels that no alarm can meet: they count as missed all the same.

    ``truth`` has times as epoch milliseconds; judged was from ``first_ms`` to ``last_ms``.
    """
    if not truth.num_rows:
        return ["--truth: the file labels no fault: recall and precision say nothing (标注文件中没有故障)"]
    devices, quantities = set(registry.devices), set(registry.quantities)
    strange: list[str] = []
    outside: list[str] = []
    empty: list[str] = []
    for row in truth.select(["fault_id", "device_id", "quantity", "start", "end"]).to_pylist():
        device, quantity = row["device_id"], row["quantity"]
        if (device is not None and device not in devices) or (quantity is not None and quantity not in quantities):
            strange.append(f"{row['fault_id']}: {device or 'any device'}/{quantity or 'any quantity'}")
        elif row["end"] == row["start"]:
            empty.append(row["fault_id"])
        elif row["end"] <= first_ms or row["start"] > last_ms:
            outside.append(row["fault_id"])
    said = []
    if strange:
        said.append(
            f"--truth: {len(strange)} faults are at points that the registry lacks, and count as missed "
            f"({', '.join(strange[:SHOWN])}) (标注的测点不在登记表中，计为漏报)"
        )
    if empty:
        said.append(
            f"--truth: {len(empty)} faults end as they start, an end is not part of its fault, and count as missed "
            f"({', '.join(empty[:SHOWN])}) (标注的起止时刻相同，计为漏报)"
        )
    if outside:
        between = f"{_iso(first_ms)} .. {_iso(last_ms)}"
        said.append(
            f"--truth: {len(outside)} faults lie outside of what was judged, {between}, and count as missed "
            f"({', '.join(outside[:SHOWN])}) (标注的故障不在评判时段内，计为漏报)"
        )
    return said


def _called(names: Counter[str], watched: set[str]) -> str:
    """Quantities that nobody looks at, what each is called after, and how one would be called that is looked at."""
    told = []
    for name, _ in names.most_common(SHOWN):
        subject, near = about(name), difflib.get_close_matches(name, watched, n=1, cutoff=NEAR)
        hints = [f"called after {subject}"] if subject else []
        told.append(f"{name} ({', '.join([*hints, *(f'did you mean {one}?' for one in near)])})".replace(" ()", ""))
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    right = min(watched, default="value")
    return f"{', '.join(told)}{more}; one that is to be looked at needs a name like {right}"


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
