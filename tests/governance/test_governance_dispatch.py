"""Who handles an event: the most exact duty, load among equals, joint events, and never nobody."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifeline.governance.actor import Actor
from lifeline.governance.blank import blank_event
from lifeline.governance.dispatch import Duty, Matrix, choose, route
from lifeline.governance.errors import FieldError
from tests.governance.conftest import T0, Hands, raised

ROW = blank_event() | {
    "utility": "gas",
    "asset_kind": "valve-well",
    "area_code": "41010500100101",
    "township": "410105001",
    "district": "410105",
}
WANG = Actor("wang", "dispatcher")


def unit(duties: list[Duty], load: dict[str, int] | None = None, **changed: Any) -> str:
    return route(Matrix(tuple(duties), {"small": 1, "big": 100}), ROW | changed, [], load or {}, {}).unit


def test_the_most_exact_duty_wins() -> None:
    city = Duty("gas", "*", "410100", "City gas")
    district = Duty("gas", "*", "410105", "District gas")
    street = Duty("*", "*", "410105001", "Street office")
    wells = Duty("gas", "valve-well", "410105", "Well crew")
    night = Duty("gas", "*", "410100", "Emergency crew", (), "emergency")

    assert unit([city, district]) == "District gas"
    assert unit([city, district, wells]) == "Well crew"
    assert unit([city, district, wells, street]) == "Street office"
    assert unit([city, district, wells, street, night]) == "Street office"
    assert unit([city, district, wells, street, night], mode="emergency") == "Emergency crew"
    assert unit([city, district], utility="water").startswith("运行管理中心")


def test_equals_share_by_load_and_who_is_full_is_passed_over() -> None:
    equals = [Duty("gas", "*", "410105", "small"), Duty("gas", "*", "410105", "big")]
    wide = Duty("gas", "*", "410100", "City gas")

    assert unit(equals) == "big"
    assert unit(equals, {"big": 10}) == "small"
    assert unit([*equals, wide], {"small": 1, "big": 100}) == "City gas"
    assert unit(equals, {"small": 1, "big": 100}) in {"small", "big"}


def test_the_reason_is_in_both_languages_and_names_the_candidates() -> None:
    found = route(Matrix((Duty("gas", "*", "410105", "A"), Duty("gas", "*", "410105", "B"))), ROW, [], {"A": 3}, {})

    assert found.unit == "B"
    assert "负荷最低" in found.routing["zh"]
    assert "least loaded" in found.routing["en"]
    assert [one["unit"] for one in found.routing["candidates"]] == ["A", "B"]


@given(
    duties=st.lists(
        st.builds(
            Duty,
            st.sampled_from(["*", "gas", "water"]),
            st.sampled_from(["*", "valve-well", "station"]),
            st.sampled_from(["*", "410100", "410105", "410105001", "410102"]),
            st.sampled_from("ABC"),
        ),
        max_size=8,
    ),
    load=st.dictionaries(st.sampled_from("ABC"), st.integers(0, 80)),
)
def test_it_is_never_nobody_and_always_one_that_fits(duties: list[Duty], load: dict[str, int]) -> None:
    matrix = Matrix(tuple(duties))
    found = route(matrix, ROW, [], load, {})
    chosen, _ = choose(matrix, ROW, load)

    assert found.unit
    fitting = [duty for duty in duties if duty.fits(ROW)]
    assert (chosen is not None) == bool(fitting)
    if chosen is not None:
        assert found.unit == chosen.unit
        free = [duty for duty in fitting if load.get(duty.unit, 0) < 50]
        assert not free or chosen.exactness == max(duty.exactness for duty in free)


def load_matrix(hands: Hands) -> None:
    changed = hands.desk.load_reference(
        {
            "units": [{"unit": "金水燃气所", "capacity": 2}, {"unit": "中原供水所", "capacity": 9}],
            "duties": [
                {"utility": "gas", "area_code": "410105", "unit": "金水燃气所", "co_units": "消防救援站, 金水街道办"},
                {"utility": "water", "area_code": "410102", "unit": "中原供水所"},
            ],
            "staff": [
                {"staff_id": "s1", "name": "Zhao", "area_code": "410102001"},
                {"staff_id": "s2", "name": "Qian", "area_code": "410105"},
            ],
            "cameras": [
                {"camera_id": f"c{i}", "name": f"Camera {i}", "lon": 113.69 + 0.001 * i, "lat": 34.79} for i in range(8)
            ],
        }
    )
    assert changed == ["units", "duties", "staff", "cameras"]


def test_a_dispatch_without_a_unit_takes_the_matrix_and_says_why(hands: Hands) -> None:
    load_matrix(hands)
    (event_id,) = hands.apply(raised("ch4.high", 0, T0))
    proposal = hands.desk.propose(event_id)

    event = hands.walk(event_id, ("file", "li", "operator"), ("dispatch", "wang", "dispatcher"))

    assert event["owner"] == proposal["unit"] == "金水燃气所"
    assert event["co_owners"] == "消防救援站, 金水街道办"
    assert event["routing"]["by"] == "matrix"
    assert (
        hands.desk.load_reference(
            {"units": [{"unit": "金水燃气所", "capacity": 2}, {"unit": "中原供水所", "capacity": 9}]}
        )
        == []
    )


def test_a_person_may_overrule_and_the_proposal_stays_on_record(hands: Hands) -> None:
    load_matrix(hands)
    (event_id,) = hands.apply(raised("ch4.high", 0, T0))
    hands.walk(event_id, ("file", "li", "operator"))

    event = hands.desk.act(event_id, "dispatch", WANG, owner="市燃气抢修队")

    assert event["owner"] == "市燃气抢修队"
    assert event["routing"]["proposed"]["unit"] == "金水燃气所"


def test_an_event_in_two_districts_has_a_lead_and_co_units(hands: Hands) -> None:
    load_matrix(hands)
    hands.queue.rules = {**hands.queue.rules}
    from dataclasses import replace

    hands.queue.rules = {name: replace(one, place="zone") for name, one in hands.queue.rules.items()}
    (event_id,) = hands.apply(raised("ch4.high", 0, T0), raised("ch4.high", 2, T0), raised("ch4.high", 1, T0))

    event = hands.walk(event_id, ("file", "li", "operator"), ("dispatch", "wang", "dispatcher"))

    assert event["owner"] == "金水燃气所"
    assert "中原供水所" in event["co_owners"]
    assert "牵头" in event["routing"]["zh"]


def test_nobody_fits_and_the_next_centre_has_it(hands: Hands) -> None:
    (event_id,) = hands.apply(raised("ch4.high", 0, T0))

    event = hands.walk(event_id, ("file", "li", "operator"), ("dispatch", "wang", "dispatcher"))

    assert event["routing"]["by"] == "fallback"
    assert "410" in event["owner"]
    assert event["centre"] in {"410105", "410100"}


def test_load_counts_open_events_and_goes_down_again(hands: Hands) -> None:
    load_matrix(hands)
    ids = hands.apply(*(raised("stuck", 0, T0), raised("stuck", 2, T0), raised("ch4.high", 0, T0)))
    for event_id in ids:
        hands.walk(event_id, ("file", "li", "operator"), ("dispatch", "wang", "dispatcher"))
    assert hands.desk.propose(ids[0])["routing"]["candidates"][0]["open"] == 3

    hands.walk(ids[0], ("return", "li", "operator"), ("cancel", "wang", "dispatcher"))

    assert hands.desk.propose(ids[1])["routing"]["candidates"][0]["open"] == 2


def test_an_event_shows_the_nearest_cameras_and_its_grid_staff(hands: Hands) -> None:
    load_matrix(hands)
    (event_id,) = hands.apply(raised("ch4.high", 1, T0))

    event = hands.desk.get_event(event_id)

    assert [camera["camera_id"] for camera in event["cameras"]] == ["c0", "c1", "c2", "c3", "c4"]
    assert event["cameras"][1]["distance_m"] == pytest.approx(91.4, abs=1)
    assert [one["staff_id"] for one in event["staff"]] == ["s1"]


@pytest.mark.parametrize(
    ("name", "row", "said"),
    [
        ("trees", {}, "no reference table"),
        ("units", {"unit": "x", "colour": "red"}, "row 1: there is no column 'colour'"),
        ("units", {}, "row 1: unit is missing"),
        ("cameras", {"camera_id": "c", "name": "n", "lon": 500.0, "lat": 1.0}, "lon 500.0"),
    ],
)
def test_wrong_reference_data_is_refused_with_its_place(
    hands: Hands, name: str, row: dict[str, Any], said: str
) -> None:
    with pytest.raises(FieldError, match=said):
        hands.desk.load_reference({name: [row]})
