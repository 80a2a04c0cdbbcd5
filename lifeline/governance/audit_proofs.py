"""Proofs about the audit for people who trust neither us nor the database; anybody can check them with a checkpoint.

    inclusion     this entry is the one at its place in the tree that a checkpoint has signed
    consistency   the tree of that checkpoint begins with the tree of this older one: nothing was rewritten between

Both read a logarithm of the audit (``audit_tree``) and are checked by ``merkle.check_inclusion`` and
``check_consistency``, or by any other implementation of RFC 9162. Hashes are told as hexadecimal digits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lifeline.governance.audit_tree import AuditTree
from lifeline.governance.errors import FieldError, UnknownIdError

if TYPE_CHECKING:
    from sqlalchemy import Connection

Row = dict[str, Any]


def inclusion(connection: Connection, entry: int, size: int | None = None) -> Row:
    """``{entry, leaf, size, root, proof}``; ``size``: of the tree, a checkpoint's or (None) today's.

    Raises:
        UnknownIdError: there is no such entry.
        FieldError: no tree of that size, or one that ends before the entry.
        CorruptionError: what the proof needs is missing.
    """
    tree = AuditTree(connection)
    size = _size(tree, size)
    if not 0 <= entry < tree.size:
        raise UnknownIdError(f"there is no entry {entry}; the audit has {tree.size}, numbered from 0")
    if entry >= size:
        raise FieldError(f"entry {entry} is not in the tree over the first {size}; give a larger size")
    proof = [one.hex() for one in tree.inclusion(entry, size)]
    return {
        "entry": entry,
        "leaf": tree.leaf(entry).hex(),
        "size": size,
        "root": tree.root(size).hex(),
        "proof": proof,
    }


def consistency(connection: Connection, older: int, size: int | None = None) -> Row:
    """``{older, older_root, size, root, proof}`` of two trees, a checkpoint's each or (None) today's.

    Raises:
        FieldError: sizes that there are not, or in the wrong order.
        CorruptionError: what the proof needs is missing.
    """
    tree = AuditTree(connection)
    size = _size(tree, size)
    if not 0 < older <= size:
        raise FieldError(f"the older tree must have 1 to {size} entries, not {older}")
    proof = [one.hex() for one in tree.consistency(older, size)]
    return {
        "older": older,
        "older_root": tree.root(older).hex(),
        "size": size,
        "root": tree.root(size).hex(),
        "proof": proof,
    }


def _size(tree: AuditTree, size: int | None) -> int:
    if size is not None and not 0 < size <= tree.size:
        raise FieldError(f"there is no tree of {size} entries; the audit has {tree.size}")
    return tree.size if size is None else size
