"""What candidates would have changed: their alarms against those of the production rules they are compared with. Pure.

Two alarms at one point are the same when they stood at the same time, however little; each counts once, in the order of
their onset. What is the same in both and began and ended alike is no difference::

    raised   the candidate alone              missed   production alone              times   both, but not from or to
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Row = dict[str, Any]

DIFFERENCES: Final = ("raised", "missed", "times")


class Compared(NamedTuple):
    """One candidate: how many alarms were the same, and how many of each difference."""

    rule_id: str
    against: str
    since: int
    """Epoch ms of log time: what was detected earlier is not compared."""
    same: int
    raised: int
    missed: int
    times: int


def compare(
    against: Mapping[str, str],
    since: Mapping[str, int],
    candidates: Iterable[Row],
    production: Iterable[Row],
    until: int,
) -> tuple[list[Compared], list[Row]]:
    """Figures of each candidate, and every difference detected from its ``since`` up to ``until`` (log time, epoch ms).

    Alarms have ``alarm_id rule_id rule_version point raised_at detected_at cleared_at value level``; ``production`` may
    hold older ones, which are the same as what a candidate raised at its beginning. A difference has the candidate's or
    (missed) production's, ``rule_id`` of the candidate, ``against``, ``difference`` and ``production_raised_at
    production_cleared_at production_alarm_id``; sorted by onset.
    """
    mine, theirs = _by_rule(candidates, until), _by_rule(production, until)
    figures: list[Compared] = []
    found: list[Row] = []
    for rule_id, start in sorted(since.items()):
        other = against[rule_id]
        counts = dict.fromkeys(("same", *DIFFERENCES), 0)
        for one, two in _pairs(mine.get(rule_id, ()), theirs.get(other, ())):
            kind = _difference(one, two)
            if (one or two or {})["detected_at"] < start:
                continue
            counts[kind or "same"] += 1
            if kind is not None:
                found.append(_told(rule_id, other, kind, one, two))
        figures.append(Compared(rule_id, other, start, **counts))
    return figures, sorted(found, key=lambda row: (row["raised_at"], row["rule_id"], row["alarm_id"]))


def _by_rule(rows: Iterable[Row], until: int) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row["detected_at"] <= until:
            found.setdefault(row["rule_id"], []).append(row)
    return found


def _pairs(mine: Iterable[Row], theirs: Iterable[Row]) -> list[tuple[Row | None, Row | None]]:
    """Alarms of both that stood at one point at one time, and those that had none of the other side."""
    waiting: dict[int, list[Row]] = {}
    for row in sorted(theirs, key=_onset):
        waiting.setdefault(row["point"], []).append(row)
    pairs: list[tuple[Row | None, Row | None]] = []
    for row in sorted(mine, key=_onset):
        at_point = waiting.get(row["point"], [])
        place = next((k for k, other in enumerate(at_point) if _overlap(row, other)), None)
        pairs.append((row, None if place is None else at_point.pop(place)))
    return pairs + [(None, row) for rows in waiting.values() for row in rows]


def _onset(row: Row) -> tuple[int, str]:
    return row["raised_at"], row["alarm_id"]


def _overlap(one: Row, two: Row) -> bool:
    return bool(one["raised_at"] <= _end(two) and two["raised_at"] <= _end(one))


def _end(row: Row) -> float:
    return math.inf if row["cleared_at"] is None else float(row["cleared_at"])


def _difference(one: Row | None, two: Row | None) -> str | None:
    if one is None or two is None:
        return "missed" if one is None else "raised"
    alike = (one["raised_at"], one["cleared_at"]) == (two["raised_at"], two["cleared_at"])
    return None if alike else "times"


def _told(rule_id: str, against: str, kind: str, one: Row | None, two: Row | None) -> Row:
    row = one or two or {}
    told = {name: row[name] for name in ("alarm_id", "rule_version", "point", "raised_at", "detected_at")}
    told |= {name: row[name] for name in ("cleared_at", "value", "level")}
    told |= {"rule_id": rule_id, "against": against, "difference": kind}
    other = two or {}
    return told | {
        "production_alarm_id": other.get("alarm_id"),
        "production_raised_at": other.get("raised_at"),
        "production_cleared_at": other.get("cleared_at"),
    }
