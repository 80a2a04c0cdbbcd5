"""Rows of a batch laid out by band: which rules look at which of them, and what siblings are beside."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rules import vocabulary
from rules.chosen import Arranged, Chosen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from rules.bands import Ranks
    from rules.bound import BoundRule
    from rules.memory import Sibling


class Set(NamedTuple):
    """Lanes that look at the same points, and the bands of these in the order of the layout."""

    lanes: list[int]
    bands: list[int]
    ranks: Ranks


class Selected(NamedTuple):
    """A rule with the rows it looks at, and the columns of its siblings."""

    rule: BoundRule
    rows: Chosen
    siblings: dict[str, NDArray[np.float64]]


class Laid:
    """One batch. Made by ``Plan.lay``."""

    def __init__(self, arranged: Arranged, rules: Sequence[BoundRule], set_of: dict[int, Set], *, placed: bool) -> None:
        """``set_of``: by lane, of which those of rules come first."""
        self.arranged = arranged
        self._rules, self._set_of, self._placed = rules, set_of, placed
        self._found: dict[int, dict[str, tuple[Chosen, NDArray[np.float64]]]] = {}

    def move(self, r: int, sibling: Sibling, of: Set) -> None:
        """Move a sibling of a rule on over the rows of its set."""
        spans = self.arranged.spans(of.bands, joined=False)
        if not spans:
            return
        rows = Chosen.placed(self.arranged, spans, of.ranks)
        found = sibling.compute(rows.slots, rows.column("ts"), rows.column("value"))
        self._found.setdefault(r, {})[vocabulary.SIBLING + sibling.quantity] = rows, found

    def select(self, wanted: Iterable[int]) -> list[Selected]:
        """Of the rules at these places in the plan those that look at any of the rows, each with its rows."""
        found: list[Selected] = []
        chosen: dict[int, Chosen | None] = {}
        for r in wanted:
            one = self._set_of.get(r)
            if one is None:
                continue
            first = one.lanes[0]
            if first not in chosen:
                chosen[first] = self._rows_of(one)
            mine = chosen[first]
            if mine is not None:
                beside = {name: mine.of(*pair) for name, pair in self._found.get(r, {}).items()}
                found.append(Selected(self._rules[r], mine, beside))
        return found

    def _rows_of(self, one: Set) -> Chosen | None:
        spans = self.arranged.spans(one.bands, joined=not self._placed)
        if not spans:
            return None
        return (Chosen.placed if self._placed else Chosen)(self.arranged, spans, one.ranks)

    def beside(self, r: int, name: str) -> tuple[int, NDArray[np.float64]] | None:
        """A sibling's column by place in the order of bands, from the first that is told on; None without rows."""
        one = self._set_of[r]
        spans = self.arranged.spans(one.bands, joined=True)
        if not spans:
            return None
        pair = self._found.get(r, {}).get(name)
        if pair is None:
            return spans[0][0], np.full(spans[-1][1] - spans[0][0], np.nan)
        return Chosen(self.arranged, spans, one.ranks).wide(*pair)
