"""Lengths of time: what people write is read, and what is said can be written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.durations import UNITS_S, about, parse_duration, span


@pytest.mark.parametrize(
    ("seconds", "english", "chinese"),
    [
        (0, "0 s", "0 秒"),
        (1.5, "1.5 s", "1.5 秒"),
        (90, "90 s", "90 秒"),
        (600, "10 min", "10 分钟"),
        (5400, "90 min", "90 分钟"),
        (7200, "2 h", "2 小时"),
        (86_400, "1 d", "1 天"),
        (90_000, "25 h", "25 小时"),
    ],
)
def test_a_length_that_was_set_is_said_exactly_in_its_largest_whole_unit(
    seconds: float, english: str, chinese: str
) -> None:
    assert (span(seconds), span(seconds, chinese=True)) == (english, chinese)


@given(st.integers(1, 10**9), st.sampled_from(sorted(UNITS_S)))
def test_what_is_said_can_be_written_in_a_rule(number: int, unit: str) -> None:
    assert parse_duration(span(number * UNITS_S[unit])) == number * UNITS_S[unit]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.04, "0.0 s"),
        (60, "60.0 s"),
        (99.94, "99.9 s"),
        (99.96, "1.7 min"),
        (5990, "99.8 min"),
        (6000, "1.7 h"),
        (43_200, "12.0 h"),
        (190_800, "2.2 d"),
    ],
)
def test_a_length_that_was_measured_has_few_figures(seconds: float, said: str) -> None:
    assert about(seconds) == said
