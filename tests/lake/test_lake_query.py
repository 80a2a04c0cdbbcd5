"""``lifeline sql``: right results in every format, and refusals that say why."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lifeline.core.errors import ConfigurationError, UnavailableError
from lifeline.lake.catalog import Catalog
from lifeline.lake.query import fetch, open_catalog, run
from lifeline.lake.selects import QueryError
from lifeline.lake.writer import LakeFollower

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb


@pytest.fixture
def data(tmp_path: Path, record: Any, source: Any) -> Path:
    catalog = Catalog(tmp_path)
    catalog.publish_table("points", source(40).current().points)
    catalog.publish_table(
        "events", pa.table({"event_id": ["e1"], "title": ["=燃气泄漏"], "raised_at": [1_795_000_000_123]})
    )
    lake = LakeFollower(tmp_path, catalog)
    lake.consume([record(lsn) for lsn in range(1, 8)])
    lake.close()
    (tmp_path / "secret.txt").write_text("password")
    return tmp_path


@pytest.fixture
def connection(data: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    opened = open_catalog(data)
    yield opened
    opened.close()


QUERY = "SELECT event_id, title, raised_at, closed_at, false_alarm FROM events"


ODD = """SELECT 1 AS a, 2 AS a, 3 AS a_1, sum(x) AS total, 1.5 AS tenths, 0.1234567890123456789 AS fine,
       TIMESTAMPTZ '2026-11-26 08:00:00Z' - TIMESTAMPTZ '2026-11-24 06:59:59.5Z' AS lasted,
       INTERVAL '-14 months' - INTERVAL '30 minutes' AS back, [1.5, NULL] AS several FROM range(4) r(x)"""


def test_columns_of_one_name_sums_and_spans_of_time(connection: duckdb.DuckDBPyConnection) -> None:
    """What an analyst's join and sums give: every column under a name of its own, numbers as numbers."""
    shown = "2 days 01:00:00.5"
    row = {
        "a": 1, "a_2": 2, "a_1": 3, "total": 6, "tenths": 1.5, "fine": "0.1234567890123456789",
        "lasted": shown, "back": "-1 year -2 months -00:30:00", "several": [1.5, None],
    }  # fmt: skip
    assert json.loads(run(connection, ODD, "json")) == [row]
    columns = json.loads(run(connection, ODD, "columns"))
    assert (columns["columns"], columns["rows"]) == (list(row), [list(row.values())])
    head, *rows = csv.reader(io.StringIO(run(connection, ODD, "csv").decode()))
    assert (head, rows) == (
        list(row),
        [["1", "2", "3", "6", "1.5", row["fine"], shown, row["back"], "[1.5,null]"]],
    )
    table = run(connection, ODD, "table").decode().splitlines()
    assert table[0].split() == list(row)
    assert table[2].startswith("1    2    3")
    assert pq.read_table(io.BytesIO(run(connection, ODD, "parquet")), columns=["a_2", "lasted"]).to_pylist() == [
        {"a_2": 2, "lasted": shown}
    ]
    joined = json.loads(run(connection, "SELECT * FROM readings JOIN points USING (point) LIMIT 1", "json"))[0]
    assert joined["device_id"] == joined["device_id_1"]


def test_formats(connection: duckdb.DuckDBPyConnection) -> None:
    assert json.loads(run(connection, QUERY, "json")) == [
        {
            "event_id": "e1",
            "title": "=燃气泄漏",
            "raised_at": "2026-11-18T11:06:40.123Z",
            "closed_at": None,
            "false_alarm": None,
        }
    ]
    assert list(csv.reader(io.StringIO(run(connection, QUERY, "csv").decode()))) == [
        ["event_id", "title", "raised_at", "closed_at", "false_alarm"],
        ["e1", "'=燃气泄漏", "2026-11-18T11:06:40.123Z", "", ""],
    ]
    table = pq.read_table(io.BytesIO(run(connection, QUERY, "parquet")))
    assert table["title"].to_pylist() == ["=燃气泄漏"]
    assert (
        run(connection, QUERY, "table")
        .decode()
        .splitlines()[2]
        .startswith("e1        =燃气泄漏  2026-11-18T11:06:40.123Z")
    )
    assert run(connection, "SELECT 1 AS one WHERE false", "json") == b"[]\n"


def test_a_blob_that_is_not_text(connection: duckdb.DuckDBPyConnection) -> None:
    for output in ("table", "csv", "json"):
        assert b"xff{" in run(connection, "SELECT payload FROM rejects", output)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM readings",
        "WITH r AS (FROM readings_raw) SELECT point, avg(value) FROM r GROUP BY ALL;",
        "FROM points LIMIT 1",
        "DESCRIBE readings",
        "SELECT * FROM range(3), unnest([1, 2])",
        "SELECT date_trunc('hour', ts) AS h, count(*) FROM readings GROUP BY 1 UNION ALL SELECT NULL, 1",
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'readings'",
    ],
)
def test_allowed(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    assert fetch(connection, sql).num_rows > 0


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("", "exactly one statement"),
        ("SELECT 1; SELECT 2", "exactly one statement"),
        ("SELEC 1", "syntax error"),
        ("SELECT nothing FROM readings", "nothing"),
        ("DROP VIEW readings", "only SELECT"),
        ("CREATE TABLE t AS SELECT 1", "only SELECT"),
        ("INSERT INTO readings SELECT 1", "only SELECT"),
        ("COPY (SELECT 1) TO '{data}/lake/x.csv'", "only SELECT"),
        ("EXPLAIN ANALYZE COPY (SELECT 1) TO '{data}/lake/x.csv'", "only SELECT"),
        ("ATTACH '{data}/lake/x.db'", "only SELECT"),
        ("EXPORT DATABASE '{data}/lake/x'", "only SELECT"),
        ("SET memory_limit = '9GB'", "only SELECT"),
        ("PRAGMA database_list", "only"),
        ("INSTALL httpfs", "only SELECT"),
        ("SELECT * FROM read_text('{data}/secret.txt')", "not allowed"),
        ("SELECT * FROM '{data}/secret.txt'", "not a view"),
        ("SELECT * FROM read_parquet('{data}/lake/readings/*/*.parquet')", "not allowed"),
        ("SELECT * FROM (SELECT * FROM glob('/*'))", "not allowed"),
        ("SELECT (SELECT content FROM read_text('/etc/passwd'))", "not allowed"),
        ("SELECT * FROM query('SELECT 1')", "not allowed"),
        ("SELECT * FROM query_table('readings')", "not allowed"),
        ("SELECT * FROM duckdb_settings()", "not allowed"),
        ("SELECT getenv('HOME')", "not allowed"),
        ("SELECT current_setting('allowed_directories')", "not allowed"),
        ("SELECT * FROM connection", "connection"),
    ],
)
def test_refused(connection: duckdb.DuckDBPyConnection, data: Path, sql: str, why: str) -> None:
    before = sorted(data.rglob("*"))
    with pytest.raises(QueryError, match=why):
        run(connection, sql.replace("{data}", str(data)), "json")

    assert sorted(data.rglob("*")) == before


def test_the_lock_holds_even_without_the_check(connection: duckdb.DuckDBPyConnection, data: Path) -> None:
    for sql in (
        "SELECT * FROM read_text('/etc/passwd')",
        f"FROM read_csv('{data}/secret.txt')",
        "SET memory_limit = '9GB'",
        "LOAD httpfs",
    ):
        with pytest.raises(Exception, match=r"(?i)permission|disabled|locked|cannot"):
            connection.execute(sql)


def test_limits(connection: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(QueryError, match="more than 10 rows"):
        run(connection, "FROM readings_raw", "json", rows_max=10)
    with pytest.raises(QueryError, match="was stopped"):
        run(connection, "SELECT count(*) FROM range(1000000000) a, range(100000) b", "json", timeout_s=0.3)
    assert fetch(connection, "SELECT 1").num_rows == 1


def test_a_snapshot_stays_consistent_while_the_engine_writes(data: Path, record: Any) -> None:
    opened = open_catalog(data)
    lake = LakeFollower(data, Catalog(data))
    lake.consume([record(8)])
    lake.close()

    assert fetch(opened, "SELECT count(*) AS n FROM readings")["n"].to_pylist() == [315]
    assert fetch(open_catalog(data), "SELECT count(*) AS n FROM readings")["n"].to_pylist() == [360]
    opened.close()


def test_a_folder_that_was_moved_says_what_to_do(data: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    moved = tmp_path_factory.mktemp("elsewhere") / "var"
    data.rename(moved)
    with pytest.raises(UnavailableError, match="start the engine there once"):
        open_catalog(moved)


def test_no_catalog_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="start the engine once"):
        open_catalog(tmp_path)


GUIDE = Path(__file__).parents[2] / "docs" / "analysts.md"


def test_every_query_of_the_guide_runs(connection: duckdb.DuckDBPyConnection) -> None:
    blocks = re.findall(r"```sql\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    queries = [query for block in blocks for query in block.split(";") if query.strip()]
    queries += re.findall(r'lifeline sql "([^"]+)"', GUIDE.read_text(encoding="utf-8"))
    assert len(queries) >= 10
    for query in queries:
        fetch(connection, query)
