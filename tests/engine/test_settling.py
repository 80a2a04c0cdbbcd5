"""A start is over a while after the rules have caught up once, or after a minute; others follow in between."""

from types import SimpleNamespace
from typing import Any

from lifeline.app.settling import BEHIND_MAX, FIRST_MS, REST_MS, WAIT_MS, Settling


def parts(committed: int = 1000) -> tuple[list[int], Any, Any, Settling]:
    now, log, rules = [0], SimpleNamespace(committed=committed), SimpleNamespace(is_open=False, position=committed)
    return now, log, rules, Settling(lambda: now[0], log, rules)  # type: ignore[arg-type]


def test_it_is_over_once_the_rules_are_open_and_have_caught_up() -> None:
    now, log, rules, settling = parts()
    done: list[int] = []
    chore = settling.then(lambda: done.append(log.committed))
    chore()
    rules.is_open, rules.position = True, log.committed - BEHIND_MAX - 1
    chore()
    assert done == []
    assert not settling.others()
    rules.position += 1
    assert settling.others()
    chore()
    now[0] += REST_MS - 1
    chore()
    assert done == []
    now[0] += 1
    chore()
    log.committed += 10_000  # behind again: the start stays over
    chore()

    assert done == [1000, 11_000]


def test_nobody_waits_longer_than_a_minute() -> None:
    now, _, _, settling = parts()
    now[0] = FIRST_MS - 1
    assert not settling.others()
    now[0] += 1
    assert settling.others()
    now[0] = WAIT_MS - 1
    assert not settling.over()
    now[0] += 1
    assert settling.over()
