"""What `ports.Log` promises, as a function that any implementation must pass.

`check_log(make_log)` takes a maker of empty logs. Clock records (no rows, no rejects) may appear anywhere: the checks
look at the records that carry something.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from lifeline.core.batch import IngestBatch, Readings
from lifeline.core.errors import UnavailableError
from lifeline.core.ports import Log
from lifeline.core.schema import REJECTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from lifeline.core.batch import LogRecord

PATIENCE_S: Final = 20.0
"""A commit takes a millisecond; this long without one is a failure, not slowness."""


class ContractError(AssertionError):
    """The implementation breaks a promise; the message says which."""


def expect(kept: object, promise: str) -> None:
    """Raise ContractError unless ``kept``."""
    if not kept:
        raise ContractError(promise)


def sample_batch(tag: int, rows: int = 3, *, received_at: int = 1_000, rejects: int = 0) -> IngestBatch:
    """A batch in which every value says which batch it belongs to: ``seq`` is ``tag``, ``value`` is tag + i / 1024."""
    steps = np.arange(rows)
    readings = Readings(
        point=steps.astype(np.int32),
        ts=np.full(rows, received_at, np.int64),
        received_at=np.full(rows, received_at, np.int64),
        value=tag + steps / 1024,
        seq=np.full(rows, tag, np.uint32),
        quality=np.zeros(rows, np.uint8),
        flags=np.zeros(rows, np.uint8),
    )
    rows_bad = [
        {
            "received_at": received_at,
            "broker": "city",
            "topic": f"lifeline/{tag}",
            "payload": b"\x00\xff" * i,
            "reason": "malformed_payload",
            "detail": "",
            "readings": i,
        }
        for i in range(rejects)
    ]
    return IngestBatch(received_at, readings, pa.RecordBatch.from_pylist(rows_bad, schema=REJECTS) if rejects else None)


class Acks:
    """Callbacks as they come: ``order`` of (tag, error)."""

    def __init__(self) -> None:
        self.order: list[tuple[int, BaseException | None]] = []
        self._changed = threading.Condition()

    def expecting(self, tag: int) -> Callable[[BaseException | None], None]:
        """The callback of one batch."""

        def on_commit(error: BaseException | None) -> None:
            with self._changed:
                self.order.append((tag, error))
                self._changed.notify_all()

        return on_commit

    def wait(self, count: int) -> None:
        """Until ``count`` callbacks came."""
        with self._changed:
            came = self._changed.wait_for(lambda: len(self.order) >= count, PATIENCE_S)
        expect(came, f"{count} callbacks within {PATIENCE_S} s, got {len(self.order)}")

    @property
    def good(self) -> list[int]:
        """Tags committed, in order."""
        return [tag for tag, error in self.order if error is None]


def all_records(log: Log, after: int | None = None) -> list[LogRecord]:
    """Every record past ``after`` (default: all there are), by as many reads as it takes."""
    position = log.first - 1 if after is None else after
    found: list[LogRecord] = []
    while records := log.read(position):
        expect([r.lsn for r in records] == list(range(position + 1, position + 1 + len(records))), "lsns without a gap")
        found += records
        position = records[-1].lsn
    return found


def tags(records: list[LogRecord]) -> list[int]:
    """The tags of the sample batches in these records, in order."""
    return [int(record.readings.seq[0]) for record in records if len(record.readings)]


def check_log(make_log: Callable[[], Log]) -> None:
    """Check an implementation of ``ports.Log``.

    Args:
        make_log: returns a new, empty log each time; the checks close it.

    Raises:
        ContractError: a promise is broken.
    """
    for check in (
        _check_empty,
        _check_append_and_read,
        _check_limits_of_read,
        _check_order,
        _check_offer,
        _check_clock,
        _check_wait,
        _check_trim,
        _check_close,
    ):
        log = make_log()
        expect(isinstance(log, Log), "it has every verb of ports.Log")
        try:
            check(log)
        finally:
            log.close()


def _append_all(log: Log, count: int, rows: int = 3) -> Acks:
    acks = Acks()
    for tag in range(1, count + 1):
        log.append(sample_batch(tag, rows), acks.expecting(tag))
    acks.wait(count)
    return acks


def _check_empty(log: Log) -> None:
    came = log.committed - log.first + 1  # clock records, which may come at any time
    expect(came >= 0, "an empty log has committed = first - 1")
    records = log.read(log.first - 1)
    expect(len(records) >= came and tags(records) == [], "a new log holds nothing but clock records")
    expect(log.fault is None, "a new log is healthy")
    expect(tags(log.read(log.committed)) == [], "nothing to read in an empty log")
    log.wait(log.committed, 0.0)  # returns at once; a clock record may have come


def _check_append_and_read(log: Log) -> None:
    acks = Acks()
    batch = sample_batch(7, 5, received_at=1_123, rejects=2)
    log.append(batch, acks.expecting(7))
    acks.wait(1)
    expect(acks.order == [(7, None)], "on_commit(None) once")
    expect(log.committed >= 1, "committed counts it")
    record = next(r for r in all_records(log) if len(r.readings))
    for name in ("point", "ts", "received_at", "value", "seq", "quality", "flags"):
        got, sent = getattr(record.readings, name), getattr(batch.readings, name)
        expect(got.dtype == sent.dtype and np.array_equal(got, sent), f"column {name} comes back as it was")
    expect(record.rejects is not None and record.rejects.equals(batch.rejects), "rejects come back as they were")
    expect(record.received_at >= batch.received_at, "received_at is not before the batch's")
    only_rejects = IngestBatch(124, Readings.empty(), sample_batch(8, 1, rejects=1).rejects)
    log.append(only_rejects, acks.expecting(8))
    acks.wait(2)
    last = [r for r in all_records(log) if r.rejects is not None][-1]
    expect(len(last.readings) == 0, "a batch may carry rejects only")
    nan = sample_batch(9, 2)
    nan.readings.value[:] = np.nan
    log.append(nan, acks.expecting(9))
    acks.wait(3)
    values = [r for r in all_records(log) if len(r.readings)][-1].readings.value
    expect(np.isnan(values).all(), "NaN (a null value) survives")


def _check_limits_of_read(log: Log) -> None:
    _append_all(log, 9)
    start = log.first - 1
    everything = all_records(log)
    expect(tags(everything) == list(range(1, 10)), "all batches, in order")
    expect(len(log.read(start, records_max=4)) == 4, "records_max bounds a read")
    expect(len(log.read(start, bytes_max=1)) == 1, "at least one record, however small bytes_max")
    again = all_records(log, everything[2].lsn)
    expect([r.lsn for r in again][:1] == [everything[3].lsn], "read(after) begins right after it")
    expect(tags(log.read(log.committed)) == [], "nothing past the end, without blocking")


def _check_order(log: Log) -> None:
    acks = Acks()

    def appender(lane: int) -> None:
        for i in range(25):
            log.append(sample_batch(lane * 1000 + i, 2), acks.expecting(lane * 1000 + i))

    threads = [threading.Thread(target=appender, args=(lane,), daemon=True) for lane in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
        expect(not thread.is_alive(), "append comes back")
    acks.wait(75)
    expect(tags(all_records(log)) == acks.good, "callbacks come in log order")
    for lane in (1, 2, 3):
        mine = [tag for tag in acks.good if tag // 1000 == lane]
        expect(mine == [lane * 1000 + i for i in range(25)], "each appender's batches keep their order")


def _check_offer(log: Log) -> None:
    acks = Acks()
    for tag in range(1, 201):
        batch = sample_batch(tag)
        if tag % 3 == 0 or not log.offer(batch, acks.expecting(tag)):
            log.append(batch, acks.expecting(tag))
    acks.wait(200)
    expect(acks.good == list(range(1, 201)), "offered batches and appended ones are committed in the order given, once")
    expect(tags(all_records(log)) == acks.good, "and stand so in the log")


def _check_clock(log: Log) -> None:
    acks = Acks()
    for tag, at in enumerate((500, 400, 600), 1):
        log.append(sample_batch(tag, received_at=at), acks.expecting(tag))
        acks.wait(tag)
    records = all_records(log)
    times = [record.received_at for record in records]
    expect(times == sorted(times), "received_at never decreases")
    rows = [int(at) for record in records for at in record.readings.received_at]
    expect(rows == sorted(rows) and set(rows) <= set(times), "nor does it from row to row, over records")
    expect(times[-1] >= 600, "received_at follows the batches")


def _check_wait(log: Log) -> None:
    seen: list[bool] = []
    position = log.committed
    waiter = threading.Thread(target=lambda: seen.append(log.wait(position, PATIENCE_S)), daemon=True)
    waiter.start()
    _append_all(log, 1)
    waiter.join(PATIENCE_S)
    expect(seen == [True], "wait returns True once there is something")
    expect(log.wait(position, 0.0), "and at once when there already is")


def _check_trim(log: Log) -> None:
    _append_all(log, 20)
    before, last = log.first, log.committed
    log.trim(last + 1)
    expect(before <= log.first <= last + 1, "trim moves first, never past the end")
    expect(log.committed >= last, "trim does not move committed")
    expect(tags(log.read(log.committed)) == [], "the end can still be read")
    if log.first > before:
        try:
            log.read(before - 1)
        except LookupError:
            pass
        else:
            raise ContractError("reading what was trimmed raises LookupError")
    _append_all(log, 1)
    expect(all_records(log)[-1].lsn > last, "lsns go on after a trim")


def _check_close(log: Log) -> None:
    acks = Acks()
    for tag in range(1, 4):
        log.append(sample_batch(tag), acks.expecting(tag))
    log.close()
    expect(acks.good == [1, 2, 3], "close commits what is queued")
    log.close()
    expect(not log.wait(log.committed, PATIENCE_S), "wait returns False once closed, without its time-out")
    try:
        log.append(sample_batch(4), acks.expecting(4))
    except UnavailableError:
        pass
    else:
        raise ContractError("append after close raises UnavailableError")
    try:
        log.offer(sample_batch(5), acks.expecting(5))
    except UnavailableError:
        pass
    else:
        raise ContractError("offer after close raises UnavailableError")
    expect(len(acks.order) == 3, "a refused batch has no callback")
