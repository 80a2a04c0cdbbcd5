"""Opening a log: which segments there are, what they hold, where an interrupted write must be cut.

    names ─► parse, sort ─► scan each ─► chain: next.first_lsn == last lsn + 1 ─► damage?
                                                                                    │
                 not the last segment, or proof of loss: CorruptionError ◄──────────┤
                 last segment, no proof: cut at the bad place, count and report ◄───┘

What the last frames hold past ``synced`` may be in the page cache only (the process died between write and fdatasync,
or fdatasync failed and the kernel forgot that the pages were dirty). Before anybody reads it, it is written again over
itself and fsynced: the same bytes at the same place, so a power cut in between changes nothing.
"""

from __future__ import annotations

import logging
from array import array
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from lifeline.core.errors import ConfigurationError, CorruptionError, Problem
from lifeline.log.files import Scratch, explained, read_file, write_all
from lifeline.log.scan import Scan, proof_of_loss, scan_segment
from lifeline.log.segment import FRAME_HEADER, ForeignFormatError, SegmentError

if TYPE_CHECKING:
    from pathlib import Path

    from lifeline.log.files import Files

logger = logging.getLogger(__name__)

SUFFIX: Final = ".log"
NAME_DIGITS: Final = 20
REMEDY: Final = (
    "nothing was changed; restore the file from a copy, or move it and all later segments away and accept the loss"
)


@dataclass(frozen=True, slots=True)
class Recovery:
    """What opening the log found."""

    records: int = 0
    segments: int = 0
    bytes: int = 0
    torn_bytes: int = 0
    """Cut from the end of the last segment: a write that was never acknowledged."""
    torn_at: str | None = None
    """File, offset, lsn and reason of the cut."""
    seconds: float = 0.0


@dataclass(slots=True)
class Segment:
    """One segment file in memory: where its records begin."""

    path: Path
    first_lsn: int
    salt: bytes
    end: int
    """Past the last committed frame."""
    offsets: array[int] = field(default_factory=lambda: array("Q"))
    """Where record ``first_lsn + i`` begins: 8 bytes a record."""

    @property
    def next_lsn(self) -> int:
        """The lsn after its last record."""
        return self.first_lsn + len(self.offsets)


@dataclass(frozen=True, slots=True)
class Recovered:
    """The segments of a log, cut to what is sound, and what the last one said about itself."""

    segments: list[Segment]
    received_at: int
    synced: int
    sealed: bool
    bytes: int
    torn_bytes: int
    torn_at: str | None


def segment_name(first_lsn: int) -> str:
    """The file name of the segment that begins with ``first_lsn``."""
    return f"{first_lsn:0{NAME_DIGITS}d}{SUFFIX}"


def segment_paths(files: Files, directory: Path) -> list[Path]:
    """The segments of ``directory`` in lsn order; other files are not ours."""
    stems = (name.removesuffix(SUFFIX) for name in files.names(directory) if name.endswith(SUFFIX))
    return [directory / f"{stem}{SUFFIX}" for stem in sorted(stems) if len(stem) == NAME_DIGITS and stem.isdecimal()]


def remove_leftovers(files: Files, directory: Path) -> None:
    """Delete files whose creation was interrupted."""
    for name in files.names(directory):
        if name.endswith(".tmp"):
            with suppress(OSError):
                files.remove(directory / name)


def corruption(path: Path, offset: int, lsn: int, reason: str) -> CorruptionError:
    """The error for a bad place."""
    return CorruptionError(f"{path}: offset {offset}: lsn {lsn}: {reason} ({REMEDY})")


def recover(files: Files, directory: Path) -> Recovered:
    """Scan all segments, cut an interrupted write and make the rest durable.

    Raises:
        CorruptionError: anything but an interrupted write at the very end.
        ConfigurationError: a segment was written by another version of this program.
        UnavailableError: the disk refuses.
    """
    with explained("cannot list the log", directory):
        paths = segment_paths(files, directory)
    found = Recovered([], 0, 0, sealed=False, bytes=0, torn_bytes=0, torn_at=None)
    scratch = Scratch()
    for path in paths:
        found = _recover_one(files, path, found, scratch, last=path == paths[-1])
    return found


def _recover_one(files: Files, path: Path, before: Recovered, scratch: Scratch, *, last: bool) -> Recovered:
    with explained("cannot be read", path):
        buffer = read_file(files, path, scratch)
    view = memoryview(buffer).cast("B")
    scan = open_segment(path, view, before.segments[-1].next_lsn if before.segments else None)
    torn = 0
    torn_at = None
    if scan.damage is not None:
        proof = proof_of_loss(view, scan)
        if not last or proof is not None:
            raise corruption(path, scan.damage.offset, scan.damage.lsn, loss_reason(scan, proof))
        torn = len(view) - scan.end
        torn_at = f"{path}: offset {scan.damage.offset}: lsn {scan.damage.lsn}: {scan.damage.reason}"
        logger.warning("an interrupted write of %d bytes was cut: %s", torn, torn_at)
    if last:
        with explained("cannot be made durable", path):
            _make_durable(files, path, view, scan)
    segment = Segment(path, scan.header.first_lsn, scan.header.salt, scan.end, scan.offsets)
    return Recovered(
        [*before.segments, segment],
        scan.received_at,
        scan.synced,
        scan.sealed,
        before.bytes + scan.end,
        torn,
        torn_at,
    )


def open_segment(path: Path, view: memoryview, expected: int | None) -> Scan:
    """Scan one segment and check its place in the chain.

    Raises:
        CorruptionError: bad header, or it does not follow its predecessor.
        ConfigurationError: written by another version.
    """
    named = int(path.stem)
    try:
        scan = scan_segment(view)
    except ForeignFormatError as error:
        remedy = "open it with the version that wrote it, let every follower catch up, then start with an empty log"
        raise ConfigurationError([Problem(str(path), "log", str(error), remedy)]) from error
    except SegmentError as error:
        raise corruption(path, 0, named, str(error)) from error
    if scan.header.first_lsn != named:
        raise corruption(path, 0, named, f"the header says that it begins with lsn {scan.header.first_lsn}")
    if expected is not None and named != expected:
        raise corruption(path, 0, expected, f"records {expected} to {named - 1} are missing before this segment")
    return scan


def loss_reason(scan: Scan, proof: int | None) -> str:
    """Why damage is a loss and no interrupted write."""
    reason = scan.damage.reason if scan.damage else ""
    if proof is None:
        return f"{reason}; a later segment exists, so this had been durable"
    return f"{reason}; the frame at offset {proof} was written after this had been durable"


def _make_durable(files: Files, path: Path, view: memoryview, scan: Scan) -> None:
    known = scan.synced - scan.header.first_lsn + 1
    last_certain = scan.end - FRAME_HEADER.size if scan.sealed else scan.end  # a seal proves the records, not itself
    uncertain = scan.offsets[known] if known < len(scan.offsets) else last_certain
    fd = files.open(path, "write")
    try:
        files.truncate(fd, scan.end)  # even to the size it has: an earlier cut may have failed to reach the disk
        write_all(files, fd, [view[uncertain : scan.end]] if uncertain < scan.end else [], uncertain)
        files.sync_data(fd)
    finally:
        with suppress(OSError):
            files.close(fd)
