"""The city has exactly the grids it says, in a sound tree, near the real place."""

from __future__ import annotations

from collections import Counter

import pytest

from lifeline.core.schema import AREAS
from simulators.city import build_city
from simulators.city_names import DISTRICTS


@pytest.fixture(scope="module")
def rows() -> list[dict[str, object]]:
    areas: list[dict[str, object]] = build_city().areas.to_pylist()
    return areas


def test_counts_of_the_real_mix(rows: list[dict[str, object]]) -> None:
    """70,818 grids: 7,876 community, 46,817 micro, 11,381 rural, 4,744 dedicated; 16 management areas."""
    levels = Counter(row["level"] for row in rows)
    grids = Counter(str(row["area_code"])[0] for row in rows if row["level"] == "grid")

    assert levels["community"] == 7_876
    assert levels["microgrid"] == 46_817
    assert grids == {"R": 11_381, "D": 4_744}
    assert levels["community"] + levels["microgrid"] + levels["grid"] == 70_818
    assert levels["district"] == 16
    assert levels["city"] == 1


def test_schema_and_unique_codes(rows: list[dict[str, object]]) -> None:
    codes = [row["area_code"] for row in rows]

    assert build_city().areas.schema == AREAS
    assert len(set(codes)) == len(codes)


def test_every_area_but_the_city_has_a_parent_of_the_right_level(rows: list[dict[str, object]]) -> None:
    level: dict[object, object] = {row["area_code"]: row["level"] for row in rows}
    wanted: dict[str, set[object]] = {
        "city": {None},
        "district": {"city"},
        "township": {"district"},
        "community": {"township"},
        "grid": {"township"},
        "microgrid": {"community"},
    }

    assert all(level.get(row["parent_code"]) in wanted[str(row["level"])] for row in rows)
    assert all(
        str(row["area_code"]).lstrip("RD").startswith(str(row["parent_code"]))
        for row in rows
        if row["level"] not in {"city", "district"}
    )


def test_no_community_is_without_microgrids(rows: list[dict[str, object]]) -> None:
    sizes = Counter(row["parent_code"] for row in rows if row["level"] == "microgrid")

    assert len(sizes) == 7_876
    assert set(sizes.values()) <= {5, 6}


def test_places_are_in_zhengzhou_and_near_their_district(rows: list[dict[str, object]]) -> None:
    """Everything lies within 1.3 radii of the centre of its district."""
    districts = {d.code: d for d in DISTRICTS}
    for row in rows[1:]:
        district = districts[str(row["area_code"]).lstrip("RD")[:6]]
        km = (((row["lon"] - district.lon) * 0.82) ** 2 + (row["lat"] - district.lat) ** 2) ** 0.5 * 111.2  # type: ignore[operator]
        assert km < 1.3 * district.radius_km + 0.5
