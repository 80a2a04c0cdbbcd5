"""The Merkle tree of RFC 9162 (section 2.1) over SHA-256; pure: bytes in, bytes out.

    leaf   SHA-256(0x00 ‖ data)              node   SHA-256(0x01 ‖ left ‖ right)

A tree of n leaves splits at the largest power of two below n. ``Frontier`` holds the roots of the full subtrees from
left to right, which is all that appending needs. A proof is a path of spans, [first, end) of leaves each, whose hashes
are asked for afterwards: log2(n) of them, wherever they are kept (``audit_tree``).
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Span = tuple[int, int]
"""Leaves [first, end) that are a subtree of the tree in question."""

EMPTY_ROOT: Final = sha256().digest()
HASH_BYTES: Final = 32


def leaf_hash(data: bytes) -> bytes:
    """The hash of an entry."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """A tree that grows at its right side; log2(n) hashes of memory."""

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        if len(peaks) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} full subtrees, not {len(peaks)}")
        self.size = size
        self._peaks = list(peaks)

    def append(self, leaf: bytes) -> None:
        """Add a leaf's hash."""
        size = self.size
        while size & 1:
            leaf = node_hash(self._peaks.pop(), leaf)
            size >>= 1
        self._peaks.append(leaf)
        self.size += 1

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add many."""
        for leaf in leaves:
            self.append(leaf)

    @property
    def peaks(self) -> tuple[bytes, ...]:
        """Roots of the full subtrees, the largest first."""
        return tuple(self._peaks)

    @property
    def root(self) -> bytes:
        """The tree's head."""
        return fold_peaks(self._peaks)


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The head over these leaf hashes."""
    frontier = Frontier()
    frontier.extend(leaves)
    return frontier.root


def _split(size: int) -> int:
    """The largest power of two below ``size`` (2 or more)."""
    return 1 << ((size - 1).bit_length() - 1)


def inclusion_path(size: int, index: int) -> list[Span]:
    """Whose hashes show that leaf ``index`` is in the tree of ``size``: from the bottom (section 2.1.3.1).

    Raises:
        IndexError: there is no such leaf.
    """
    if not 0 <= index < size:
        raise IndexError(f"the tree has {size} leaves, no number {index}")
    path: list[Span] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((start, middle))
            start = middle
    return path[::-1]


def consistency_path(size: int, older: int) -> list[Span]:
    """Whose hashes show that the tree of ``size`` begins with the one of ``older`` (section 2.1.4.1).

    Raises:
        IndexError: an older tree that is empty or larger.
    """
    if not 0 < older <= size:
        raise IndexError(f"the tree has {size} leaves, an older one of {older} cannot be in it")
    path: list[Span] = []
    start, end = 0, size
    while older != end:
        middle = start + _split(end - start)
        if older <= middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((start, middle))
            start = middle
    if start:
        path.append((start, end))
    return path[::-1]


def full_subtrees(span: Span) -> Iterator[tuple[int, int]]:
    """(height, number) of the full subtrees that make up a span, the largest first.

    A span that is a subtree begins at a multiple of the power of two that it would fill: so it has at most one of
    each height. Subtree ``number`` of a height is over the leaves from ``number << height`` on.
    """
    start, end = span
    while start < end:
        height = (end - start).bit_length() - 1
        yield height, start >> height
        start += 1 << height


def fold_peaks(peaks: Sequence[bytes]) -> bytes:
    """The hash over full subtrees that lie side by side, the largest first."""
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


def check_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether ``proof`` shows ``leaf`` at ``index`` of the tree with this size and root (section 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    number, last, found = index, size - 1, leaf
    for part in proof:
        if last == 0:
            return False
        if number & 1 or number == last:
            found = node_hash(part, found)
            while not number & 1 and number:
                number >>= 1
                last >>= 1
        else:
            found = node_hash(found, part)
        number >>= 1
        last >>= 1
    return last == 0 and found == root


def check_consistency(older: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether ``proof`` shows that the larger tree begins with the smaller one (section 2.1.4.2)."""
    if not 0 < older <= size:
        return False
    if older == size:
        return not proof and old_root == root
    path = list(proof) if older.bit_count() != 1 else [old_root, *proof]
    if not path:
        return False
    number, last = older - 1, size - 1
    while number & 1:
        number >>= 1
        last >>= 1
    first = second = path[0]
    for part in path[1:]:
        if last == 0:
            return False
        if number & 1 or number == last:
            first, second = node_hash(part, first), node_hash(part, second)
            while not number & 1 and number:
                number >>= 1
                last >>= 1
        else:
            second = node_hash(second, part)
        number >>= 1
        last >>= 1
    return last == 0 and first == old_root and second == root
