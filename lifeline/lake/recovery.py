"""The end of a Delta table's log as a crash leaves it, put right before anybody builds on it.

delta-rs does not fsync its log. A power cut can therefore leave the last commit torn, or naming nothing that is whole;
the log of readings still holds those rows, because ``durable`` never covered them. Such a tail is cut. A commit that
was durable and is broken is damage, and refused: also an empty one, which delta-rs passes over.

A process that was killed between a commit and its fsync leaves a commit that is whole in the page cache only. Before
anybody builds on it, it is written again and fsynced: else the next commit could be durable and this one, with its
rows, could not.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pyarrow as pa

from lifeline.core.errors import CorruptionError, UnavailableError
from lifeline.files import write_atomic
from lifeline.lake.files import sync_dir

if TYPE_CHECKING:
    from pathlib import Path


def repair(root: Path) -> str:
    """Cut what a power cut left at the end of a table's log, make durable what a killed process left; what was cut.

    At most one commit and one checkpoint were not durable.

    Raises:
        CorruptionError: a commit that others build on is empty.
        UnavailableError: the disk refuses.
    """
    log = root / "_delta_log"
    commits = sorted(log.glob("[0-9]*.json"))
    cut = []
    if commits and not _whole(root, commits[-1]):
        commits[-1].unlink()
        sync_dir(log)
        cut.append(commits.pop().name)
    cut += _cut_checkpoint(log)
    hollow = hollow_commit(log)
    if hollow is not None:
        raise CorruptionError(
            f"{hollow}: is empty, and later commits build on it: what it added is unknown; restore {root} "
            "from a backup, or remove it if the readings' log still holds everything"
        )
    if commits:
        sync_dir(root)
        renew(commits[-1])
    return " ".join(cut)


def renew(commit: Path) -> None:
    """Write a commit again over itself, durably: the same bytes, so a power cut in between changes nothing.

    Raises:
        UnavailableError: the disk refuses.
    """
    try:
        data = commit.read_bytes()
    except OSError as error:
        raise UnavailableError(f"{commit}: cannot be read back: {error}") from error
    write_atomic(commit, data)


def hollow_commit(log: Path) -> Path | None:
    """A commit without content since the newest checkpoint: delta-rs takes it for one that changed nothing."""
    checkpoint = max((path.name for path in log.glob("*.checkpoint*.parquet")), default="")
    commits = (path for path in sorted(log.glob("[0-9]*.json")) if path.stem > checkpoint[:20])
    return next((path for path in commits if not path.stat().st_size), None)


def _cut_checkpoint(log: Path) -> list[str]:
    """Remove the newest checkpoint if it is torn, and a pointer that points at none: names of what went.

    The commits before a checkpoint are cleaned up only after it is durable: they are all still here.
    """
    pointer = log / "_last_checkpoint"
    torn = [path for path in sorted(log.glob("*.checkpoint*.parquet"))[-1:] if not _parquet_whole(path)]
    for path in torn:
        path.unlink()
    if pointer.exists() and not _points_at_checkpoint(pointer):
        pointer.unlink()
        torn.append(pointer)
    if torn:
        sync_dir(log)
    return [path.name for path in torn]


def _whole(root: Path, commit: Path) -> bool:
    try:
        lines = [json.loads(line) for line in commit.read_bytes().splitlines()]
    except ValueError:
        return False
    if not lines:
        return False
    added = [line["add"] for line in lines if "add" in line]
    return all((root / a["path"]).is_file() and (root / a["path"]).stat().st_size == a["size"] for a in added)


def _parquet_whole(path: Path) -> bool:
    import pyarrow.parquet as pq

    try:
        pq.read_table(path)
    except (OSError, pa.ArrowException):
        return False
    return True


def _points_at_checkpoint(pointer: Path) -> bool:
    try:
        version = int(json.loads(pointer.read_bytes())["version"])
    except (ValueError, KeyError, TypeError, OSError):
        return False
    return (pointer.parent / f"{version:020}.checkpoint.parquet").exists()
