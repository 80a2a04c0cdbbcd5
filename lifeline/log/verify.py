"""Checks every record of a log directory: reading only, also while an engine appends to it.

What it calls bad: a segment header, chain or record that fails its check. What it does not: the end of the last
segment while an engine runs (a group may be half written), and a file that ends inside a sound frame (a process died
while writing; the next start cuts that, nothing of it was acknowledged). Without a running engine, a last record whose
checksum fails is named as bad: whether a power cut or a flipped bit did it cannot be told.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lifeline.core.errors import UnavailableError
from lifeline.log.files import OsFiles, Scratch, read_file
from lifeline.log.recovery import segment_paths
from lifeline.log.scan import Scan, proof_of_loss, scan_segment
from lifeline.log.segment import ForeignFormatError, SegmentError, decode_header, decode_record
from lifeline.log.store import LOCK_NAME

if TYPE_CHECKING:
    import pyarrow as pa

    from lifeline.log.files import Files


@dataclass(frozen=True, slots=True)
class BadPlace:
    """The first thing wrong."""

    file: str
    offset: int
    lsn: int
    """Of the record that should stand there."""
    reason: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.file}: offset {self.offset}: lsn {self.lsn}: {self.reason}"


@dataclass(slots=True)
class VerifyReport:
    """What ``verify`` checked and found."""

    directory: str
    segments: int = 0
    bytes: int = 0
    records: int = 0
    readings: int = 0
    rejects: int = 0
    first: int = 0
    last: int = 0
    """lsn of the first and last sound record; 0 without any."""
    tail_bytes: int = 0
    """Past the last sound frame, ignored: being written, or left by a process that died."""
    live: bool = False
    """An engine owned the directory meanwhile."""
    bad: BadPlace | None = None

    @property
    def ok(self) -> bool:
        """Nothing bad was found."""
        return self.bad is None


def verify(directory: Path | str, *, files: Files | None = None) -> VerifyReport:
    """Check all records of the log in ``directory``; stops at the first bad place.

    Raises:
        UnavailableError: the directory cannot be read.
    """
    disk: Files = files if files is not None else OsFiles()
    directory = Path(directory)
    report = VerifyReport(str(directory), live=_owned(disk, directory))
    try:
        paths = segment_paths(disk, directory)
        expected: int | None = None
        scratch = Scratch()
        for path in paths:
            try:
                buffer = read_file(disk, path, scratch)
            except FileNotFoundError:
                if report.live:  # trimmed meanwhile: everything before it is gone as well
                    expected = None
                    continue
                raise
            report.bad, expected = _check(report, path, buffer, expected, last=path == paths[-1])
            if report.bad is not None and path == paths[-1] and not report.live and _owned(disk, directory):
                return verify(directory, files=files)  # an engine was started meanwhile
            if report.bad is not None:
                break
    except OSError as error:
        raise UnavailableError(f"{directory}: cannot be read: {error}") from error
    return report


def _owned(files: Files, directory: Path) -> bool:
    try:
        fd = files.lock(directory / LOCK_NAME, shared=True)
    except BlockingIOError:
        return True
    except OSError:
        return False
    with suppress(OSError):
        files.close(fd)
    return False


def _check(
    report: VerifyReport, path: Path, buffer: pa.Buffer, expected: int | None, *, last: bool
) -> tuple[BadPlace | None, int]:
    """Add one segment to the report; its first bad place and the lsn after it."""
    view = memoryview(buffer).cast("B")
    named = int(path.stem)
    report.segments += 1
    report.bytes += len(view)
    try:
        scan = scan_segment(view)
    except (SegmentError, ForeignFormatError) as error:
        return BadPlace(str(path), 0, named, str(error)), named
    if scan.header.first_lsn != named:
        return BadPlace(str(path), 0, named, f"the header says that it begins with lsn {scan.header.first_lsn}"), named
    if expected is not None and named != expected:
        reason = f"records {expected} to {named - 1} are missing before this segment"
        return BadPlace(str(path), 0, expected, reason), named
    if scan.offsets:
        report.first = report.first or named
        report.last = scan.next_lsn - 1
    report.records += len(scan.offsets)
    report.readings += scan.rows
    report.rejects += scan.rejects
    bad = _undecodable(path, buffer, scan)
    if bad is None and scan.damage is not None:
        harmless = last and (report.live or scan.damage.interrupted) and proof_of_loss(view, scan) is None
        if harmless:
            report.tail_bytes = len(view) - scan.end
        else:
            bad = BadPlace(str(path), scan.damage.offset, scan.damage.lsn, scan.damage.reason)
    return bad, scan.next_lsn


def _undecodable(path: Path, buffer: pa.Buffer, scan: Scan) -> BadPlace | None:
    view = memoryview(buffer).cast("B")
    for lsn, offset in enumerate(scan.offsets, scan.header.first_lsn):
        try:
            decode_record(buffer, offset, decode_header(view[offset:], scan.header.salt))
        except SegmentError as error:
            return BadPlace(str(path), offset, lsn, str(error))
    return None
