"""What the rule machine keeps: two checkpoints, snapshots, and the way back from them.

A snapshot holds what readings change and nothing that other state tells. Rules that are new or changed are as if never
seen when one is taken back.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rules import snapshot
from rules.bound import SIBLING
from rules.held import Held
from rules.journal import WITHIN_MS
from rules.narrow import Narrow
from rules.revision import ALARM, POINTS
from rules.sparse import Sparse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager


class Kept(Held):
    """A machine's state, to be written down and taken back."""

    def snapshot(self) -> memoryview:
        """The whole state now, a copy. To a machine that takes it back, readings older than those seen are too late."""
        header = self._header() | {"lsn": 0, "at": 0}
        whole = {name: track.state for name, track in self._turning()}
        known = {name: array for name, array in self._state().items() if name not in self._derived()}
        return snapshot.pack(header, self._points() | known | self._alarms() | self._model_state() | whole)

    @property
    def checkpoint_lsn(self) -> int:
        """The log record after which ``checkpoint`` is."""
        return int(self._past.older.header["lsn"])

    def checkpoint(self) -> tuple[int, memoryview]:
        """(lsn, state after that record): replaying what follows it in the log gives this machine, to the bit.

        It is the older of two checkpoints: the replay is up to twice as long as a reading may be late (``Journal``).
        """
        lsn, lent = self.lend_checkpoint()
        with lent as parts:
            return lsn, memoryview(b"".join(parts))

    def lend_checkpoint(self) -> tuple[int, AbstractContextManager[list[bytes | memoryview]]]:
        """``checkpoint`` in parts, for another thread to read where it is, while this one goes on with other memory."""
        older = self._past.older
        whole = {name: track.before(older.arrays[name]) for name, track in self._turning()}
        derived = self._derived()
        known = {name: array for name, array in older.arrays.items() if name not in derived}
        known |= {  # these alone are grown in place
            name: Sparse(len(array), array.at, array.values)
            for name, array in known.items()
            if isinstance(array, Sparse)
        }
        header, points, reader = older.header, self._points(), object()
        older.readers.add(reader)

        @contextmanager
        def lent() -> Iterator[list[bytes | memoryview]]:
            try:
                plain = {n: array.array() if isinstance(array, Narrow) else array for n, array in known.items()}
                yield snapshot.parts(header, points | plain | whole)
            finally:
                older.readers.discard(reader)

        return int(header["lsn"]), lent()

    def restore(self, state: bytes | memoryview) -> None:
        """Take a state back; points that came since are as if never seen, and so are rules that are new or changed.

        Raises:
            ValueError: the state is damaged, or was made in another time zone or with another registry.
        """
        header, found = snapshot.unpack(state)
        derived = self._derived()
        found = {name: array for name, array in found.items() if name not in derived and not name.startswith(SIBLING)}
        if header["timezone"] != self.timezone:
            raise ValueError(f"the snapshot was made in another time zone ({header['timezone']}, now {self.timezone})")
        kept = self._kept(header, found)
        arrays: dict[str, Any] = {name: array for name, array in found.items() if _rule_of(name) in {None, *kept}}
        models = {name: arrays.pop(name) for name in list(arrays) if name.startswith("model/")}
        whole = {name: track.state for name, track in self._turning()}
        mine = self._points() | self._state() | self._alarms() | whole
        own = {n: array for n, array in mine.items() if _rule_of(n) in {None, *kept} and n not in derived}
        if set(own) != set(arrays) or not all(_fits(arrays[k], own[k]) for k in own):
            raise ValueError("the snapshot was made with another registry")
        if any(not np.array_equal(own[k][: len(arrays[k])], arrays[k]) for k in own if k.startswith(POINTS)):
            raise ValueError("the snapshot was made with another registry: rules now look at other points")
        if self._touched:  # a new machine is as it should be: binding the rules to the points takes seconds
            self._reset()
        self._touched = True
        self._put(arrays, kept)
        for plan in self._plans:
            plan.recall(self._current(), kept, self._journal.newest, self._journal.last)
        self._load_models(models)
        self._silence.instant, self._silence.now = header["instant"], header["now"]
        self._lsn, self._at = header["lsn"], header["at"]
        for one in (self._past.older, self._past.newer):
            one.arrays.clear()
            one.take(self._state() | self._alarms() | self._model_state())
            one.header = self._header()
        for _, track in self._turning():
            track.turns.clear()
        self._look_back_to(self._past.older)

    def _kept(self, header: dict[str, Any], found: dict[str, Any]) -> set[str]:
        """Ids of the rules that are as they were, whose features' state is brought to the form that is held here."""
        kept = {rule.id for rule in self.rules.rules if header["rules"].get(rule.id) == self._digests[rule.id]}
        for rule in self._bound:
            if rule.spec.id in kept:
                rule.fit(found)
        return kept

    def _put(self, arrays: dict[str, Any], kept: set[str]) -> None:
        """Write arrays of a snapshot over the state of a machine that is as new."""
        fresh = self._state() | {name: track.state for name, track in self._turning()}
        for name, array in arrays.items():
            if not name.startswith((ALARM, POINTS)):
                fresh[name][: len(array)] = array
        for rule in self._bound:
            if rule.spec.id in kept:
                rule.state.load(rule.alarms_of(arrays))

    @property
    def _mark_by(self) -> float:
        """Log time (epoch ms) by which the next checkpoint is due: it bounds what a restart replays."""
        return math.inf if self._history else self._past.newer.header["at"] + WITHIN_MS

    def _mark(self) -> None:
        """Keep the state: the newer checkpoint becomes the one that late readings go back to."""
        at = self._journal.next
        self._past.mark(at, self._state() | self._alarms() | self._model_state(), self._header())
        for _, track in self._turning():
            track.turns.mark()
        self._look_back_to(self._past.older)
        self._acked = {key: onset for key, onset in self._acked.items() if key in self._past.said}

    @contextmanager
    def _before_newer(self) -> Iterator[None]:
        """What is judged within is part of the newer checkpoint."""
        for _, track in self._turning():
            track.turns.since = 0
        yield
        for _, track in self._turning():
            track.turns.since = 1


_GLOBAL: Final = frozenset({"newest", "last", "counts"})


def _fits(array: Any, own: Any) -> bool:
    """Whether an array of a snapshot can be the beginning of one's own."""
    shapes = [one.shape[1:] if isinstance(one, np.ndarray) else () for one in (array, own)]
    return len(array) <= len(own) and shapes[0] == shapes[1]


def _rule_of(name: str) -> str | None:
    """The rule whose state an array is, None for what all rules share."""
    return None if name in _GLOBAL or name.startswith("silence/") else name.split("/")[1]
