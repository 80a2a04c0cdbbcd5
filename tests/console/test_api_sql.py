"""The analysts' endpoint: right answers within bounds, and a list of escapes of which none works (reliability S03)."""

from __future__ import annotations

import io
import os
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lifeline.app.http.sql import SqlRunner
from lifeline.console.problem import ProblemError
from lifeline.core.principal import Grant, Principal
from lifeline.governance.actor import Actor
from lifeline.governance.desk import GovernanceDesk
from lifeline.lake import query
from lifeline.lake.catalog import Catalog
from lifeline.lake.selects import QueryError
from tests.console.conftest import NOW_MS

ANALYST = Principal("analyst1", (Grant("analyst"),), via="token")


def ask(client: Any, sql: str, *, as_: str = "analyst", **more: Any) -> Any:
    return client.ask("POST", "/api/v1/sql", as_=as_, json={"sql": sql, **more})


def test_a_query_answers_in_three_forms(client: Any) -> None:
    sql = "SELECT utility, count(*) AS n FROM points GROUP BY ALL ORDER BY ALL"
    body = ask(client, sql).json()
    assert (body["columns"], body["rows"]) == (["utility", "n"], [["gas", 2], ["water", 2]])
    assert ask(client, sql, format="csv").text == "utility,n\ngas,2\nwater,2\n"
    table = pa.ipc.open_stream(io.BytesIO(ask(client, sql, format="arrow").content)).read_all()
    assert table.to_pylist() == [{"utility": "gas", "n": 2}, {"utility": "water", "n": 2}]
    last = "WITH last AS (SELECT point, max(ts) AS ts FROM readings_raw GROUP BY ALL) SELECT point FROM last"
    assert ask(client, last).json()["rows"] == [[0]]
    assert len(ask(client, "DESCRIBE readings").json()["rows"]) >= 12


@pytest.mark.both_databases
def test_every_text_is_audited_before_it_runs(client: Any) -> None:
    ask(client, "SELECT 41 + 1")
    ask(client, "DROP TABLE points")
    entries = client.get("/api/v1/audit?kind=read&actor=analyst1", as_="auditor").json()["entries"]
    assert [entry["fields"]["sql"] for entry in entries if entry["action"] == "sql.query"] == [
        "DROP TABLE points",
        "SELECT 41 + 1",
    ]


def test_households_are_pseudonyms_and_positions_coarse(client: Any) -> None:
    everything = "SELECT device_id, asset_id, lon, lat FROM points ORDER BY point"
    rows = ask(client, everything).json()["rows"]
    assert rows[0][0] == "D00000"
    assert rows[1][0] == client.get("/api/v1/points", as_="viewer").json()["points"][1]["device_id"]
    assert rows[1][1].startswith("masked-")
    assert rows[1][2:] == [114.61, 34.71]
    views = ("points", "readings", "alarms", "events", "event_log", "rejects")
    whole = " UNION ALL ".join(f"SELECT '{view}' AS view, {view}::VARCHAR AS whole FROM {view}" for view in views)
    shown = ask(client, whole, format="csv").text  # in one process
    assert "points," in shown
    assert "D00001" not in shown
    purpose = {"X-Purpose": "leak search", "X-Case-Id": "C-1"}
    shown = client.ask("POST", "/api/v1/sql", as_="analyst", json={"sql": everything}, headers=purpose).json()["rows"]
    assert shown[1][:3] == ["D00001", "A1", 114.612345]


@pytest.mark.both_databases
def test_what_people_write_is_masked_as_over_the_api(client: Any) -> None:
    """Ids of household devices, positions, numbers: in notes, carried fields, titles and evidence of every view."""
    town, secrets = client.town, ("D00001", "13812345678", "113.612345", "34.712345", "wang@example.com")
    note = f"{' '.join(secrets[:2])} at {secrets[2]}, {secrets[3]}; {secrets[4]}; 王女士"
    desk = GovernanceDesk(town.site.database_url, lambda: NOW_MS)
    household = town.events[1]["event_id"]
    for number in range(2):
        desk.act(town.events[number]["event_id"], "note", Actor("li", "operator"), note)
    for action, who, role, more in (
        ("file", "wang", "dispatcher", {}),
        ("dispatch", "wang", "dispatcher", {"owner": "值班 13812345678 D00001", "co_owners": "x wang@example.com"}),
        ("accept", "li", "operator", {}),
        ("handle", "li", "operator", {}),
        ("feed-back", "li", "operator", {}),
    ):
        desk.act(household, action, Actor(who, role), note, **more)
    catalog = Catalog(town.site.data)
    tables = desk.snapshot_tables()
    events = tables["events"]  # with evidence as a check by telemetry leaves it
    evidence = pa.array(['{"alarms": [{"device_id": "D00001"}], "why": "D00001/value"}'] * events.num_rows)
    tables["events"] = events.set_column(events.schema.get_field_index("recheck"), "recheck", evidence)
    for name, table in tables.items():
        catalog.publish_table(name, table)
    catalog.publish()
    desk.close()
    mask = client.get("/api/v1/points", as_="viewer").json()["points"][1]["device_id"]
    for view in ("events", "event_log", "alarms"):
        text = ask(client, f"SELECT * FROM {view}", format="csv").text
        assert not [secret for secret in secrets if secret in text], view
        assert mask in text
    notes = ask(client, "SELECT DISTINCT note FROM event_log WHERE actor = 'li'").json()["rows"]
    assert notes == [[f"{mask} 138****5678 at 113.61, 34.71; ***; 王女士"]]
    over_api = client.get(f"/api/v1/events/{household}", as_="viewer").json()
    assert over_api["log"][-1]["note"] == notes[0][0]
    purpose = {"X-Purpose": "leak search", "X-Case-Id": "C-1"}
    body = {"sql": "SELECT note FROM event_log", "format": "csv"}
    assert note in client.ask("POST", "/api/v1/sql", as_="analyst", json=body, headers=purpose).text
    functions = "SELECT function_name FROM duckdb_functions() WHERE function_name LIKE '_hide_%'"
    assert ask(client, functions).status_code == 422


@pytest.mark.parametrize("who", ["other-area", "other-utility"])
def test_an_analyst_sees_their_areas_and_utilities_only(client: Any, who: str) -> None:
    views = ("readings", "readings_raw", "points", "alarms", "events", "event_log", "rejects", "completeness")
    counts = ", ".join(f"(SELECT count(*) FROM {view}) AS {view}" for view in views)
    assert ask(client, f"SELECT {counts}", as_=who).json()["rows"] == [[0] * len(views)]
    assert all(ask(client, f"SELECT {counts}").json()["rows"][0][:3]), "there is something to see"


ESCAPES = [
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/etc/shadow')",
    "SELECT * FROM '/etc/passwd'",
    'SELECT * FROM "/etc/passwd"',
    "SELECT * FROM 'SECRET'",
    "SELECT * FROM read_parquet('LAKE/**/*.parquet')",
    "SELECT * FROM 'LAKE/../../lifeline.toml'",
    "SELECT * FROM parquet_scan('LAKE/x.parquet')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM glob('/**')",
    "SELECT * FROM parquet_metadata('LAKE/x.parquet')",
    "SELECT * FROM 'http://127.0.0.1:1/x.parquet'",
    "SELECT * FROM 's3://bucket/x.parquet'",
    "SELECT * FROM delta_scan('LAKE/readings')",
    "SELECT * FROM sqlite_scan('DATA/governance.db', 'accounts')",
    "ATTACH 'DATA/governance.db' AS g (TYPE sqlite)",
    "ATTACH 'LAKE/evil.duckdb'",
    "COPY (SELECT 1) TO 'LAKE/evil.csv'",
    "COPY points TO 'LAKE/evil.parquet'",
    "COPY points FROM '/etc/passwd'",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO 'LAKE/evil.csv'",
    "EXPLAIN SELECT 1",
    "EXPLAIN ANALYZE SELECT 1",
    "EXPORT DATABASE 'LAKE/evil'",
    "IMPORT DATABASE 'LAKE/evil'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET memory_limit = '100GB'",
    "SET enable_external_access = true",
    "RESET lock_configuration",
    "PRAGMA database_list",
    "PRAGMA enable_profiling",
    "SELECT current_setting('allowed_directories')",
    "SELECT CURRENT_SETTING('home_directory')",
    "SELECT getenv('PATH')",
    "SELECT GetEnv('HOME')",
    "SELECT getvariable('x')",
    "SET VARIABLE x = 1",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM duckdb_views()",
    "SELECT sql FROM duckdb_views",
    "SELECT * FROM pg_catalog.pg_settings",
    "SELECT * FROM pg_settings",
    "SELECT definition FROM pg_views",
    "SELECT view_definition FROM information_schema.views",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM source.points",
    "SELECT * FROM memory.source.points",
    "SELECT * FROM memory.main.points",
    "SELECT (SELECT max(device_id) FROM source.points)",
    "WITH points AS (SELECT * FROM source.points) SELECT * FROM points",
    "SELECT * FROM points WHERE point IN (SELECT point FROM source.points)",
    "FROM query('SELECT 1')",
    "FROM query_table('points')",
    "SELECT * FROM query_table(['source.points'])",
    "SELECT * FROM (DESCRIBE source.points)",
    "SELECT * FROM (SHOW ALL TABLES)",
    "SUMMARIZE source.points",
    "CALL pragma_version()",
    "CREATE TABLE t AS SELECT 1",
    "CREATE TEMP VIEW v AS SELECT * FROM source.points",
    "CREATE MACRO m() AS 1",
    "CREATE OR REPLACE VIEW points AS SELECT 1",
    "INSERT INTO points VALUES (1)",
    "UPDATE points SET kind = 'x'",
    "DELETE FROM points",
    "DROP VIEW points",
    "ALTER VIEW points RENAME TO p",
    "TRUNCATE points",
    "VACUUM",
    "CHECKPOINT",
    "BEGIN",
    "USE source",
    "SET schema = 'source'",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "SELECT 1; SELECT 2",
    "SELECT 1; COPY (SELECT 1) TO 'LAKE/evil.csv'",
    "SELECT 1 /* ; */ ; DROP VIEW points",
    "",
    ";",
    "-- nothing",
    "SELECT write_log('x')",
    "SELECT json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT * FROM source.points'))",
    "SELECT * FROM arrow_scan(1, 2, 3)",
    "SELECT * FROM python_map_function()",
    "SELECT nextval('s')",
    "SELECT * FROM repeat_row(1, num_rows = 3)",
    "SELECT * FROM summary('points')",
    "SELECT * FROM test_all_types()",
    "SELECT * FROM which_secret('x', 's3')",
    "SELECT * FROM seq_scan('points')",
    "SELECT * FROM table_function_that_is_not()",
    "PIVOT (SELECT * FROM source.points) ON kind USING count(*)",
]


def folder(root: Path) -> dict[str, int]:
    return {str(path): path.stat().st_size for path in sorted(root.rglob("*")) if path.is_file()}


def test_none_of_the_escapes_works(client: Any, tmp_path: Path) -> None:
    data = client.town.site.data
    secret = tmp_path / "secret.csv"
    secret.write_text("password\nhunter2\n")
    before = {name: size for name, size in folder(data).items() if "governance.db" not in name}
    runner = SqlRunner(data, "key", client.app.state.lifeline.parts.audit)
    works, refusals = [], []
    try:
        queries = [
            text.replace("LAKE", str(data / "lake")).replace("SECRET", str(secret)).replace("DATA", str(data))
            for text in ESCAPES
        ]
        # all of them meet the statement's check and DuckDB's locks; a process for each takes a minute
        with closing(query.open_catalog(data, grants=None, key="key")) as connection:
            for text in queries:
                with suppress(QueryError):
                    works.append((text, query.run(connection, text, "columns", rows_max=1000)[:200]))
        for text in queries[:: 1 if os.environ.get("LIFELINE_SOAK") else 8]:
            try:
                works.append((text, runner.run(ANALYST, text, "json", 1000, masked=True)[:200]))
            except ProblemError as problem:
                refusals.append((text, problem.kind, problem.detail))
        assert b"[[4]]" in runner.run(ANALYST, "SELECT count(*) FROM points", "json", 10, masked=True)
    finally:
        runner.close()
    after = {name: size for name, size in folder(data).items() if "governance.db" not in name}
    print(f"escapes {len(works)} of {len(ESCAPES)}; layers {runner.layers}")
    assert works == []
    assert {kind for _, kind, _ in refusals} == {"invalid"}
    assert not any(leak in detail for _, _, detail in refusals for leak in ("hunter2", "root:"))
    assert before == after


def test_the_kernels_layers_hold_without_our_checks(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the sandbox itself refuses, were DuckDB's locks and the check of the statement to fail."""
    import subprocess
    import sys

    program = """
import json, sys, socket, os
from pathlib import Path
from lifeline.lake import sandbox
network = sandbox.without_network()
import duckdb
data = Path(sys.argv[1])
layers = sandbox.confine([data, *sandbox.libraries()], 20) | {"network": network}
db = duckdb.connect()
worked = []
for name, act in {
    "read": lambda: open("/etc/passwd").read(),
    "duckdb read": lambda: db.execute("SELECT * FROM read_text('/etc/passwd')").fetchall(),
    "write": lambda: open(data / "evil", "w").write("x"),
    "duckdb write": lambda: db.execute(f"COPY (SELECT 1) TO '{data}/evil.csv'"),
    "delete": lambda: os.unlink(data / "there"),
    "connect": lambda: socket.create_connection(("127.0.0.1", int(sys.argv[2])), 2),
    "run": lambda: os.execv("/bin/true", ["true"]),
}.items():
    try:
        act()
        worked.append(name)
    except (OSError, duckdb.Error):
        pass
print(json.dumps({"layers": layers, "worked": worked, "read": (data / "there").read_text()}))
"""
    import json

    inside = tmp_path / "data"
    inside.mkdir()
    (inside / "there").write_text("a reading")
    run = subprocess.run(
        [sys.executable, "-c", program, str(inside), str(client.port)], capture_output=True, text=True, check=True
    )
    found = json.loads(run.stdout)
    print(found)
    assert found["read"] == "a reading"
    if found["layers"]["landlock"] and found["layers"]["network"]:
        assert found["worked"] == []
    elif os.environ.get("CI") != "true":
        pytest.skip(f"this kernel has not every layer: {found['layers']}")
    assert [path.name for path in inside.iterdir()] == ["there"]


DENIALS = [
    "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range + b.range = -1",
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
    "SELECT length(repeat('x', 2000000000)) + length(repeat('y', 2000000000))",
    "SELECT list(range) FROM range(500000000)",
    "SELECT string_agg(repeat('x', 1000000), '') FROM range(100000)",
    "SELECT sum(sin(a.range) * cos(b.range)) FROM range(10000000) a, range(10000000) b",
]


def test_what_would_never_end_is_ended_and_others_are_answered(client: Any) -> None:
    runner = SqlRunner(client.town.site.data, "key", client.app.state.lifeline.parts.audit, timeout_s=0.5)
    try:
        for sql in DENIALS:
            started = time.monotonic()
            with suppress(ProblemError):
                runner.run(ANALYST, sql, "json", 1000, masked=True)
            assert time.monotonic() - started < 60
            assert client.get("/healthz").status_code == 200
        assert runner.run(ANALYST, "SELECT 1", "json", 10, masked=True)
    finally:
        runner.close()


def test_rows_and_bytes_are_bounded(client: Any) -> None:
    assert ask(client, "SELECT * FROM range(11)", rows_max=10).status_code == 422
    assert len(ask(client, "SELECT * FROM range(10)", rows_max=10).json()["rows"]) == 10
    big = ask(client, "SELECT repeat('x', 1000000) FROM range(100)", rows_max=1000)
    assert (big.status_code, "bytes" in big.json()["detail"]) == (422, True)
    assert ask(client, "SELECT 1", rows_max=100_001).status_code == 422
    assert ask(client, "SELECT 1", format="xml").status_code == 422


def test_only_analysts_ask(client: Any) -> None:
    for role in ("viewer", "operator", "dispatcher", "auditor", "admin", "security", "reporter"):
        assert ask(client, "SELECT 1", as_=role).status_code == 403, role
