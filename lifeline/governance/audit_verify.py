"""Whether the audit is what it was: every entry against its hash, the tree against every exported checkpoint.

What is found, and named by the first bad entry:

    changed, inserted, reordered   its hash does not fit; or, hashes redone, it is not the leaf that was exported
    deleted                        a number is missing
    cut off at the end             fewer entries than a checkpoint has signed
    rewritten from the start       not the exported leaves; without those, not the signed root (then a span is named)
    a hash of the tree             that is kept for proofs (``audit_tree``) and is not the one of its entries
    another key                    a checkpoint, or the folder's public key, that the given key did not sign

What cannot be found: entries younger than the newest checkpoint, changed together with all that follow them. Hence one
a minute. And nothing can be found if the folder was rewritten too: it belongs where the database's owner cannot reach.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lifeline.governance import checkpoint as notes
from lifeline.governance.audit import NO_LEAF, leaf_of, walk
from lifeline.governance.audit_export import PUBLIC_NAME, Exported, exported, read_leaves
from lifeline.governance.audit_tree import BITS, Rebuilt, first_beyond, wrong_node
from lifeline.governance.database import Database
from lifeline.governance.merkle import Frontier

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class AuditVerdict:
    """What was found. ``problem`` None: whole; ``entry``: the first bad one, where one can be named."""

    entries: int
    checkpoints: int
    problem: str | None = None
    entry: int | None = None
    covered: int = 0
    """Entries under a good checkpoint."""


class _BadError(Exception):
    def __init__(self, problem: str, entry: int | None = None) -> None:
        super().__init__(problem)
        self.entry = entry


def verify_audit(url: str, folder: Path, public_key: Path | None = None) -> AuditVerdict:
    """Check everything, read only. ``public_key``: the auditor's own copy (PEM); else the one in the folder.

    Raises:
        ConfigurationError, UnavailableError, CorruptionError: as ``Database``.
    """
    database = Database(url, create=False)
    try:
        with database.read() as connection:
            return _verify(connection, folder, public_key)
    finally:
        database.close()


def _verify(connection: Connection, folder: Path, public_key: Path | None) -> AuditVerdict:
    files = exported(folder)
    count = covered = 0
    try:
        heads = _heads(files, folder, public_key)
        frontier, before, expected, nodes = Frontier(), NO_LEAF, _expected(files), Rebuilt()
        following = iter(heads)
        head = next(following, None)
        for row in walk(connection):
            _check_number(row["entry"], count)
            leaf = leaf_of(row, before)
            _check_leaf(row["leaf"], leaf, next(expected, None), count)
            frontier.append(leaf)
            _check_nodes(connection, nodes, leaf)
            before, count = leaf, count + 1
            while head is not None and head.size == count:
                _check_root(head, frontier, covered)
                covered = count
                head = next(following, None)
        _check_end(count, heads)
        _check_beyond(connection, nodes)
    except _BadError as bad:
        return AuditVerdict(count, len(files), str(bad), bad.entry, covered)
    return AuditVerdict(count, len(files), covered=covered)


def _check_number(found: int, wanted: int) -> None:
    if found != wanted:
        raise _BadError(f"entry {wanted} is missing: {found} is there in its place", wanted)


def _check_nodes(connection: Connection, nodes: Rebuilt, leaf: bytes) -> None:
    for level, number, node in nodes.append(leaf):
        if problem := wrong_node(connection, level, number, node):
            raise _BadError(problem, number << BITS * level)


def _check_beyond(connection: Connection, nodes: Rebuilt) -> None:
    if problem := first_beyond(connection, nodes.counts):
        raise _BadError(problem, nodes.counts[0])


def _check_root(head: notes.Checkpoint, frontier: Frontier, covered: int) -> None:
    if head.root != frontier.root:
        span = f"entries {covered} to {head.size - 1}"
        raise _BadError(f"{span} are not those that the checkpoint over {head.size} has signed", covered)


def _check_end(count: int, heads: list[notes.Checkpoint]) -> None:
    if heads and count < heads[-1].size:
        size = heads[-1].size
        raise _BadError(f"entries {count} to {size - 1} are missing: a checkpoint over {size} was signed", count)


def _check_leaf(stored: str, computed: bytes, signed: bytes | None, number: int) -> None:
    if stored != computed.hex():
        raise _BadError(f"entry {number} was changed, or the one before it: it does not fit its hash", number)
    if signed is not None and computed != signed:
        raise _BadError(f"entry {number} is not the one that was exported", number)


def _heads(files: list[Exported], folder: Path, public_key: Path | None) -> list[notes.Checkpoint]:
    """The signed heads, oldest first."""
    if not files:
        return []
    key = _key(public_key or folder / PUBLIC_NAME)
    if public_key is not None and (folder / PUBLIC_NAME).exists():
        theirs = _key(folder / PUBLIC_NAME)
        if notes.public_bytes(theirs) != notes.public_bytes(key):
            raise _BadError(f"{folder / PUBLIC_NAME} is not the key {public_key}: it was exchanged")
    heads = []
    for one in files:
        try:
            head = notes.read(one.path.read_bytes()[: notes.CHECKPOINT_BYTES_MAX], key)
        except (OSError, ValueError) as error:
            raise _BadError(f"{one.path}: {error}") from None
        if head.size != one.size:
            raise _BadError(f"{one.path}: is the checkpoint over {head.size} entries")
        heads.append(head)
    return heads


def _key(path: Path) -> Ed25519PublicKey:
    try:
        return notes.load_public(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _BadError(f"{path}: is not a public key: {error}") from None


def _expected(files: list[Exported]) -> Iterator[bytes | None]:
    """The exported leaf of each entry in turn; None where its file is missing or not whole."""
    size = 0
    for one in files:
        leaves = read_leaves(one)
        wanted = one.size - size
        yield from leaves if leaves is not None and len(leaves) == wanted else [None] * wanted
        size = one.size
