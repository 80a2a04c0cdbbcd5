"""Rules over groups: members judged together, one alarm state a group (``evaluate = "group"``).

The points of ``where`` that share a value of the registry column ``group`` are one group; readings of its members are
gathered into frames (``kernels/frames.py``), and ``raise`` and ``clear`` are conditions over frames::

    rows ──► hit (a condition over readings) ──► frames ──► counts and terms ───┐
                                                   └─────► judges (T², Q, drift) ┤──► raise, clear ──► alarm

An alarm is carried by the member that stands out: the judge's largest share, else the latest hit, else the first.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from rules import conditions, spec, vocabulary
from rules.bound import BoundRule, Keep
from rules.kernels import frames, turning
from rules.model import Learn
from rules.models import Models

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from rules.census import Census
    from rules.chosen import Chosen
    from rules.localtime import LocalClock
    from rules.overrides import Overlay
    from rules.spec import RuleSpec

CHUNK_VALUES: Final = 1 << 20
"""Frames are closed in chunks of at most so many values: 8 MiB."""


class GroupChange(NamedTuple):
    """A change of a group's alarm: completed by place ``row`` of the rule's rows, at event time ``ts``.

    ``point`` is the member that carries the alarm: the group's next alarm may have another.
    """

    row: int
    slot: int
    raised: bool
    onset: int
    ts: int
    value: float
    point: int


def columns_of(rule_params: Mapping[str, float], terms: Mapping[str, str]) -> tuple[str, ...]:
    """What ``raise`` and ``clear`` of a group rule may use."""
    named = tuple(f"{term}_{part}" for term in terms for part in vocabulary.TERM_PARTS)
    return (*vocabulary.COLUMNS["group"], *named, *rule_params)


class BoundGroups(BoundRule):
    """One group rule over its points. ``points`` and slots are members; the alarm state has one slot a group."""

    def __init__(self, rule: RuleSpec, order: int, clock: LocalClock, train_to: int | None) -> None:
        super().__init__(rule, order)
        self._clock = clock
        self._key_of: dict[str, int] = {}
        self._options = {name: option.default for name, option in vocabulary.GROUP_OPTIONS.items()} | rule.params
        self._compile_frames()
        learn = Learn(rule.train_s, follow=rule.learn == "always")
        self.models = Models(self._frame_names, self._options, learn, train_to)
        self._first = next((n for n in _in_order(rule.raise_) if n in set(self._frame_names)), "hits")
        n_terms = len(rule.terms)
        self.group = np.zeros(0, np.int32)
        self._terms = np.zeros(0, np.uint8)
        self._members = np.zeros(0, np.int32)
        self._ptr = np.zeros(1, np.int32)
        self._frames: dict[str, NDArray[Any]] = {
            "last_ts": np.zeros(0, np.int64), "last_value": np.zeros(0), "hit_ts": np.zeros(0, np.int64),
            "seen_in": np.zeros(0, np.int64), "cadence": np.zeros((0, 2)),
            "regular": np.zeros((0, 3)),
        }  # fmt: skip
        self._groups: dict[str, NDArray[Any]] = {
            "frame": np.zeros(0, np.int64), "newest": np.zeros(0, np.int64), "seen": np.zeros(0, np.int32),
            "before": np.zeros((0, 2 * max(n_terms, 1))), "carrier": np.zeros(0, np.int32),
            "turn": np.zeros((0, turning.COLUMNS)),
        }  # fmt: skip

    def _compile_frames(self) -> None:
        """Tests over frames, the columns that they need, and the parameters among them that differ."""
        rule = self.spec
        known = dict.fromkeys((*columns_of(rule.params, dict(rule.terms)), *dict(rule.calendars)), vocabulary.FLOAT)
        texts = [rule.raise_, rule.clear]
        if rule.active != spec.ALWAYS:
            texts.append(rule.active_text)
        parsed = [conditions.accepted(rule.compiled(text), known) for text in texts]
        fixed = {name: value for name, value in rule.params.items() if name not in self._varying}
        used = frozenset().union(*(condition.names for condition in parsed)) - set(fixed)
        self._frame_tests = [conditions.Test.of(c, fixed) for c in parsed]
        self._frame_names, self._frame_varying = tuple(sorted(used)), sorted(used & self._varying)

    def overlay(self, made: Overlay) -> None:
        """Parameters that differ for a while, in place of those before."""
        super().overlay(made)
        self._compile_frames()

    def grow(self, census: Census, keep: Keep | None = None) -> NDArray[np.int32]:  # noqa: ARG002 - keeps all
        """Take in new points; a member without a value in the group's column is left out."""
        new = census.points(self.spec.where)
        if self.spec.group != spec.GROUP:
            new = new[census.known(self.spec.group)[new]]
        keys = self._keys(census, new)
        group = np.array([self._key_of.setdefault(key, len(self._key_of)) for key in keys], np.int32)
        terms = np.zeros(len(new), np.uint8)
        for t, (_, where) in enumerate(self.spec.terms):
            terms |= (census.at(where, new).astype(np.uint8) << t).astype(np.uint8)
        self.group = np.concatenate([self.group, group])
        self._terms = np.concatenate([self._terms, terms])
        known = len(self.points)
        self.grow_points(census, new)
        self.state.grow(len(self._key_of))
        never = np.full(len(new), frames.NEVER)
        for name, more in (("last_ts", never), ("last_value", np.full(len(new), np.nan)), ("hit_ts", never)):
            self._frames[name] = np.concatenate([self._frames[name], more])
        self._frames["seen_in"] = np.concatenate([self._frames["seen_in"], never])
        if self.models.wanted:
            unknown = np.column_stack([np.full(len(new), np.nan), np.zeros(len(new))])
            self._frames["cadence"] = np.concatenate([self._frames["cadence"], unknown])
            unknown = np.column_stack([np.full(len(new), np.nan), np.zeros((len(new), 2))])
            self._frames["regular"] = np.concatenate([self._frames["regular"], unknown])
        self._grow_groups(len(self._key_of) - len(self._groups["frame"]))
        self._members = np.argsort(self.group, kind="stable").astype(np.int32)
        sizes = np.bincount(self.group, minlength=len(self._key_of))
        self._ptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
        return self.points[known:]

    def _grow_groups(self, more: int) -> None:
        never = np.full(more, frames.NEVER)
        width = self._groups["before"].shape[1]
        for name, rows in (
            ("frame", never), ("newest", never), ("seen", np.zeros(more, np.int32)),
            ("before", np.full((more, width), np.nan)), ("carrier", np.full(more, -1, np.int32)),
            ("turn", np.zeros((more, turning.COLUMNS))),
        ):  # fmt: skip
            self._groups[name] = np.concatenate([self._groups[name], rows])

    def _keys(self, census: Census, rows: NDArray[np.int32]) -> list[str]:
        """The groups of some rows; sensors that name no ``group`` are judged with those of their device."""
        keys = census.texts(self.spec.group, rows)
        if self.spec.group == spec.GROUP:
            devices = census.texts("device_id", rows)
            return [str(d) if k is None else f"group {k}" for k, d in zip(keys, devices, strict=True)]
        return [str(key) for key in keys]

    def advance(self, rows: Chosen, hits: NDArray[np.bool_]) -> list[GroupChange]:
        """Feed the rule's rows in order (``rules/instants.py``); the changes they complete."""
        found: list[GroupChange] = []
        slots, ts, value, received = rows.slots, rows.column("ts"), rows.column("value"), rows.received_at
        widest = int(np.diff(self._ptr).max(initial=1))
        width = widest if self.models.wanted else 0
        room = min(2 * len(slots) + 2, max(2, CHUNK_VALUES // widest))
        n_terms, start = len(self.spec.terms), 0
        out_row, out_group, out_worst = (np.empty(room, np.int32) for _ in range(3))
        out_ts = np.empty(room, np.int64)
        stats = np.empty((room, frames.COUNTS + frames.TERM * n_terms))
        values = np.empty((room, width))
        spans = (round(self._options[name] * 1000) for name in ("frame_s", "hold_s", "window_s"))
        frame_ms, hold_ms, window_ms = spans
        f, g = self._frames, self._groups
        while start < len(slots):
            n, start = frames.walk(
                slots, ts, value, hits.view(np.uint8), start, frame_ms, hold_ms, window_ms,
                self.group, self._ptr, self._members, self._terms, n_terms,
                f["last_ts"], f["last_value"], f["hit_ts"], f["seen_in"],
                g["frame"], g["newest"], g["seen"], g["before"], f["cadence"], f["regular"], g["turn"],
                out_row, out_group, out_ts, out_worst, stats, values,
            )  # fmt: skip
            if n:
                closing = out_row[:n]
                closed = (closing, out_group[:n], out_ts[:n], received[closing])
                found += self._judge(*closed, out_worst[:n], stats[:n], values[:n])
            for g_found in np.flatnonzero(g["turn"][:, turning.FOUND]).tolist():
                self._groups["turn"][g_found, turning.FOUND] = 0.0
                self.models.forget(g_found)
        return found

    def _judge(
        self,
        row: NDArray[np.int32],
        group: NDArray[np.int32],
        ts: NDArray[np.int64],
        received: NDArray[np.int64],
        worst: NDArray[np.int32],
        stats: NDArray[np.float64],
        values: NDArray[np.float64],
    ) -> list[GroupChange]:
        """Conditions and alarm states over closed frames; ``received``: when the reading that closed each was."""
        columns: dict[str, NDArray[np.float64]] = {name: stats[:, k] for k, name in enumerate(vocabulary.FRAME_COUNTS)}
        for t, (term, _) in enumerate(self.spec.terms):
            for k, part in enumerate(vocabulary.TERM_PARTS):
                columns[f"{term}_{part}"] = stats[:, frames.COUNTS + frames.TERM * t + k]
        columns |= self.models.ask(group, ts, values, worst, self._ptr, self._members)
        first = self._members[self._ptr[group]]
        for name in self._frame_varying:
            columns[name] = self.column(name, first, received)
        for name in self._frame_names:
            if name not in columns:
                columns[name] = self._clock.column(name, ts)
        masks = [test.satisfied(columns, len(row)) for test in self._frame_tests]
        raised, clear = masks[0], masks[1]
        if len(masks) == 3:
            raised, clear = raised & masks[2], clear | ~masks[2]
        self.evaluated += len(row)
        changes = []
        for change in self.state.advance(self.spec, group, raised, clear, ts):
            k = change.row
            if change.raised:
                self._groups["carrier"][change.slot] = self.points[worst[k]]
            value = float(columns[self._first][k])
            point = int(self._groups["carrier"][change.slot])
            changes.append(GroupChange(int(row[k]), change.slot, change.raised, change.onset, int(ts[k]), value, point))
        return changes

    def point_of(self, slot: int) -> int:
        """The member that carries the group's alarm."""
        return int(self._groups["carrier"][slot])

    def slot_of(self, point: int, onset: int) -> int | None:
        """The group whose alarm of this onset the point carries."""
        carried = np.flatnonzero(self._groups["carrier"] == point)
        return next((slot for slot in carried.tolist() if self.state.onset_of(slot) == onset), None)

    def member_of(self, slot: int) -> int:
        """A group has the parameters of its first member."""
        return int(self._members[self._ptr[slot]])

    def places_of(self, slot: int) -> list[int]:
        """The places in ``points`` of a group's members."""
        members: list[int] = self._members[self._ptr[slot] : self._ptr[slot + 1]].tolist()
        return members

    def hit_by_value(self, place: int, values: Sequence[float], at: int) -> bool:
        """Whether any of these values of a member, received by ``at``, is a hit; False where more than it decides."""
        test = self.tests[0]
        if not self.spec.hit or not set(test.names) <= {"value", *self.by_slot}:
            return False
        slots, times = np.full(len(values), place, np.int32), np.full(len(values), at, np.int64)
        columns = {name: self.column(name, slots, times) for name in test.names if name != "value"}
        return bool(test.satisfied(columns | {"value": np.array(values, np.float64)}, len(values)).any())

    def fit(self, arrays: dict[str, Any]) -> None:
        """Of a snapshot of before there was a turn, the turn is not known yet."""
        super().fit(arrays)
        prefix = f"frames/{self.spec.id}/"
        if f"{prefix}cadence" in arrays:
            members, groups = len(arrays[f"{prefix}cadence"]), len(arrays[f"{prefix}frame"])
            unknown = np.column_stack([np.full(members, np.nan), np.zeros((members, 2))])
            arrays.setdefault(f"{prefix}regular", unknown)
            arrays.setdefault(f"{prefix}turn", np.zeros((groups, turning.COLUMNS)))

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """All state of a fixed shape."""
        own = {f"frames/{self.spec.id}/{name}": array for name, array in (*self._frames.items(), *self._groups.items())}
        return super().arrays | own

    @property
    def model_arrays(self) -> dict[str, NDArray[Any]]:
        """State of the judges, of whatever shape they have grown to."""
        return self.models.arrays(f"model/{self.spec.id}")

    def load_model(self, group: int, judge: int, members: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take the state of one judge back.

        Raises:
            ValueError: it does not belong to such a judge.
        """
        if group >= len(self._key_of):
            raise ValueError("the snapshot knows of a group that there is not")
        self.models.load(group, judge, members, arrays)

    def learning(self) -> dict[str, int]:
        """Groups of which a judge has not learned what is normal yet, with the frames that it has seen."""
        names = {number: key for key, number in self._key_of.items()}
        return {names[group]: seen for group, seen in self.models.learning().items()}

    @property
    def nbytes(self) -> int:
        """Memory."""
        own: tuple[Any, ...] = (*self._frames.values(), *self._groups.values(), self.models)
        return super().nbytes + sum(int(one.nbytes) for one in own)


def _in_order(text: str) -> list[str]:
    """Names of a condition in the order in which they are written."""
    return re.findall(r"[A-Za-z_]\w*", text)
