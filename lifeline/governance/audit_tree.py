"""The audit's tree as it is kept: every eighth level of its inner hashes, so that proofs cost a logarithm.

    audit.leaf                          level 0: a hash an entry
    audit_nodes (level 1, number k)     over entries 256 k to 256 k + 255
    audit_nodes (level 2, number k)     over nodes 256 k to 256 k + 255 of level 1, and so on

A node is written once, with the entry that completes it, in that entry's transaction; 255 entries need one more hash,
all levels together. What lies between two levels is hashed anew when it is asked for: a proof in a tree of n entries
reads at most 2 · 256 hashes a level, of log256(n) levels (16.8 million entries: three). Whether the nodes are the
hashes of the entries is looked at by ``audit_verify``, whole, and by ``audit_export``, some at a time.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, func, select

from lifeline.core.errors import CorruptionError
from lifeline.governance.asking import ask
from lifeline.governance.merkle import (
    EMPTY_ROOT,
    Frontier,
    Span,
    consistency_path,
    fold_peaks,
    full_subtrees,
    inclusion_path,
    root_of,
)
from lifeline.governance.schema import audit, audit_nodes
from lifeline.governance.statements import insert_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection

logger = logging.getLogger(__name__)

BITS: Final = 8
"""Levels of the tree from one kept level to the next."""

_LEAVES: Final = (
    select(audit.c.leaf)
    .where(audit.c.entry >= bindparam("first"), audit.c.entry < bindparam("end"))
    .order_by(audit.c.entry)
)
_NODES: Final = (
    select(audit_nodes.c.hash)
    .where(
        audit_nodes.c.level == bindparam("level"),
        audit_nodes.c.number >= bindparam("first"),
        audit_nodes.c.number < bindparam("end"),
    )
    .order_by(audit_nodes.c.number)
)


def grow(connection: Connection, first: int, leaves: Sequence[bytes]) -> None:
    """Write the nodes that new leaves, from entry ``first`` on, complete; in the transaction that stores them.

    What is needed and not there was taken away by force: the act goes on, for it must not hang on that, and
    ``lifeline verify`` names the place.
    """
    width, level, hashes = 1 << BITS, 0, list(leaves)
    rows = []
    while (first + len(hashes)) >> BITS > first >> BITS:
        before = first % width
        known = _stored(connection, level, first - before, first) if before else []
        if len(known) != before:
            logger.error("the audit's tree has lost hashes of level %d before number %d", level, first)
            break
        hashes = known + hashes
        hashes = [root_of(hashes[start : start + width]) for start in range(0, len(hashes) - width + 1, width)]
        level, first = level + 1, first >> BITS
        rows += [{"level": level, "number": first + k, "hash": one.hex()} for k, one in enumerate(hashes)]
    insert_rows(connection, audit_nodes, rows)


def _stored(connection: Connection, level: int, first: int, end: int) -> list[bytes]:
    """Kept hashes ``first`` to ``end`` (exclusive) of a level: as many as there are."""
    if level == 0:
        found = ask(connection, _LEAVES, {"first": first, "end": end})
    else:
        found = ask(connection, _NODES, {"level": level, "first": first, "end": end})
    return [bytes.fromhex(one) for (one,) in found]


class AuditTree:
    """The tree in one transaction. Everything about it raises CorruptionError where a kept hash is missing."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._tiles: dict[tuple[int, int], list[bytes]] = {}

    @property
    def size(self) -> int:
        """Entries there are."""
        last = self._connection.scalar(select(func.max(audit.c.entry)))
        return 0 if last is None else int(last) + 1

    def root(self, size: int) -> bytes:
        """The head over the first ``size`` entries."""
        return self.hash_of((0, size)) if size else EMPTY_ROOT

    def frontier(self, size: int) -> Frontier:
        """The tree over the first ``size`` entries, to go on from there."""
        return Frontier(size, [self._node(*one) for one in full_subtrees((0, size))])

    def inclusion(self, entry: int, size: int) -> list[bytes]:
        """That ``entry`` is among the first ``size``. Raises IndexError."""
        return [self.hash_of(span) for span in inclusion_path(size, entry)]

    def consistency(self, older: int, size: int) -> list[bytes]:
        """That the first ``size`` entries begin with the first ``older``. Raises IndexError."""
        return [self.hash_of(span) for span in consistency_path(size, older)]

    def leaf(self, entry: int) -> bytes:
        """The hash of an entry."""
        return self._node(0, entry)

    def hash_of(self, span: Span) -> bytes:
        """The hash of a subtree."""
        return fold_peaks([self._node(*one) for one in full_subtrees(span)])

    def _node(self, height: int, number: int) -> bytes:
        """The hash of a full subtree: of some kept hashes of one level, all in one tile of 256."""
        level, above = divmod(height, BITS)
        first = number << above
        tile = first >> BITS
        start = first - (tile << BITS)
        hashes = self._tile(level, tile)[start : start + (1 << above)]
        if len(hashes) != 1 << above:
            what = "entries" if level == 0 else f"hashes of level {level}"
            raise CorruptionError(f"the audit lacks {what} from number {first} on; `lifeline verify` says more")
        return root_of(hashes)

    def _tile(self, level: int, number: int) -> list[bytes]:
        if (level, number) not in self._tiles:
            first = number << BITS
            self._tiles[level, number] = _stored(self._connection, level, first, first + (1 << BITS))
        return self._tiles[level, number]


class Rebuilt:
    """The nodes that leaves complete, made anew, to be held against those that are kept."""

    def __init__(self) -> None:
        self._open: list[list[bytes]] = [[]]
        self.counts: list[int] = [0]
        """Hashes seen of each level."""

    def append(self, leaf: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Add a leaf; (level, number, hash) of each node that it completes, from the bottom."""
        level, found = 0, leaf
        while True:
            self._open[level].append(found)
            self.counts[level] += 1
            if level:
                yield level, self.counts[level] - 1, found
            if len(self._open[level]) < 1 << BITS:
                return
            found = root_of(self._open[level])
            self._open[level].clear()
            level += 1
            if level == len(self._open):
                self._open.append([])
                self.counts.append(0)


def wrong_node(connection: Connection, level: int, number: int, computed: bytes) -> str | None:
    """What is wrong with a kept node, None when it is ``computed``."""
    first = number << BITS * level
    span = f"entries {first} to {first + (1 << BITS * level) - 1}"
    found = _stored(connection, level, number, number + 1)
    if not found:
        return f"the tree's hash over {span} is missing"
    return None if found[0] == computed else f"the tree's hash over {span} is not theirs: it was changed"


def first_beyond(connection: Connection, counts: Sequence[int]) -> str | None:
    """A kept node over entries that are not there, if there is one; ``counts``: how many belong to each level."""
    query = select(audit_nodes.c.level, func.max(audit_nodes.c.number)).group_by(audit_nodes.c.level)
    for level, last in connection.execute(query.order_by(audit_nodes.c.level)):
        if level < 1 or last >= (counts[level] if level < len(counts) else 0):
            return f"the tree has a hash of level {level}, number {last}, over entries that are not there"
    return None


def scrub(connection: Connection, first: int, count: int) -> tuple[str | None, int]:
    """Look at some nodes of the lowest kept level, from number ``first`` on, and those above that end with them.

    Returns what is wrong (None: nothing), and the number to go on with; 0 when the last was seen.
    """
    for number in range(first, first + count):
        start = number << BITS
        below = _stored(connection, 0, start, start + (1 << BITS))
        if len(below) < 1 << BITS:
            return None, 0
        level, at = 0, number
        while len(below) == 1 << BITS:
            level += 1
            if problem := wrong_node(connection, level, at, root_of(below)):
                return problem, number
            if (at + 1) % (1 << BITS):
                break
            at >>= BITS
            below = _stored(connection, level, at << BITS, (at + 1) << BITS)
    return None, first + count
