"""Wrong engines, one line each, that the crash tests must catch. Patched into the victim's process, never shipped.

A mutant that survives means that the suite proves nothing about what the mutant breaks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import ingest.identity
import ingest.mqtt.inflight
import lifeline.lake.writer
from lifeline.core.batch import IngestBatch, Readings
from lifeline.log import LocalLog
from lifeline.log.files import OsFiles
from lifeline.log.store import Store


def no_fsync() -> None:
    """Nothing is ever made durable."""
    OsFiles.sync_data = lambda *_: None  # type: ignore[method-assign,assignment]
    OsFiles.sync_directory = lambda *_: None  # type: ignore[method-assign,assignment]


def acknowledge_before_fsync() -> None:
    """A batch counts as committed once it is queued."""
    append = LocalLog.append

    def eager(log: LocalLog, batch: IngestBatch, on_commit: Callable[[Any], None]) -> None:
        append(log, batch, lambda _: None)
        on_commit(None)

    LocalLog.append = eager  # type: ignore[method-assign]


def acknowledge_refused() -> None:
    """What the disk refused is acknowledged all the same."""
    append = LocalLog.append

    def deaf(log: LocalLog, batch: IngestBatch, on_commit: Callable[[Any], None]) -> None:
        append(log, batch, lambda _: on_commit(None))

    LocalLog.append = deaf  # type: ignore[method-assign]


def double_insert() -> None:
    """Nobody recognises a repeat."""
    ingest.identity.IdentityWindow.mark = lambda _, readings, __: np.zeros(len(readings), np.bool_)  # type: ignore[method-assign,assignment]


def stale_content() -> None:
    """A buffer is used again too early: the bytes of the batch before are written."""
    _rewriting(lambda batch, before: before if len(before.readings) else batch)


def invented() -> None:
    """Each batch brings a reading that nobody sent."""

    def more(batch: IngestBatch, _: IngestBatch) -> IngestBatch:
        extra = batch.readings.take(slice(0, 1))
        extra = Readings(
            extra.point, extra.ts, extra.received_at, extra.value + 1, extra.seq + (1 << 30), extra.quality, extra.flags
        )
        return IngestBatch(batch.received_at, Readings.concat([batch.readings, extra]), batch.rejects)

    _rewriting(more)


def forgotten_rejects() -> None:
    """Bad messages are acknowledged without a trace."""
    _rewriting(lambda batch, _: IngestBatch(batch.received_at, batch.readings))


def acknowledge_in_disorder() -> None:
    """The newest of a batch first."""
    pop = ingest.mqtt.inflight.InFlight._pop
    ingest.mqtt.inflight.InFlight._pop = lambda self, count: pop(self, count)[::-1]  # type: ignore[method-assign]


def forgetting_after_restart() -> None:
    """The memory of repeats is not rebuilt from the log."""
    ingest.identity.IdentityWindow.rebuild = lambda *_: None  # type: ignore[method-assign,assignment]


def no_cut_at_reopening() -> None:
    """After a failed commit the log goes on where it was, over what it refused."""

    def reopen(store: Any) -> None:
        store._segments[-1].end = store._files.size(store._fd)
        store._broken = False

    Store.reopen = reopen  # type: ignore[method-assign,assignment]


def trimmed_too_early() -> None:
    """The log is trimmed although the lake has not yet stored it."""
    Store.trim = _greedy_trim(Store.trim)  # type: ignore[method-assign]
    lifeline.lake.writer.LakeFollower.durable = property(lambda _: 1 << 60)  # type: ignore[assignment,method-assign]


def _greedy_trim(trim: Callable[..., None]) -> Callable[..., None]:
    def all_of_it(store: Any, _before: int) -> None:
        store._kept_bytes = 0
        trim(store, 1 << 60)

    return all_of_it


def _rewriting(change: Callable[[IngestBatch, IngestBatch], IngestBatch]) -> None:
    append = LocalLog.append
    before = [IngestBatch(0, Readings.empty())]

    def wrong(log: LocalLog, batch: IngestBatch, on_commit: Callable[[Any], None]) -> None:
        changed = change(batch, before[0])
        before[0] = batch
        append(log, changed, on_commit)

    LocalLog.append = wrong  # type: ignore[method-assign]


MUTANTS: dict[str, Callable[[], None]] = {
    mutant.__name__: mutant
    for mutant in (
        no_fsync,
        acknowledge_before_fsync,
        acknowledge_refused,
        double_insert,
        stale_content,
        invented,
        forgotten_rejects,
        acknowledge_in_disorder,
        forgetting_after_restart,
        no_cut_at_reopening,
        trimmed_too_early,
    )
}
