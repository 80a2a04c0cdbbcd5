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
    from rules.siblings import Sibling


class Set(NamedTuple):
    """Lanes that look at the same points, and the bands of these in the order of the layout."""

    lanes: list[int]
    bands: list[int]
    ranks: Ranks


class Selected(NamedTuple):
    """A rule with the rows it looks at, and of these the columns of other quantities of the device."""

    rule: BoundRule
    rows: Chosen
    beside: dict[str, NDArray[np.float64]]


class Laid:
    """One batch. Made by ``Plan.lay``."""

    def __init__(
        self,
        arranged: Arranged,
        rules: Sequence[BoundRule],
        set_of: dict[int, Set],
        beside: dict[str, int],
        told: dict[int, list[int]],
        *,
        placed: bool,
    ) -> None:
        """``set_of``: by lane, of which those of rules come first.

        ``beside``: the quantities of which rows tell what was newest, by number; ``told``: by band, where they do.
        """
        self.arranged = arranged
        self._rules, self._set_of, self._placed = rules, set_of, placed
        self._beside, self._told = beside, told
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
                for quantity in self._rules[r].beside:
                    if quantity in self._beside:
                        beside[vocabulary.SIBLING + quantity] = self._of_device(mine, self._beside[quantity])
                found.append(Selected(self._rules[r], mine, beside))
        return found

    def _of_device(self, rows: Chosen, k: int) -> NDArray[np.float64]:
        """What was newest of a quantity of the device, NaN where it has none."""

        def by_place() -> NDArray[np.float64]:
            wide, order = np.full(len(self.arranged.order), np.nan), self.arranged.order
            for band, (begin, end) in self.arranged.bands.items():
                if self._told[band][k] >= 0:
                    wide[begin:end] = self.arranged.rows.beside[order[begin:end], self._told[band][k]]
            return wide

        return rows.cut(self.arranged.once(f"beside {k}", by_place))

    def _rows_of(self, one: Set) -> Chosen | None:
        spans = self.arranged.spans(one.bands, joined=not self._placed)
        if not spans:
            return None
        return (Chosen.placed if self._placed else Chosen)(self.arranged, spans, one.ranks)
