"""The books of a run: the publisher's ledger, outside of the victim, against what the engine kept.

A run of the whole fleet has fifty million readings on each side. ``balance`` packs a reading's identity into 64 bits,
sorts and compares; ``balance_by_sql`` says the same as one aggregation, in three times the CPU, and is asked when a
reading does not fit or when something is lost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import duckdb
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

KEPT: Final = "readings_raw"
_POINT_BITS: Final = 20
_TIME_BITS: Final = 23
_SEQ_BITS: Final = 21
_BATCH_ROWS: Final = 1 << 20


@dataclass(frozen=True)
class Books:
    """``lost``, ``phantom`` and ``doubled`` must be zero."""

    acknowledged: int
    """Readings that the broker acknowledged to the publisher, repeats included."""
    stored: int
    lost: int
    """Acknowledged by the broker, neither stored nor rejected."""
    phantom: int
    """Stored, never sent."""
    doubled: int
    """Stored more than once."""


class DoesNotFitError(ValueError):
    """A reading's identity is wider than 64 bits."""


def balance(catalog: Path, ledger: Path) -> Books:
    """Compare sets of (point, ts, seq): publisher and engine number the points of one registry file alike.

    Args:
        catalog: the published DuckDB file.
        ledger: what the publisher wrote, ``simulators.ledger.LEDGER``.
    """
    with duckdb.connect(str(catalog), read_only=True) as db:
        try:
            counted = _balance_packed(db, f"read_parquet('{ledger}')")
        except DoesNotFitError:
            return balance_by_sql(db, ledger)
        return balance_by_sql(db, ledger) if counted.lost else counted


def _balance_packed(db: duckdb.DuckDBPyConnection, sent_rows: str) -> Books:
    packed = _Packed(db, sent_rows)
    sent, acked = packed.read(db, sent_rows, "acked")
    kept, _ = packed.read(db, KEPT, "true")
    stored = _distinct(kept)
    acknowledged = _distinct(sent[acked])
    everything = acknowledged if acked.all() else _distinct(sent)
    return Books(
        acknowledged=int(acked.sum()),
        stored=len(kept),
        lost=len(acknowledged) - _in_both(acknowledged, stored),
        phantom=len(stored) - _in_both(everything, stored),
        doubled=len(kept) - len(stored),
    )


class _Packed:
    """(point, ts, seq) as 64 bits, without loss: time from the first one on, sequence from the point's first one on."""

    def __init__(self, db: duckdb.DuckDBPyConnection, sent_rows: str) -> None:
        [found] = db.sql(
            "SELECT epoch_ms(min(ts)), epoch_ms(max(ts)), min(point), max(point) FROM "
            f"(SELECT ts, point FROM {sent_rows} UNION ALL SELECT ts, point FROM {KEPT})"
        ).fetchall()
        first, last, lowest, highest = (int(value or 0) for value in found)
        if lowest < 0 or highest >> _POINT_BITS or (last - first) >> _TIME_BITS:
            raise DoesNotFitError
        self._first_ms = first
        self._base = np.full(highest + 1, -1, np.int64)

    def read(
        self, db: duckdb.DuckDBPyConnection, rows: str, acked: str
    ) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
        """One key a row of the relation, and its ``acked``."""
        keys: list[NDArray[np.uint64]] = [np.zeros(0, np.uint64)]
        flags: list[NDArray[np.bool_]] = [np.zeros(0, np.bool_)]
        columns = f"SELECT point, epoch_ms(ts) - {self._first_ms} AS ms, seq, {acked} AS acked FROM {rows}"
        for batch in db.sql(columns).to_arrow_reader(_BATCH_ROWS):
            point, ms, seq, flag = (column.to_numpy(zero_copy_only=False) for column in batch.columns)
            keys.append(self._pack(point, ms, seq.astype(np.int64)))
            flags.append(flag.astype(np.bool_))
        return np.concatenate(keys), np.concatenate(flags)

    def _pack(self, point: NDArray[np.int32], ms: NDArray[np.int64], seq: NDArray[np.int64]) -> NDArray[np.uint64]:
        fresh = np.flatnonzero(self._base[point] < 0)[::-1]  # backwards, so that a point's first one stays
        self._base[point[fresh]] = seq[fresh]
        offset = seq - self._base[point] + (1 << (_SEQ_BITS - 1))
        if len(offset) and (offset.min() < 0 or int(offset.max()) >> _SEQ_BITS):
            raise DoesNotFitError
        packed = (point.astype(np.int64) << (_TIME_BITS + _SEQ_BITS)) | (ms << _SEQ_BITS) | offset
        return packed.view(np.uint64)


def _distinct(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    ordered = np.sort(keys)
    if not len(ordered):
        return ordered
    return ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])]


def _in_both(some: NDArray[np.uint64], others: NDArray[np.uint64]) -> int:
    """How many keys two distinct lists share."""
    together = np.concatenate([some, others])
    together.sort(kind="stable")  # merges two runs
    return int(np.count_nonzero(together[1:] == together[:-1]))


def balance_by_sql(db: duckdb.DuckDBPyConnection, ledger: Path) -> Books:
    """The same as one aggregation; what was rejected is not lost."""
    sides = (
        f"SELECT point, ts, seq, acked, 1 AS sent, 0 AS kept FROM read_parquet('{ledger}') "
        f"UNION ALL SELECT point, ts, seq, false, 0, 1 FROM {KEPT}"
    )
    rows = (
        "SELECT point, ts, seq, count(*) FILTER (acked) AS acked, sum(sent) AS sent, sum(kept) AS kept "
        f"FROM ({sides}) GROUP BY point, ts, seq"
    )
    [found] = db.sql(
        "SELECT coalesce(sum(acked), 0), coalesce(sum(kept), 0), count(*) FILTER (acked > 0 AND kept = 0), "
        f"count(*) FILTER (sent = 0), coalesce(sum(kept - 1) FILTER (kept > 1), 0) FROM ({rows})"
    ).fetchall()
    counted = Books(*map(int, found))
    if counted.lost == 0:
        return counted
    # its object lies in the rejects, by device and time
    refused = (
        "SELECT json_extract_string(payload::VARCHAR, '$.id') AS device_id, "
        "make_timestamp(json_extract(payload::VARCHAR, '$.ts')::BIGINT * 1000) AT TIME ZONE 'UTC' AS ts "
        "FROM (SELECT decode(payload) AS payload FROM rejects WHERE reason <> 'duplicate')"
    )
    [lost] = db.sql(
        f"SELECT count(*) FROM (SELECT * FROM ({rows}) WHERE acked > 0 AND kept = 0) "
        f"JOIN points USING (point) ANTI JOIN ({refused}) USING (device_id, ts)"
    ).fetchall()
    return replace(counted, lost=int(lost[0]))
