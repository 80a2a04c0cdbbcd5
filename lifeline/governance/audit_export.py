"""Signed heads of the audit's tree, and its leaf hashes, written to a folder outside the database's reach.

    checkpoints/audit.pub                              the public key: copy it away, it is what others verify with
    checkpoints/2026-11-25/000000001234.checkpoint     signed head over the first 1,234 entries (``checkpoint``)
    checkpoints/2026-11-25/000000001234.leaves         their leaf hashes since the checkpoint before, 32 bytes each

The engine writes one every minute or every N entries, when there are new ones, and one when it stops. Whoever rewrites
the database cannot rewrite a folder that he cannot reach: put it on another machine's disk or on write-once storage.
The leaves are not secret and name no one; with them ``audit_verify`` can say which entry was changed.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from sqlalchemy import select

from lifeline.core.errors import ConfigurationError, CorruptionError, LifelineError, Problem, UnavailableError
from lifeline.files import write_atomic
from lifeline.governance import checkpoint as notes
from lifeline.governance.audit_tree import AuditTree, scrub
from lifeline.governance.database import Database
from lifeline.governance.merkle import HASH_BYTES, Frontier
from lifeline.governance.schema import audit

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

    from lifeline.core.ports import Clock

logger = logging.getLogger(__name__)

LEAVES_MAX: Final = 100_000
"""Entries under one checkpoint: 3.2 MB of leaves."""
SCRUB_NODES: Final = 64
"""Hashes of the tree that are looked at with each export, 256 entries each: about 20 ms."""
PUBLIC_NAME: Final = "audit.pub"


@dataclass(frozen=True, slots=True)
class Exported:
    """A checkpoint's files."""

    path: Path
    size: int

    @property
    def leaves_path(self) -> Path:
        """Its leaf hashes."""
        return self.path.with_suffix(".leaves")


def exported(folder: Path) -> list[Exported]:
    """The checkpoints in a folder, by size."""
    found = [Exported(path, int(path.stem)) for path in folder.glob("*/*.checkpoint") if path.stem.isdigit()]
    return sorted(found, key=lambda one: one.size)


class AuditExporter:
    """Writes checkpoints; one thread calls it. ``every_s`` and ``every_entries``: whichever comes first.

    What goes wrong while exporting stops neither audit nor engine: it is raised, and tried again after ``every_s``.

    Raises:
        ConfigurationError: the key cannot be read, or is not the one whose public half lies in the folder.
        UnavailableError: the folder cannot be made.
    """

    def __init__(
        self, url: str, folder: Path, key_file: Path, site: str, clock: Clock, *, every_s: float, every_entries: int
    ) -> None:
        self._folder = folder
        self._origin = notes.origin_of(site)
        self._clock = clock
        self._every_ms = int(every_s * 1000)
        self._every_entries = every_entries
        self._key = load_or_make_key(key_file)
        self._publish_key(self._key.public_key())
        self._database = Database(url, create=False)
        self._frontier: Frontier | None = None
        self._scrubbed = 0
        self._last_ms = clock()
        self._failed = False

    def export_due(self) -> None:
        """A checkpoint, if it is time and there is something new; raises as ``export``."""
        waited = self._clock() - self._last_ms
        in_time = waited >= self._every_ms or waited < 0
        if self._failed and not in_time:
            return
        waiting = self._size() - (self._frontier.size if self._frontier else 0)
        if waiting >= self._every_entries or (waiting and in_time):
            self.export()

    def export(self) -> int:
        """Checkpoints over everything there is; returns the size of the newest.

        Raises:
            UnavailableError: folder or database refuse.
            CorruptionError: the newest checkpoint does not fit the database: it was rewritten, or the folder was.
        """
        self._failed, self._last_ms = True, self._clock()
        tree = self._frontier or self._resume()
        while fresh := self._fresh(tree.size):
            grown = Frontier(tree.size, tree.peaks)
            grown.extend(fresh)
            self._write(notes.Checkpoint(self._origin, grown.size, grown.root, self._last_ms), b"".join(fresh))
            self._frontier = tree = grown
        self._scrub()
        self._frontier, self._failed = tree, False
        return tree.size

    def _scrub(self) -> None:
        """Some of the tree against its entries each time, all of it in turns: a start reads only its right edge."""
        with self._database.read() as connection:
            problem, self._scrubbed = scrub(connection, self._scrubbed, SCRUB_NODES)
        if problem is not None:
            raise CorruptionError(f"{self._database.place}: {problem}; `lifeline verify` says more")

    def _fresh(self, size: int) -> list[bytes]:
        with self._database.read() as connection:
            query = select(audit.c.leaf).where(audit.c.entry >= size).order_by(audit.c.entry)
            return [bytes.fromhex(leaf) for leaf in connection.scalars(query.limit(LEAVES_MAX))]

    def close(self) -> None:
        """A last checkpoint, if that is possible; then close the database."""
        try:
            self.export()
        except LifelineError as error:
            logger.error("%s", error)  # noqa: TRY400 the message says it all, and what is stopping goes on stopping
        self._database.close()

    def _size(self) -> int:
        with self._database.read() as connection:
            last = connection.scalar(select(audit.c.entry).order_by(audit.c.entry.desc()).limit(1))
        return 0 if last is None else last + 1

    def _write(self, head: notes.Checkpoint, leaves: bytes) -> None:
        day = self._folder / datetime.fromtimestamp(head.at / 1000, UTC).strftime("%Y-%m-%d")
        _make(day)
        name = f"{head.size:012d}"
        write_atomic(day / f"{name}.leaves", leaves)
        write_atomic(day / f"{name}.checkpoint", notes.sign(head, self._key))

    def _publish_key(self, public: Ed25519PublicKey) -> None:
        _make(self._folder)
        path, pem = self._folder / PUBLIC_NAME, notes.public_pem(public)
        if not path.exists():
            write_atomic(path, pem)
        elif path.read_bytes() != pem:
            remedy = "put the key back; a new key needs a new folder, and the old one kept for what it has signed"
            message = f"{path} is the public half of another key"
            raise ConfigurationError([Problem("lifeline.toml", "audit.key_file", message, remedy)])

    def _resume(self) -> Frontier:
        """The tree up to the newest checkpoint, from the database, and held against its signed root."""
        newest = exported(self._folder)[-1:]
        if not newest:
            return Frontier()
        path = newest[0].path
        try:
            head = notes.read(path.read_bytes(), self._key.public_key())
        except OSError as error:
            raise UnavailableError(f"{path}: cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise CorruptionError(f"{path}: {error}; `lifeline verify` says more") from None
        with self._database.read() as connection:
            tree = AuditTree(connection)
            frontier = tree.frontier(head.size) if tree.size >= head.size else Frontier()
        if (frontier.size, frontier.root) != (head.size, head.root):
            raise CorruptionError(
                f"{self._database.place}: the audit is not what {path} has signed; `lifeline verify` names the entry"
            )
        return frontier


def load_or_make_key(path: Path) -> Ed25519PrivateKey:
    """The key that signs checkpoints; made at the first start, readable for the engine's account only.

    Raises:
        ConfigurationError: not a key, or not readable.
        UnavailableError: it cannot be written.
    """
    if path.exists():
        try:
            return notes.load_private(path.read_bytes())
        except (OSError, ValueError, TypeError) as error:
            remedy = "put the right file back; without it no checkpoint can be signed"
            message = f"{path} is not a readable Ed25519 key in PEM: {error}"
            raise ConfigurationError([Problem("lifeline.toml", "audit.key_file", message, remedy)]) from None
    key = notes.new_key()
    _make(path.parent)
    write_atomic(path, notes.private_pem(key), private=True)  # whole or not there: half a key would end every start
    return key


def read_leaves(one: Exported) -> list[bytes] | None:
    """The leaf hashes beside a checkpoint, None when the file is not there or not whole."""
    try:
        data = one.leaves_path.read_bytes()
    except OSError:
        return None
    if len(data) % HASH_BYTES:
        return None
    return [data[start : start + HASH_BYTES] for start in range(0, len(data), HASH_BYTES)]


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnavailableError(f"{folder}: {error.strerror}") from error
