"""A number or text where a condition must stand is told as that, with what to write; nothing else is taken for it."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.conditions import parse

COLUMNS = {
    "value": pl.Float64(),
    "late": pl.Float64(),
    "quality": pl.Float64(),
    "utility": pl.String(),
    "lead": pl.Boolean(),
}
LATE = ("late is a number where a condition must stand", "compare it, e.g. late = 1 or late > 0")


@pytest.mark.parametrize(
    "text",
    [
        "late",
        "quality = 2 OR late",
        "(late) AND value > 1",
        "late AND lead",
        "NULL OR late OR late",
        "NOT (lead OR (late))",
        "value BETWEEN 1 AND 2 AND late",
        "value IS NULL AND late",
        "CASE WHEN late THEN value > 1 ELSE FALSE END",
        "lead AND CASE WHEN value > 1 AND late THEN TRUE END",
    ],
)
def test_a_name_of_a_number_is_told_with_what_to_write(text: str) -> None:
    assert parse(text, COLUMNS)[1] == [LATE]


@pytest.mark.parametrize(
    ("text", "message", "remedy"),
    [
        ("value + 1 OR late = 1", "value + 1 is a number", "compare it, e.g. value + 1 > 0"),
        ("ABS(value - 1) AND late = 1", "ABS(value - 1) is a number", "compare it, e.g. ABS(value - 1) > 0"),
        ("value > 3 AND 5", "5 is a number", "compare something with it, e.g. value > 5"),
        ("utility OR late = 1", "utility is text", "compare it, e.g. utility = '…'"),
        ("lead OR 'gas'", "'gas' is text", "compare something with it, e.g. utility = 'gas'"),
    ],
)
def test_so_are_sums_written_numbers_and_text(text: str, message: str, remedy: str) -> None:
    assert parse(text, COLUMNS)[1] == [(f"{message} where a condition must stand", remedy)]


def test_each_of_them_is_told() -> None:
    assert [message.split()[0] for message, _ in parse("late AND (quality OR value)", COLUMNS)[1]] == [
        "late", "quality", "value",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "value BETWEEN late AND quality",
        "(value > 1) = (late = 1)",
        "value IN (late, 2) OR lead",
        "CASE late WHEN 1 THEN TRUE ELSE FALSE END",
        "NOT lead AND TRUE",
    ],
)
def test_what_is_right_is_not_refused(text: str) -> None:
    assert parse(text, COLUMNS)[1] == []


@pytest.mark.parametrize("text", ["((late)", "late)", "value >", "lead OR", "NOT", "CASE WHEN THEN"])
def test_what_is_wrong_otherwise_is_told_otherwise(text: str) -> None:
    faults = parse(text, COLUMNS)[1]
    assert faults
    assert not any("must stand" in message for message, _ in faults)


WORDS = "late value lead utility 1 'x' AND OR NOT ( ) = > BETWEEN CASE WHEN THEN END IS NULL + ABS ,".split()  # noqa: SIM905 - reads as prose


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=12))
def test_no_text_ends_in_a_traceback(words: list[str]) -> None:
    _, faults = parse(" ".join(words), COLUMNS)
    assert all(message and remedy for message, remedy in faults)
