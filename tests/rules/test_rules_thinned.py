"""What is left of a thinned history, against a naive twin."""

from __future__ import annotations

import itertools
import math
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifeline.core.schema import Flag
from rules import thinned
from rules.kernels import thinned as kernel
from rules.thinned import Thinned, Thinning

if TYPE_CHECKING:
    from lifeline.core.batch import Readings

POINTS = 6


def drawn(kit: Any, rng: random.Random, sizes: list[int]) -> list[Readings]:
    """Pieces in the order of receipt, with gaps of all lengths."""
    received, pieces = 1_000_000, []
    for size in sizes:
        rows = []
        for _ in range(size):
            received += rng.choice([0, 0, 0, 500, 9_999, 10_000, 10_001, 19_000, 20_000, 20_001, 90_000])
            flags = int(Flag.DUPLICATE) if rng.random() < 0.1 else 0
            value, quality = rng.choice([1.5, 2.5, None]), rng.choice([0, 0, 1, 2])
            rows.append((rng.randrange(POINTS), received - rng.randrange(9), received, value, quality, flags))
        pieces.append(kit.readings(rows))
    return pieces


def naive(pieces: list[Readings], told: set[int], counted: set[int]) -> tuple[list[tuple[Any, ...]], list[int]]:
    """Rows of told points with how many counted ones were left out before, and what was left out in all."""
    rows, counts = [], [0, 0, 0, 0]
    for piece in pieces:
        columns = (piece.point, piece.ts, piece.received_at, piece.value, piece.quality, piece.flags)
        for p, t, received, v, quality, flags in zip(*(column.tolist() for column in columns), strict=True):
            if p in told:
                rows.append((p, t, received, v, quality, flags, counts[3]))
            elif flags & Flag.DUPLICATE:
                counts[0] += 1
            elif quality >= 2:
                counts[1] += 1
            elif math.isnan(v):
                counts[2] += 1
            else:
                counts[3] += p in counted
    return rows, counts


@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.integers(0, 10**9), st.integers(1, 60))
def test_rows_that_are_told_and_counts_of_the_rest(kit: Any, sizes: list[int], seed: int, cut: int) -> None:
    """Whatever the pieces. Others may be told too, so that times at which nothing is heard stay the same."""
    rng = random.Random(seed)
    pieces = drawn(kit, rng, sizes)
    told, counted = set(rng.sample(range(POINTS), 2)), set(rng.sample(range(POINTS), 3))
    of = np.isin(np.arange(POINTS), list(told)), np.isin(np.arange(POINTS), list(counted - told))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(thinned, "BATCH_ROWS", cut)
        batches = list(Thinning(*of).batches(pieces))
    expected, counts = naive(pieces, told, counted)
    found, left_out, extra = [], np.zeros(4, np.int64), [0, 0, 0, 0]
    for batch in batches:
        columns = (batch.point, batch.ts, batch.received_at, batch.value, batch.quality, batch.flags, batch.before)
        for p, t, received, v, quality, flags, before in zip(*(c.tolist() for c in columns), strict=True):
            among = before + int(left_out[kernel.USABLE]) + extra[3]
            if p in told:
                found.append((p, t, received, v, quality, flags, among))
            else:  # whoever takes it in counts it himself
                usable = not flags & Flag.DUPLICATE and quality < 2 and not math.isnan(v)
                kind = 0 if flags & Flag.DUPLICATE else 1 if quality >= 2 else 2
                extra[3 if usable else kind] += p in counted if usable else 1
        left_out += batch.left_out
    assert repr(found) == repr(expected)
    assert (left_out + extra).tolist() == counts
    whole, left = (np.concatenate([one.received_at for one in those]) for those in (pieces, batches))
    assert gaps(left) == gaps(whole)
    assert (left[0], left[-1]) == (whole[0], whole[-1])
    assert all(a.received_at[-1] < b.received_at[0] for a, b in itertools.pairwise(batches))
    assert not any(batch.value.flags.writeable for batch in batches)


def gaps(received: Any) -> list[tuple[int, int]]:
    """Longer than the least patience of ``rules/deaf.py``."""
    return [(a, b) for a, b in itertools.pairwise(received.tolist()) if b - a > 2 * kernel.APART_MS]


def test_a_history_of_nobody_has_its_ends(kit: Any) -> None:
    rows = [(p, k, 1_000 * k, 1.0) for k in range(5) for p in range(3)]
    none, all_ = np.zeros(3, np.bool_), np.ones(3, np.bool_)
    found = Thinning(none, all_).of(kit.readings(rows))
    assert isinstance(found, Thinned)
    assert (len(found), found.left_out.tolist()) == (2, [0, 0, 0, 13])
    assert Thinning(none, none).of(kit.readings(rows)).left_out.tolist() == [0, 0, 0, 0]
