"""The oracle of the fleet's runs finds what was planted, packed and by SQL alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.e2e.books import Books, balance, balance_by_sql

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

ROWS = 5_000


def rows(wide: bool) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    rng = np.random.default_rng(3)
    point = rng.integers(0, 600, ROWS)
    ms = 1_800_000_000_000 + np.arange(ROWS) // 600 * 1_000
    seq = (rng.integers(0, 1 << 31, 600)[point] + np.arange(ROWS)) % (1 << 32)
    if wide:  # a device that has forgotten its sequence
        seq[-1] = (seq[-1] + (1 << 31)) % (1 << 32)
    return point, ms, seq


@pytest.mark.parametrize("wide", [False, True], ids=["packed", "too wide to pack"])
@pytest.mark.parametrize("fault", ["none", "lost", "rejected", "phantom", "doubled", "unacknowledged", "empty"])
def test_planted_faults_are_counted(tmp_path: Path, fault: str, wide: bool) -> None:
    point, ms, seq = rows(wide)
    ledger, catalog = tmp_path / "ledger.parquet", tmp_path / "lifeline.duckdb"
    acked = np.ones(ROWS, np.bool_)
    kept = np.arange(ROWS)
    if fault in {"lost", "rejected", "unacknowledged"}:
        kept = kept[7:]
    if fault == "unacknowledged":
        acked[:7] = False
    if fault == "doubled":
        kept = np.concatenate([kept, kept[:3], kept[:1]])
    if fault == "empty":
        kept = kept[:0]
    sent = slice(5, None) if fault == "phantom" else slice(None)
    time = pa.timestamp("ms", tz="UTC")

    def table(pick: NDArray[np.int64] | slice) -> pa.Table:
        columns = {
            "point": pa.array(point[pick], pa.int32()),
            "ts": pa.array(ms[pick]).cast(time),
            "seq": pa.array(seq[pick], pa.uint32()),
            "acked": pa.array(acked[pick]),
        }
        return pa.table(columns)

    pq.write_table(table(sent), ledger)
    with duckdb.connect(str(catalog)) as db:
        db.register("kept", table(kept))
        db.execute("CREATE TABLE readings_raw AS SELECT point, ts, seq FROM kept")
        db.execute("CREATE TABLE points AS SELECT i::INTEGER AS point, 'D' || i AS device_id FROM range(600) t(i)")
        db.execute("CREATE TABLE rejects (reason VARCHAR, payload BLOB)")
        if fault == "rejected":
            db.execute(
                "INSERT INTO rejects SELECT 'range', encode('{\"id\": \"D' || p || '\", \"ts\": ' || t || '}') "
                "FROM (SELECT unnest(?::INTEGER[]) AS p, unnest(?::BIGINT[]) AS t)",
                [point[:7].tolist(), ms[:7].tolist()],
            )
    expected = {
        "none": Books(ROWS, ROWS, 0, 0, 0),
        "lost": Books(ROWS, ROWS - 7, 7, 0, 0),
        "rejected": Books(ROWS, ROWS - 7, 0, 0, 0),
        "phantom": Books(ROWS - 5, ROWS, 0, 5, 0),
        "doubled": Books(ROWS, ROWS + 4, 0, 0, 4),
        "unacknowledged": Books(ROWS - 7, ROWS - 7, 0, 0, 0),
        "empty": Books(ROWS, 0, ROWS, 0, 0),
    }[fault]
    assert balance(catalog, ledger) == expected
    with duckdb.connect(str(catalog), read_only=True) as db:
        assert balance_by_sql(db, ledger) == expected
