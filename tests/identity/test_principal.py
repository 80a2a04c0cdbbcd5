"""Rights add up from grants, and narrowing never adds any."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifeline.core.principal import Grant, Principal, area_prefixes, narrowed

AREAS = ("410100", "410102", "4101020010", "R4101020010001", "D410105001", "410105", "420000", "411000")
UTILITIES = ("gas", "water", "heat")

codes = st.sampled_from(("", *AREAS))
grants = st.builds(
    Grant,
    st.sampled_from(("viewer", "operator", "auditor", "reporter")),
    st.lists(st.sampled_from(AREAS), max_size=3, unique=True).map(tuple),
    st.lists(st.sampled_from(UTILITIES), max_size=2, unique=True).map(tuple),
)


@pytest.mark.parametrize(
    ("area", "code", "inside"),
    [
        ("410102", "410102001001", True),
        ("410102", "R4101020010001", True),
        ("410102", "D4101020010001", True),
        ("410102", "410105001", False),
        ("410100", "410105001", True),
        ("410000", "410105001", True),
        ("411000", "411024001", True),
        ("411000", "411124001", False),
        ("410102", None, False),
    ],
)
def test_an_area_takes_in_what_lies_below_it(area: str, code: str | None, inside: bool) -> None:
    assert Grant("viewer", (area,)).covers(code, "gas") is inside


@given(
    st.lists(grants, max_size=4),
    st.lists(st.sampled_from(AREAS), max_size=3).map(tuple),
    st.lists(st.sampled_from(UTILITIES), max_size=2).map(tuple),
    codes,
    st.sampled_from((None, *UTILITIES)),
)
def test_narrowing_takes_away_and_never_adds(
    held: list[Grant], areas: tuple[str, ...], utilities: tuple[str, ...], code: str, utility: str | None
) -> None:
    left = Principal("x", narrowed(held, ("viewer", "operator"), areas, utilities))
    whole = Principal("x", tuple(held))
    code_or_none = code or None
    limit = Grant("any", areas, utilities)
    expected = {
        role
        for role in whole.roles_at(code_or_none, utility)
        if role in {"viewer", "operator"} and limit.covers(code_or_none, utility)
    }
    assert set(left.roles_at(code_or_none, utility)) == expected


def test_who_only_reports_sees_nothing() -> None:
    reporter = Principal("portal", (Grant("reporter"),))
    assert not reporter.sees("410102", "gas")
    assert reporter.scope() == ()
    assert Principal("all", (Grant("viewer"), Grant("operator", ("410102",)))).scope() is None
    assert area_prefixes("410100") == ("4101", "R4101", "D4101")
