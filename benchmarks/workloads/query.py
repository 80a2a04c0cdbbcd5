"""``query``: what analysts ask, over the published catalog, while it is being written and afterwards.

Ours: the views of ``catalog.sql`` over the merged lake. Baseline: the same SQL in the same DuckDB over the same rows as
plain zstd Parquet files in the order of arrival, one a record, joined with the registry by hand: what is there when
nobody sorts, merges or publishes. Pairs are interleaved, and both must give the same answer, row by row.

While another process writes a report of the whole fleet each second and merges files, the same questions are asked by
newly opened connections: none may fail, and the number of rows may only grow. The hash is over the answers afterwards.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Final

import duckdb
import numpy as np

from benchmarks.harness import Figure, Result, figure, interleaved, progress
from benchmarks.site import Child
from benchmarks.streams import EPOCH_MS, sensors_at
from lifeline.lake.query import open_catalog

if TYPE_CHECKING:
    import pyarrow as pa

RECORDS: Final = 12
PAIRS: Final = 5
WHILE_S: Final = 10.0
DEVICE: Final = "(SELECT min(device_id) FROM points WHERE utility = 'gas')"
SINCE: Final = f"make_timestamptz({(EPOCH_MS + 20_000) * 1000})"
UNTIL: Final = f"make_timestamptz({(EPOCH_MS + 40_000) * 1000})"
WINDOW: Final = f"ts >= {SINCE} AND ts < {UNTIL}"
QUESTIONS: Final = {
    # one sensor's curve
    "point": f"SELECT ts, quantity, value FROM readings WHERE device_id = {DEVICE} ORDER BY ALL",  # noqa: S608
    # the last value of everything
    "latest": "SELECT point, max(ts) AS ts, arg_max(value, ts) AS value FROM readings_raw GROUP BY point ORDER BY ALL",
    # a chart of each utility and quantity
    "buckets": "SELECT time_bucket(INTERVAL 10 SECOND, ts) AS t, utility, quantity, count(*) AS n, min(value) AS low, "
    "max(value) AS high, avg(value) AS average FROM readings GROUP BY ALL ORDER BY ALL",
    # a window of time, by district
    "window": f"SELECT left(area_code, 6) AS district, quantity, count(*) AS n, avg(value) AS average "  # noqa: S608
    f"FROM readings WHERE {WINDOW} GROUP BY ALL ORDER BY ALL",
    # who is near the end of its span
    "near_limit": "SELECT p.device_id, p.quantity, max(r.value) AS high FROM readings_raw AS r JOIN points AS p "
    "USING (point) WHERE p.utility = 'gas' AND r.value > 0.8 * p.span_high GROUP BY ALL "
    "ORDER BY high DESC, p.device_id, p.quantity LIMIT 100",
    # is anything missing
    "counts": "SELECT utility, count(*) AS n, count(DISTINCT point) AS points, max(ts) AS newest FROM readings "
    "GROUP BY utility ORDER BY ALL",
}
PLAIN: Final = """\
CREATE VIEW points AS SELECT * FROM read_parquet('{folder}/points.parquet');
CREATE VIEW readings_raw AS SELECT * FROM read_parquet('{folder}/plain/*.parquet');
CREATE VIEW readings AS SELECT r.ts, r.received_at, p.device_id, p.quantity, r.value, p.unit, r.quality,
  p.utility, p.area_code, r.point, r.seq FROM readings_raw r LEFT JOIN points p USING (point);
"""


def run(scale: float) -> Result:
    """Afterwards in pairs, then while writing."""
    result = Result("query", scale)
    with tempfile.TemporaryDirectory(prefix="lifeline-bench-") as name:
        folder = Path(name)
        progress("building the lake and the plain files")
        with Child("benchmarks.lake_writer", [sensors_at(scale), RECORDS, folder]) as writer:
            rows = writer.hear()["rows"]
            result.hash = _afterwards(result, folder, rows)
            progress("asking while it is being written")
            writer.tell("write")
            writer.hear()
            asked = _meanwhile(result, folder, max(2.0, WHILE_S * min(scale, 1.0)))
            writer.tell("stop")
            told = writer.hear()
        with open_catalog(folder / "var") as db:
            ((count,),) = db.sql("SELECT count(*) FROM readings_raw").fetchall()
        assert count == told["rows"], f"{told['rows'] - count} rows are not in the catalog"
        result.figures["lost"] = Figure(told["rows"] - count, "rows", 0, "lower")
        result.notes.append(
            f"{rows:,} rows; while writing {asked} questions by new connections, {told['merges']} merges, no error"
        )
    return result


def _afterwards(result: Result, folder: Path, rows: int) -> str:
    """Pairs, and the digest of the answers."""
    digest = blake2b(digest_size=16)
    peer: dict[str, object] = {}
    times = []
    with open_catalog(folder / "var", memory_limit="4GB") as ours, duckdb.connect(config={"threads": 2}) as plain:
        plain.execute("SET TimeZone = 'UTC'")
        plain.execute(PLAIN.format(folder=folder))
        for name, sql in QUESTIONS.items():
            progress(f"asking: {name}")
            pairs = interleaved("query", partial(_ask, ours, sql), partial(_ask, plain, sql), PAIRS)
            a, b = _ask(ours, sql), _ask(plain, sql)
            _must_agree(name, a, b)
            digest.update(_digest(name, a))
            ratios = pairs.ratios(rows, rows, "wall_s")
            times.append(statistics.median(ratios))
            result.figures[f"{name}_ms"] = figure((c.wall_s * 1e3 for c in pairs.ours), "ms", better="lower")
            result.figures[f"{name}_times_plain"] = figure(ratios, "x")
            peer[f"{name}_ms"] = figure((c.wall_s * 1e3 for c in pairs.baseline), "ms", better="lower").json()
    result.figures["times_plain"] = Figure(statistics.geometric_mean(times), "x, geometric mean")
    result.peers["plain Parquet in DuckDB"] = peer
    return digest.hexdigest()


def _meanwhile(result: Result, folder: Path, seconds: float) -> int:
    """New connections, question after question, for so long; how many."""
    opens: list[float] = []
    took: dict[str, list[float]] = {name: [] for name in QUESTIONS}
    counted = asked = 0
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or not all(took.values()):
        for name, sql in QUESTIONS.items():
            began = time.perf_counter()
            with open_catalog(folder / "var", memory_limit="4GB") as db:
                opens.append(time.perf_counter() - began)
                began = time.perf_counter()
                answer = _ask(db, sql)
                took[name].append(time.perf_counter() - began)
            asked += 1
            if name == "counts":
                count = sum(answer["n"].to_pylist())
                assert count >= counted, f"{counted - count} rows vanished from the catalog while it was written"
                counted = count
    result.figures["while_open_ms"] = figure((s * 1e3 for s in opens), "ms", better="lower")
    for name, times in took.items():
        result.figures[f"while_{name}_ms"] = figure((s * 1e3 for s in times), "ms", better="lower")
    return asked


def _ask(db: duckdb.DuckDBPyConnection, sql: str) -> pa.Table:
    return db.sql(sql).to_arrow_table()


def _must_agree(name: str, ours: pa.Table, plain: pa.Table) -> None:
    assert ours.num_rows == plain.num_rows > 0, f"{name}: {ours.num_rows} rows, by the baseline {plain.num_rows}"
    for column in ours.column_names:
        a, b = ours[column], plain[column]
        if column == "average":
            # the order of adding is not fixed
            assert np.allclose(a.to_numpy(), b.to_numpy(), rtol=1e-9, equal_nan=True), f"{name}: {column} differs"
        else:
            assert a.cast(b.type).equals(b), f"{name}: {column} differs from the baseline's"


def _digest(name: str, answer: pa.Table) -> bytes:
    kept = answer.drop_columns([c for c in answer.column_names if c == "average"])
    return f"{name} {kept.num_rows}\n{kept.to_pydict()}".encode()
