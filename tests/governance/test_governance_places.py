"""Places by point: fall-backs, titles, and a registry that grows."""

from __future__ import annotations

import pytest

from lifeline.governance.places import Place, PlaceLookup
from tests.governance.conftest import registry, rule


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("device", ("device", "G00000")),
        ("asset", ("asset", "V-0")),
        ("zone", ("zone", "Z-1")),
        ("gateway", ("device", "G00000")),
        ("area", ("area", "410105")),
        ("planet", ("device", "G00000")),
    ],
)
def test_key_is_the_kind_asked_for_or_the_device(kind: str, key: tuple[str, str]) -> None:
    place = PlaceLookup(registry).of([0])[0]

    row = ("G00000", "ch4", "gas", "410105", "V-0", "Z-1", None, 113.68, 34.79, "valve-well")
    assert place == Place(*row, district="410105")
    assert place.key(kind) == key


def test_a_title_names_place_and_area_once() -> None:
    lookup = PlaceLookup(registry)
    places = lookup.of([0, 1, 77])

    assert lookup.title(rule("r", "red"), places[0]) == "甲烷red / Methane red · V-0 · 金水区"
    assert lookup.title(rule("r", "red", place="area"), places[0]) == "甲烷red / Methane red · 金水区"
    assert lookup.title(rule("r", "red"), places[1]) == "甲烷red / Methane red · G00001 · 410102001"
    assert lookup.title(rule("r", "red"), places[77]) == "甲烷red / Methane red · point-77"


def test_the_registry_is_asked_again_only_for_points_beyond_it() -> None:
    sizes = iter([2, 6])
    asked = []

    def current() -> object:
        asked.append(next(sizes))
        return registry(asked[-1])

    lookup = PlaceLookup(current)  # type: ignore[arg-type]

    assert lookup.of([]) == {}
    assert asked == []
    assert lookup.of([1, 0, 1])[1].device_id == "G00001"
    assert lookup.of([0])[0].device_id == "G00000"
    assert asked == [2]
    assert lookup.of([5, 0])[5].device_id == "G00005"
    assert asked == [2, 6]
