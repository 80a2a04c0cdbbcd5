"""Putting late readings in their place: two checkpoints of the state, what was said since, and what is said instead.

::

    older checkpoint          newer checkpoint                now
         |------- at least `within` readings -------|----------|
         '-- readings since then are in the journal -----------'

When the newer one is ``within`` readings old it becomes the older one and the state is copied anew. A unit with a late
reading goes back to the older checkpoint, its readings are judged again in order, and the difference to what was said
is said: alarms that were missed (*historic* when they are already over), other ends, and alarms that were none
(*withdrawn*). The older checkpoint is also what a restart resumes from: replaying the log after it rebuilds all this.

Alarm states are kept sparsely (``rules/sparse.py``), what a feature seldom changes as notes of what was there before
(``rules/turns.py``), and which points a rule looks at is not kept twice: it never changes but by growing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from rules.narrow import NARROW, Narrow
from rules.sparse import Sparse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from lifeline.core.alarm import ChangeKind
    from rules.bound import BoundRule


ALARM: Final = "alarm/"
POINTS: Final = "points/"


class Verdict(NamedTuple):
    """A rule raised or cleared an alarm at a reading. Times in epoch ms; ``row`` of the readings that were judged."""

    rule: BoundRule
    slot: int
    raised: bool
    onset: int
    ts: int
    received: int
    value: float
    lsn: int
    row: int

    @property
    def key(self) -> tuple[int, int]:
        """Whose alarm it is: rule and slot."""
        return self.rule.order, self.slot


@dataclass
class Checkpoint:
    """The whole state when row ``at`` was the journal's next; ``header`` says after which log record."""

    at: int
    arrays: dict[str, Any]
    """Arrays, ``Sparse`` or ``Narrow``."""
    header: dict[str, Any]
    readers: set[object] = field(default_factory=set)
    """Who packs it on another thread: while there is one it stays as it is, and its memory is not used again."""

    def grow(self, state: Mapping[str, Sparse | NDArray[Any]]) -> None:
        """Take in new points: their state begins as it is in ``state``, where nothing has happened to them yet."""
        for name, array in state.items():
            mine = self.arrays.get(name)
            if name in NARROW and (mine is None or len(mine) < len(array)):
                assert isinstance(array, np.ndarray)
                known = array[:0] if mine is None else mine.array()
                self.arrays[name] = Narrow(np.concatenate([known, array[len(known) :]]) if len(known) else array)
            elif mine is None:
                self.arrays[name] = array if isinstance(array, Sparse) else array.copy()
            elif isinstance(array, Sparse):
                mine.length = len(array)  # a new slot is at rest
            elif len(mine) < len(array):
                self.arrays[name] = np.concatenate([mine, array[len(mine) :]])

    def take(self, state: Mapping[str, Sparse | NDArray[Any]]) -> None:
        """Copy the state as it is, into the memory that is there where it fits; what is sparse is a copy already."""
        for name, array in state.items():
            mine = self.arrays.get(name)
            if isinstance(array, Sparse):
                self.arrays[name] = array
            elif name in NARROW:
                self.arrays[name] = Narrow(array)
            elif isinstance(mine, np.ndarray) and mine.shape == array.shape:
                np.copyto(mine, array)
            else:
                self.arrays[name] = array.copy()


@dataclass
class Past:
    """Both checkpoints, and what reading rules have said since the older one."""

    older: Checkpoint
    newer: Checkpoint
    said: dict[tuple[int, int], list[tuple[int, Verdict]]] = field(default_factory=dict)
    """By rule and slot: number of the journal's next row then, and the verdict."""

    def mark(self, at: int, state: Mapping[str, Sparse | NDArray[Any]], header: dict[str, Any]) -> None:
        """The state now becomes the newer checkpoint, in the memory of the older one."""
        spare = Checkpoint(at, {} if self.older.readers else self.older.arrays, header)
        self.older = self.newer
        spare.take(state)
        self.newer = spare
        kept = {key: [e for e in entries if e[0] > self.older.at] for key, entries in self.said.items()}
        self.said = {key: entries for key, entries in kept.items() if entries}

    def say(self, verdicts: Iterable[Verdict], at: int) -> None:
        """Remember what was said while ``at`` was the journal's next row."""
        for verdict in verdicts:
            self.said.setdefault(verdict.key, []).append((at, verdict))

    def replace(
        self, keys: Iterable[tuple[int, int]], said: Iterable[tuple[int, Verdict]]
    ) -> list[tuple[ChangeKind, Verdict]]:
        """Rules and slots that were judged again say this instead (in order); the changes that makes, in order."""
        again: dict[tuple[int, int], list[tuple[int, Verdict]]] = {}
        for at, verdict in said:
            again.setdefault(verdict.key, []).append((at, verdict))
        changes: list[tuple[ChangeKind, Verdict]] = []
        for key in sorted({*again, *(key for key in keys if key in self.said)}):
            before = [verdict for _, verdict in self.said.pop(key, [])]
            changes += differences(before, [verdict for _, verdict in again.get(key, [])])
            if key in again:
                self.said[key] = again[key]
        return changes

    @property
    def nbytes(self) -> int:
        """Memory of both checkpoints."""
        return sum(array.nbytes for one in (self.older, self.newer) for array in one.arrays.values())


def differences(before: list[Verdict], after: list[Verdict]) -> list[tuple[ChangeKind, Verdict]]:
    """What to say so that listeners who heard ``before`` know ``after``; both of one rule and slot, in order.

    An alarm that another reading completes is said again: its value and the time of its detection are others.
    """
    changes: list[tuple[ChangeKind, Verdict]] = []
    ups = {v.onset: v for v in before if v.raised}
    downs = {v.onset: v for v in before if not v.raised}
    ups_after = {v.onset for v in after if v.raised}
    downs_after = {v.onset for v in after if not v.raised}
    for onset, verdict in ups.items():
        if onset not in ups_after:
            changes.append(("withdrawn", verdict))
    for onset, verdict in downs.items():
        if onset not in downs_after and (onset in ups_after or onset not in ups):
            changes.append(("reopened", verdict))
    for verdict in after:
        known = (ups if verdict.raised else downs).get(verdict.onset)
        if known is None or (known.ts, known.received) != (verdict.ts, verdict.received):
            changes.append(("raised" if verdict.raised else "cleared", verdict))
    return changes
