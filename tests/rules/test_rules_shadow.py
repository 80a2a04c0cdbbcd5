"""The difference between a candidate and production: against a naive twin, and how candidates are declared."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifeline.core.errors import ConfigurationError
from rules.rule_set import RuleSet
from rules.shadow import compare


def alarm(rule: str, point: int, start: int, length: int | None) -> dict[str, Any]:
    return {
        "alarm_id": f"{rule}-{point}-{start}", "rule_id": rule, "rule_version": 1, "point": point, "raised_at": start,
        "detected_at": start + 2, "cleared_at": None if length is None else start + length, "value": 1.0,
        "level": "blue",
    }  # fmt: skip


def alarms(rule: str, drawn: list[tuple[int, int, int | None]]) -> list[dict[str, Any]]:
    """Alarms of one rule at one point never overlap: each ends before the next begins, and one without end is last."""
    found, free = [], Counter[int]()
    for point, wait, length in drawn:
        if free[point] >= 0:
            start = free[point] + wait
            found.append(alarm(rule, point, start, length))
            free[point] = -1 if length is None else start + length + 1
    return found


DRAWN = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 9), st.one_of(st.none(), st.integers(0, 9))), max_size=9)


@given(DRAWN, DRAWN)
def test_every_alarm_of_both_is_counted_once(mine: list[Any], theirs: list[Any]) -> None:
    candidates, production = alarms("c.new", mine), alarms("p.old", theirs)
    ((one,), differences) = compare({"c.new": "p.old"}, {"c.new": 0}, candidates, production, 10**6)
    assert one.same + one.times + one.raised == len(candidates)
    assert one.same + one.times + one.missed == len(production)
    assert len(differences) == one.raised + one.missed + one.times
    lonely = [
        a for a in candidates
        if not any(
            a["point"] == b["point"]
            and a["raised_at"] <= (b["cleared_at"] or 10**9) and b["raised_at"] <= (a["cleared_at"] or 10**9)
            for b in production
        )
    ]  # fmt: skip
    told = {row["alarm_id"] for row in differences if row["difference"] == "raised"}
    assert {a["alarm_id"] for a in lonely} <= told
    ((same,), nothing) = compare({"c": "c"}, {"c": 0}, alarms("c", mine), alarms("c", mine), 10**6)
    assert (same.same, nothing) == (len(candidates), [])


def test_what_stood_before_the_candidate_began_is_not_missed_and_what_is_newer_waits() -> None:
    production = [alarm("p.old", 0, 0, None), alarm("p.old", 1, 500, None)]
    ((one,), rows) = compare({"c.new": "p.old"}, {"c.new": 100}, [alarm("c.new", 0, 100, None)], production, 400)
    assert (one.same, one.raised, one.missed, one.times) == (0, 0, 0, 1)
    assert rows[0]["production_raised_at"] == 0
    assert compare({"c.new": "p.old"}, {"c.new": 100}, [], production, 400)[1] == []


def test_candidates_are_apart_from_production_and_fire_the_same(kit: Any) -> None:
    text = kit.rule() + kit.rule(version="2", shadow="true") + kit.rule(id='"a.b"', shadow='"gas.ch4.high"')
    rules = RuleSet.parse(text)
    assert [(one.id, one.version) for one in rules.rules] == [("gas.ch4.high", 1)]
    assert [(one.id, one.shadow) for one in rules.shadow] == [("a.b", "gas.ch4.high"), ("gas.ch4.high", "gas.ch4.high")]
    assert rules.fingerprint == RuleSet.parse(kit.rule()).fingerprint
    assert set(rules.info()) == {"gas.ch4.high"}
    assert rules.candidates.rules == rules.shadow


def test_a_candidate_that_cannot_be_compared_is_refused(kit: Any) -> None:
    text = kit.rule() + kit.rule(shadow="true") + kit.rule(id='"a.b"', shadow='"gas.ch4.hihg"')
    text += kit.rule(id='"a.c"', shadow="3") + kit.rule(id='"a.b"', shadow="true", cause="")
    with pytest.raises(ConfigurationError) as caught:
        RuleSet.parse(text, "gas.toml")
    found = {problem.key: problem.remedy for problem in caught.value.problems}
    assert found["rule gas.ch4.high.version"] == "version = 2"
    assert found["rule a.b.shadow"] == "did you mean gas.ch4.high?"
    assert found["rule a.c.shadow"].startswith("shadow = true")
    assert "ISA-18.2" in found["rule a.b.cause"]
    many = "".join(kit.rule(id=f'"a.b{k}"', shadow="true") for k in range(17))
    with pytest.raises(ConfigurationError, match="more than 16 shadow rules"):
        RuleSet.parse(many)
