"""Points by the rules that look at them, and where a point is among those of a rule.

Lanes are a plan's rules, their siblings and what is told beside points. All points with the same lanes are a *band*,
known by one number a point; lanes that have the same bands are a *set* and share what is computed of their rows. For
each pair of a point and a rule nothing is held: a point's slot is how many of the rule's points lie before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rules.kernels import select

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

RARE: Final = 512
"""A list that has less than one point in so many is searched. Bits take a fifth of a byte of every point; finding 8,000
points by them takes 0.04 ms and 0.58 by searching a list of as many, 1,800 points 0.03 and 0.13."""


class Ranks:
    """Places of points in a rising list of them: a bit a point of the registry, and a count for each 64 of them."""

    def __init__(self) -> None:
        self._list = np.zeros(0, np.int32)
        self._words, self._before = np.zeros(0, np.uint64), np.zeros(0, np.int32)

    def grow(self, points: NDArray[np.int32], registry: int) -> None:
        """The list is now ``points`` (what it was is its beginning), of a registry of so many points."""
        known, self._list = len(self._list), points
        if not len(self._words):
            if len(points) * RARE < registry:
                return
            known = 0
        words = -(-registry // select.WORD)
        more = words - len(self._words)
        counted = int(self._before[-1]) + select.bits(self._words[-1]) if len(self._words) else 0
        self._words = np.concatenate([self._words, np.zeros(more, np.uint64)])
        self._before = np.concatenate([self._before, np.full(more, counted, np.int32)])
        select.list_points(points[known:], self._words, self._before)

    def of(self, points: NDArray[np.int32]) -> NDArray[np.int32]:
        """The place of each of some points, all of which are in the list."""
        if not len(self._words):
            return np.searchsorted(self._list, points).astype(np.int32)
        found = np.empty(len(points), np.int32)
        select.rank_points(points, self._words, self._before, found)
        return found

    @property
    def addresses(self) -> tuple[int, int, int, int, int]:
        """Where bits and counts are, of how many words each; where the list is, and its length: for compiled code."""
        words = self._words.ctypes.data, len(self._words), self._before.ctypes.data
        return *words, self._list.ctypes.data, len(self._list)

    @property
    def nbytes(self) -> int:
        """Memory, without that of the list."""
        return self._words.nbytes + self._before.nbytes


class Bands:
    """The band of each point. Band 0 is that of points without lanes."""

    def __init__(self) -> None:
        self.of: NDArray[Any] = np.zeros(0, np.uint8)
        self.lanes: list[tuple[int, ...]] = [()]
        """Of each band."""
        self._known: dict[tuple[int, ...], int] = {(): 0}

    def grow(self, found: Sequence[NDArray[np.int32]], start: int, registry: int) -> None:
        """Points from ``start`` on are those of each lane in ``found`` (rising), of a registry of so many points.

        Codes of points are told apart list by list, so that it costs what the lists are long.
        """
        codes = np.zeros(registry - start, np.int32)
        lanes_of: list[tuple[int, ...]] = [()] if len(codes) else []
        sizes = inside = np.full(1, len(codes), np.int64)
        for points, lanes in _different(found):
            known = len(lanes_of)
            if len(sizes) < 2 * known:
                sizes, inside = np.concatenate([sizes, np.zeros(3 * known, np.int64)]), np.zeros(4 * known, np.int64)
            select.split(points, start, codes, sizes, inside, known)
            for code, split in enumerate(inside[:known].tolist()):
                if split == code:
                    lanes_of[code] += lanes
                elif split >= 0:
                    lanes_of.append(lanes_of[code] + lanes)
        order = np.zeros(len(lanes_of), np.int64)
        select.first_seen(codes, order)
        numbers = np.zeros(len(order), np.int64)
        for code in order.tolist():
            numbers[code] = self._known.setdefault(tuple(sorted(lanes_of[code])), len(self._known))
        self.lanes = list(self._known)
        if len(self.lanes) > 1 << 16:
            raise AssertionError(f"{len(self.lanes)} combinations of rules: more than 16 bits can tell apart")
        width = np.uint8 if len(self.lanes) <= 1 << 8 else np.uint16
        known_of, self.of = self.of, np.empty(registry, width)
        self.of[:start] = known_of[:start]
        select.translate(codes, numbers.astype(width), self.of[start:])

    @property
    def nbytes(self) -> int:
        """Memory."""
        return self.of.nbytes


def _different(found: Sequence[NDArray[np.int32]]) -> list[tuple[NDArray[np.int32], tuple[int, ...]]]:
    """Lists that are not empty, each once, with the lanes that have it."""
    arrays: dict[tuple[int, int], tuple[NDArray[np.int32], list[int]]] = {}
    for lane, points in enumerate(found):
        if len(points):
            arrays.setdefault((points.ctypes.data, len(points)), (points, []))[1].append(lane)
    lists: dict[bytes, tuple[NDArray[np.int32], list[int]]] = {}
    for points, lanes in arrays.values():
        lists.setdefault(points.tobytes(), (points, []))[1].extend(lanes)
    return [(points, tuple(lanes)) for points, lanes in lists.values()]
