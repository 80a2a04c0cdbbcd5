"""Bands, ranks and the rows of sets against what looking at each point and row gives."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules import bands, chosen
from rules.bands import Bands, Ranks
from rules.chosen import Arranged, Chosen

LANES = 70

membership = st.lists(st.sets(st.integers(0, LANES - 1), max_size=4), max_size=60)
"""The lanes of each point."""


def lists_of(points: list[set[int]], start: int) -> list[np.ndarray[Any, np.dtype[np.int32]]]:
    return [np.array([p for p in range(start, len(points)) if lane in points[p]], np.int32) for lane in range(LANES)]


@settings(max_examples=60, deadline=None)
@given(membership, membership)
def test_a_band_is_the_lanes_of_its_points(first: list[set[int]], more: list[set[int]]) -> None:
    made = Bands()
    made.grow(lists_of(first, 0), 0, len(first))
    made.grow(lists_of(first + more, len(first)), len(first), len(first + more))
    assert [set(made.lanes[band]) for band in made.of.tolist()] == first + more
    assert len(set(made.lanes)) == len(made.lanes)
    assert made.lanes[0] == ()


def test_bands_of_more_than_a_byte() -> None:
    points = [{k for k in range(10) if p >> k & 1} for p in range(1 << 10)]
    made = Bands()
    for before, end in ((0, 200), (200, 1 << 10)):
        made.grow(lists_of(points[:end], before), before, end)
        assert [set(made.lanes[band]) for band in made.of.tolist()] == points[:end]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sets(st.integers(0, 299)), max_size=3), st.sampled_from([1, 50]))
def test_ranks_are_places_in_the_list(parts: list[set[int]], rare: int) -> None:
    made, points, size = Ranks(), np.zeros(0, np.int32), 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bands, "RARE", rare)
        for part in parts:
            new = np.array(sorted(size + p for p in part), np.int32)
            points, size = np.concatenate([points, new]), size + 300
            made.grow(points, size)
            asked = points[::-1].copy()
            assert made.of(asked).tolist() == np.searchsorted(points, asked).tolist()


@settings(max_examples=60, deadline=None)
@given(membership.filter(bool), st.data(), st.sampled_from([1, 8]))
def test_rows_of_a_lane_are_found(points: list[set[int]], data: st.DataObject, merged_max: int) -> None:
    made = Bands()
    made.grow(lists_of(points, 0), 0, len(points))
    point = np.array(data.draw(st.lists(st.integers(0, len(points) - 1), max_size=80)), np.int32)
    rows: Any = SimpleNamespace(point=point, value=np.arange(len(point)) / 2.0, readings=None)
    layout = np.array(data.draw(st.permutations(range(1, len(made.lanes)))), np.int64)
    arranged = Arranged(rows, made, layout)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chosen, "MERGED_MAX", merged_max)
        for lane, mine in enumerate(lists_of(points, 0)):
            expected = [i for i, p in enumerate(point.tolist()) if lane in points[p]]
            its = [band for band in layout.tolist() if lane in made.lanes[band]]
            ranks = Ranks()
            ranks.grow(mine, len(points))
            spans = arranged.spans(its, joined=True)
            assert sum(end - start for start, end in spans) == len(expected)
            if not spans:
                continue
            ordered = Chosen.placed(arranged, arranged.spans(its, joined=False), ranks)
            assert ordered.places.tolist() == expected
            assert ordered.slots.tolist() == np.searchsorted(mine, point[expected]).tolist()
            loose = Chosen(arranged, spans, ranks)
            assert sorted(loose.places.tolist()) == expected
            assert loose.column("value").tolist() == [i / 2 for i in loose.places.tolist()]
            for p in set(point[expected].tolist()):  # within a point rows keep their order
                assert [i for i in loose.places.tolist() if point[i] == p] == [i for i in expected if point[i] == p]
            assert loose.of(ordered, ordered.column("value")).tolist() == loose.column("value").tolist()
            other = [band for band in its if band % 2]  # some of the rows alone: NaN at the others
            if arranged.spans(other, joined=False):
                part = Chosen.placed(arranged, arranged.spans(other, joined=False), ranks)
                beside = loose.of(part, part.column("value"))
                known = np.isin(made.of[point[loose.places]], other)
                np.testing.assert_array_equal(beside, np.where(known, loose.column("value"), np.nan))
