"""Points by the rules that look at them, and where a point is among those of a rule.

Lanes are a plan's rules, their siblings and what is told beside points. All points with the same lanes are a *band*,
known by one number a point; lanes that have the same bands are a *set* and share what is computed of their rows. For
each pair of a point and a rule nothing is held: a point's slot is how many of the rule's points lie before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from rules.kernels import select

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

RARE: Final = 512
"""A list that has less than one point in so many is searched. Bits take a fifth of a byte of every point; finding 8,000
points by them takes 0.04 ms and 0.58 by searching a list of as many, 1,800 points 0.03 and 0.13."""
BITS: Final = 62
"""Lists told apart by one number while bands are found."""


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
        """Points from ``start`` on are those of each lane in ``found`` (rising), of a registry of so many points."""
        lists: dict[bytes, list[int]] = {}
        for lane, points in enumerate(found):
            if len(points):
                lists.setdefault(points.tobytes(), []).append(lane)
        lanes_of = list(lists.values())
        codes, meanings = np.zeros(registry - start, np.int64), self.lanes[:1]
        for first in range(0, len(lanes_of), BITS):
            word = np.zeros(registry - start, np.int64)
            for bit, lanes in enumerate(lanes_of[first : first + BITS]):
                word[found[lanes[0]] - start] |= 1 << bit
            codes, meanings = _combined(codes, meanings, word, lanes_of[first : first + BITS])
        numbers = [self._known.setdefault(lanes, len(self._known)) for lanes in meanings]
        self.lanes = list(self._known)
        width = np.uint8 if len(self.lanes) <= 1 << 8 else np.uint16
        if len(self.lanes) > 1 << 16:
            raise AssertionError(f"{len(self.lanes)} combinations of rules: more than 16 bits can tell apart")
        new = np.array(numbers, np.int64)[codes].astype(width)
        self.of = np.concatenate([self.of[:start].astype(width, copy=False), new])

    @property
    def nbytes(self) -> int:
        """Memory."""
        return self.of.nbytes


def _combined(
    codes: NDArray[np.int64], meanings: list[tuple[int, ...]], word: NDArray[np.int64], lanes_of: list[list[int]]
) -> tuple[NDArray[np.int64], list[tuple[int, ...]]]:
    """Codes of what was found so far and bits of further lists, as codes of both; the lanes of each code."""
    words, bits = _coded(word)
    both, pairs = _coded(codes * len(bits) + words)
    found = []
    for pair in pairs.tolist():
        set_ = int(bits[pair % len(bits)])
        more = [lane for bit, lanes in enumerate(lanes_of) if set_ >> bit & 1 for lane in lanes]
        found.append(tuple(sorted((*meanings[pair // len(bits)], *more))))
    return both, found


def _coded(values: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Codes, and what each means."""
    coded = pa.array(values).dictionary_encode()
    indices: NDArray[np.int64] = coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return indices, coded.dictionary.to_numpy(zero_copy_only=False)
