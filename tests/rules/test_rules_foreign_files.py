"""``rules backtest`` and ``rules fit`` over files of others: every shape gives the same alarms, mistakes are named."""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import rules
from lifeline.app import backtest_report
from lifeline.app import foreign_history as foreign_module
from lifeline.app import spool as spool_module
from lifeline.app.backtest import backtest_rules, fit_rules
from lifeline.app.foreign_history import foreign_history
from lifeline.app.foreign_times import epoch_ms
from lifeline.app.spool import Spool
from lifeline.cli.main import app
from lifeline.core.batch import Readings
from lifeline.core.errors import ConfigurationError, UnavailableError
from lifeline.core.schema import LOG_READINGS
from rules.backtest import ALARMS

LIBRARY = Path(str(rules.__file__)).parent / "library"
START = datetime(2026, 3, 1)  # noqa: DTZ001 - files of others carry no zone
NAMES = ["site/a/ch4", "site/b/ch4", "site/b/q"]


def wide() -> pl.DataFrame:
    """Two sensors by the minute with a plume at one, and a quantity whose name is a key of our payload."""
    values = 2 + 0.02 * np.random.default_rng(1).normal(size=(400, 3))
    values[300:330, 0] += 3
    times = pl.Series([START + timedelta(minutes=k) for k in range(400)], dtype=pl.Datetime("ms"))
    return pl.DataFrame(values.round(4), schema=NAMES).insert_column(0, times.alias("ts"))


def long() -> pl.DataFrame:
    split = pl.col("variable").str.split("/")
    return (
        wide()
        .unpivot(NAMES, index="ts")
        .select("ts", device_id=pl.lit("site/") + split.list[1], quantity=split.list[2], value="value")
    )


def gz(frame: pl.DataFrame, path: Path) -> None:
    with gzip.open(path, "wb") as file:
        file.write(frame.write_csv().encode())


GAP = pl.int_range(pl.len()) % 50 == 7
SHAPES: dict[str, Callable[[Path], object]] = {
    "wide.parquet": lambda path: wide().write_parquet(path),
    "wide.csv": lambda path: wide().write_csv(path),
    "wide-z.csv": lambda path: wide().with_columns(pl.col("ts").dt.strftime("%Y-%m-%dT%H:%M:%SZ")).write_csv(path),
    "wide-ms.csv": lambda path: wide().with_columns(pl.col("ts").dt.epoch("ms")).write_csv(path),
    "wide-offset.csv": lambda path: (
        wide().with_columns(pl.col("ts").dt.offset_by("8h").dt.strftime("%Y-%m-%dT%H:%M:%S+08:00")).write_csv(path)
    ),
    "long.parquet": lambda path: long().with_columns(quality=pl.lit(0)).write_parquet(path),
    "long-utc.parquet": lambda path: (
        long().with_columns(pl.col("ts").dt.replace_time_zone("UTC").dt.cast_time_unit("us")).write_parquet(path)
    ),
    "long.csv.gz": lambda path: gz(long().sample(fraction=1.0, shuffle=True, seed=3), path),
    "semicolons.csv": lambda path: wide().select("ts", *reversed(NAMES)).write_csv(path, separator=";"),
    "a[1]*.csv": lambda path: wide().write_csv(path),
    "gaps.csv": lambda path: (
        wide().with_columns(pl.when(GAP).then(None).otherwise(pl.col(NAMES)).name.keep()).write_csv(path)
    ),
    "words.csv": lambda path: (
        long()
        .with_columns(pl.col("value").cast(pl.String), pl.col("ts").dt.to_string("%Y%m%dT%H%M%SZ"))
        .write_csv(path)
    ),
}


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    path = tmp_path / "points.csv"
    rows = [(*name.rpartition("/")[::2], "methane-ambient", "mine") for name in NAMES]
    pl.DataFrame(rows, ["device_id", "quantity", "kind", "utility"], orient="row").write_csv(path)
    return path


def run(folder: Path, data: Path | list[Path], registry: Path, **more: Any) -> dict[str, Any]:
    alarms = folder / "alarms.parquet"
    given = {"train_to": "2026-03-01T01:00:00Z", "alarms": alarms, **more}
    return backtest_rules(LIBRARY, config=folder, data=data, registry=registry, **given)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_gives_the_same_alarms(shape: str, tmp_path: Path, registry: Path) -> None:
    SHAPES[shape](tmp_path / shape)
    told: list[tuple[int, int]] = []
    report = run(tmp_path, tmp_path / shape, registry, progress=lambda _, done, of: told.append((done, of)))
    found = pq.read_table(tmp_path / "alarms.parquet")
    assert found.schema.equals(ALARMS)
    (row,) = [r for r in found.to_pylist() if r["rule_id"] == "methane.ambient.plume"]
    assert (row["device_id"], row["quantity"]) == ("site/a", "ch4")
    assert row["raised_at"].isoformat() == "2026-03-01T05:00:00+00:00"
    rows = 1200 - (24 if shape == "gaps.csv" else 0)
    assert told[-1] == (rows, rows)
    assert {"rules", "load", "elapsed_s"} <= set(report)


@pytest.mark.parametrize("folder", [True, False])
@pytest.mark.parametrize("apart", [True, False])
def test_several_files_are_one_history(apart: bool, folder: bool, tmp_path: Path, registry: Path) -> None:
    """A month each, or a device each: the same alarms as of one file. In a folder the registry is no history."""
    parts = tmp_path / "parts"
    parts.mkdir()
    registry = registry.rename(parts / "points.csv")
    (parts / "notes.md").write_text("none of it")
    if apart:
        wide()[200:].write_csv(parts / "1.csv")
        long().filter(pl.col("ts") < wide()["ts"][200]).sort("ts").write_parquet(parts / "2.parquet")
    else:
        wide().select("ts", *NAMES[:1]).write_csv(parts / "1.csv")
        gz(wide().select("ts", *NAMES[1:]), parts / "2.csv.gz")
    named: Path | list[Path] = parts if folder else [p for p in sorted(parts.iterdir()) if p.name[0] in "12"]
    told: list[tuple[str, int, int]] = []
    run(tmp_path, named, registry, progress=lambda *done: told.append(done))
    found = pq.read_table(tmp_path / "alarms.parquet")
    SHAPES["wide.parquet"](tmp_path / "d.parquet")
    run(tmp_path, tmp_path / "d.parquet", registry)
    assert found.equals(pq.read_table(tmp_path / "alarms.parquet"))
    assert told[:2] == [("reading times 读取时间", 0, 2), ("reading times 读取时间", 1, 2)]
    assert told[-1][1:] == (1200, 1200)
    assert any("putting in order" in what for what, _, _ in told) is not apart


def test_a_file_named_twice_is_read_once(tmp_path: Path, registry: Path) -> None:
    (folder := tmp_path / "parts").mkdir()
    wide().write_csv(folder / "a.csv")
    told: list[int] = []
    (folder / "c.csv").mkdir()
    run(tmp_path, [folder, folder / "a.csv"], registry, progress=lambda _, done, __: told.append(done))
    assert told[-1] == 1200
    (folder / "b.csv").symlink_to(tmp_path / "gone.csv")
    with pytest.raises(ConfigurationError, match=r"b.csv: --data: cannot be read"):
        run(tmp_path, folder, registry)


def test_a_folder_without_history_is_named(tmp_path: Path, registry: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"is a folder without any of .csv"):
        run(tmp_path, tmp_path, registry)


def test_a_truth_file_with_a_torn_line_is_refused(tmp_path: Path, registry: Path) -> None:
    """An end that is not there would mean that the fault is still going on."""
    SHAPES["wide.parquet"](tmp_path / "d.parquet")
    truth = tmp_path / "truth.csv"
    truth.write_text("fault_id,kind,device_id,quantity,start,end\nF,release,,,2026-03-01T05:00:00Z\n")
    with pytest.raises(ConfigurationError, match=r"1 lines have fewer fields than the 6 .* line 2 with 5"):
        run(tmp_path, tmp_path / "d.parquet", registry, truth=truth)


def test_sensors_that_are_devices_of_their_own_are_one_group_of_their_kind(tmp_path: Path) -> None:
    registry, names = tmp_path / "points.csv", ["a/ch4", "b/ch4", "c/ch4"]
    rows = [(name[0], "ch4", "methane-ambient") for name in names]
    points = pl.DataFrame(rows, ["device_id", "quantity", "kind"], orient="row")
    values = 2 + 0.02 * np.random.default_rng(1).normal(size=(400, 3))
    values[300:330, :2] += 3
    frame = pl.DataFrame(values.round(4), schema=names).insert_column(0, wide()["ts"])
    frame.write_parquet(tmp_path / "d.parquet")
    for named, agree in ((points, 1), (points.with_columns(group=pl.col("device_id")), 0)):
        named.write_csv(registry)
        run(tmp_path, tmp_path / "d.parquet", registry)
        found = pq.read_table(tmp_path / "alarms.parquet")["rule_id"].to_pylist()
        assert found.count("methane.ambient.agree") == agree


def test_truth_as_csv_with_nothing_in_device_and_quantity(tmp_path: Path, registry: Path) -> None:
    truth = tmp_path / "truth.csv"
    truth.write_text(
        "fault_id,kind,device_id,quantity,start,end\nF,release,,,2026-03-01T05:00:00Z,2026-03-01T05:30:00Z\n"
        "H,harmless-vent,,,2026-03-01T03:00:00Z,2026-03-01T03:30:00Z\n"
    )
    SHAPES["wide.parquet"](tmp_path / "d.parquet")
    score = run(tmp_path, tmp_path / "d.parquet", registry, truth=truth)["score"]
    assert (score["recall"], score["precision"], list(score["by_fault"])) == (1.0, 1.0, ["release"])


def test_names_that_look_like_numbers_are_names(tmp_path: Path) -> None:
    registry = tmp_path / "points.csv"
    registry.write_text("device_id,quantity,kind\n0012,1,methane-ambient\n")
    frame = wide().select("ts", device_id=pl.lit("0012"), quantity=pl.lit("1"), value="site/a/ch4")
    frame.write_csv(tmp_path / "d.csv")
    frame.write_parquet(tmp_path / "d.parquet")
    assert all("score" not in run(tmp_path, tmp_path / name, registry) for name in ("d.csv", "d.parquet"))


@pytest.mark.parametrize(
    ("row", "recall", "message"),
    [
        ("7,release,site/a,,1772341200000,", 1.0, ""),
        ("7,release,,ch4,2026-03-01 05:00,2026-03-01 05:30", 1.0, ""),
        ("7,release,,,2026-03-01 06:00,2026-03-01 06:30", 0.0, ""),
        ("7,,,,2026-03-01 06:00,2026-03-01 06:30", 0.0, "kind: is empty in a row"),
        ("7,release,,,,2026-03-01 06:30", 0.0, "start: is empty in a row"),
        ("7,release,,,1/3/26 6:00,1/3/26 6:30", 0.0, "day and month"),
        ("7,release,,,2026-03-01 06:30,2026-03-01 06:00", 0.0, "line 2: '7' ends before it starts"),
    ],
)
def test_truth_in_any_writing(row: str, recall: float, message: str, tmp_path: Path, registry: Path) -> None:
    """A fault without an end goes on; one without a start or a kind is a mistake."""
    truth = tmp_path / "truth.csv"
    truth.write_text(f"fault_id,kind,device_id,quantity,start,end,note\n{row},x\n")
    SHAPES["wide.parquet"](tmp_path / "d.parquet")
    if message:
        with pytest.raises(ConfigurationError, match=message):
            run(tmp_path, tmp_path / "d.parquet", registry, truth=truth)
        return
    assert run(tmp_path, tmp_path / "d.parquet", registry, truth=truth)["score"]["recall"] == recall


def test_a_truth_file_without_a_column_is_named(tmp_path: Path, registry: Path) -> None:
    truth = tmp_path / "truth.csv"
    truth.write_text("fault_id,device_id,quantity,start,end\n7,,,1772341200000,\n")
    SHAPES["wide.parquet"](tmp_path / "d.parquet")
    with pytest.raises(ConfigurationError, match=r"truth\.csv: kind: column is missing"):
        run(tmp_path, tmp_path / "d.parquet", registry, truth=truth)


def test_a_period_without_readings_gives_no_alarms(tmp_path: Path, registry: Path) -> None:
    SHAPES["wide.parquet"](tmp_path / "d.parquet")
    assert run(tmp_path, tmp_path / "d.parquet", registry, start="2027-01-01")["alarms"] == 0


def test_the_report_is_one_page_with_plots_and_nothing_from_outside(tmp_path: Path, registry: Path) -> None:
    SHAPES["wide.parquet"](tmp_path / "d.parquet")
    html = tmp_path / "report.html"
    run(tmp_path, tmp_path / "d.parquet", registry, report=html)
    text = html.read_text("utf-8")
    assert text.count("<svg") == 2
    assert "methane.ambient.plume" in text
    assert "site/a/ch4" in text
    assert "http" not in text
    assert "<script" not in text


def test_the_report_shows_labels_what_was_missed_and_the_sites_clock(tmp_path: Path, registry: Path) -> None:
    SHAPES["wide.parquet"](tmp_path / "d.parquet")
    html, truth = tmp_path / "report.html", tmp_path / "t.csv"
    truth.write_text(
        "fault_id,kind,device_id,quantity,start,end\n"
        "f-met,leak,site/a,,2026-03-01T05:00Z,2026-03-01T05:30Z\n"
        "f-<i>missed</i>,leak,site/b,,2026-03-01T02:00Z,\n"
        "f-strange,leak,site/z,,2026-03-01T02:00Z,\n"
    )
    found = run(tmp_path, tmp_path / "d.parquet", registry, report=html, truth=truth, timezone="Asia/Shanghai")
    assert found["score"]["missed"] == ["f-<i>missed</i>", "f-strange"]
    text = html.read_text("utf-8")
    assert "site/z" in text, "warnings are in the report"
    assert "<i>" not in text
    assert text.count(f"fill='{backtest_report.MISSED}'") == 2
    assert text.count(f"fill='{backtest_report.TRUTH}'") == 2, "in the timeline and beneath the readings"
    assert "2026-03-01 13:00</td>" in text
    assert "(Asia/Shanghai)" in text
    timeline = text.split("<svg")[1].split("</svg>")[0]
    bars = [
        (float(y), float(y) + float(high)) for y, high in re.findall(r"<rect .*?y='(.*?)' .*?height='(.*?)'", timeline)
    ]
    names = [float(y) for y in re.findall(r"<text x='4' y='(.*?)'", timeline)]
    assert len(bars) > len(names) > 1
    assert not [1 for top, bottom in bars for y in names if top < y + 3 and y - 9 < bottom], "no bar covers a name"
    assert "<td>median delay 时延中位数</td><td>60.0 s</td>" in text


def test_a_backtest_outside_of_a_site_says_how_to_give_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--data FILE --registry FILE"):
        backtest_rules(LIBRARY, config=tmp_path / "lifeline.toml")


def test_alarms_are_written_as_their_name_says(tmp_path: Path, registry: Path) -> None:
    SHAPES["wide.parquet"](tmp_path / "d.parquet")
    found = [tmp_path / f"a.{ending}" for ending in ("parquet", "csv", "json", "jsonl")]
    for path in found:
        run(tmp_path, tmp_path / "d.parquet", registry, alarms=path)
    whole, as_csv = pl.read_parquet(found[0]), pl.read_csv(found[1])
    as_json, as_lines = pl.read_json(found[2]), pl.read_ndjson(found[3])
    assert whole.height > 0
    assert [one.columns for one in (as_csv, as_json, as_lines)] == [whole.columns] * 3
    told = [(row["rule_id"], row["raised_at"].isoformat(timespec="milliseconds")) for row in whole.to_dicts()]
    for read in (as_csv, as_json, as_lines):
        assert [(row["rule_id"], row["raised_at"].replace("Z", "+00:00")) for row in read.to_dicts()] == told


def test_a_backtest_on_the_command_line_tells_score_and_load(tmp_path: Path, registry: Path) -> None:
    SHAPES["wide.parquet"](tmp_path / "d.parquet")
    truth = tmp_path / "t.csv"
    truth.write_text("fault_id,kind,device_id,quantity,start,end\n1,leak,site/a,,2026-03-01T05:00Z,2026-03-01T05:30Z\n")
    given = ["--data", tmp_path / "d.parquet", "--registry", registry, "--truth", truth]
    told = CliRunner().invoke(app, ["rules", "backtest", *map(str, [LIBRARY, *given])])
    assert told.exit_code == 0, told.output
    assert "recall 1.000 · F1 1.000 · median delay 60.0 s · 0 false alarms a day" in told.output
    assert "1 alarms · 1 in the busiest ten minutes · 1 at once" in told.output


def test_fit_proposes_limits_that_check_accepts(tmp_path: Path, registry: Path) -> None:
    lower = pl.when(pl.col("site/a/ch4") > 4).then(pl.col("site/a/ch4") - 1).otherwise("site/a/ch4")
    wide().with_columns(lower).write_parquet(tmp_path / "d.parquet")  # 2 ppm: the limit and its weaker share
    out = tmp_path / "fitted.toml"
    found = fit_rules(
        LIBRARY, config=tmp_path, data=tmp_path / "d.parquet", registry=registry, budget=0.5, out=out,
        names=("methane.ambient.plume",),
    )["rules"]  # fmt: skip
    assert found[0]["alarms_per_day"]["value"] > 0.5 >= found[0]["alarms_per_day"]["proposed"]
    assert CliRunner().invoke(app, ["rules", "check", str(out)]).exit_code == 0
    out.unlink()
    lavish = ["rules", "fit", str(out.with_name("one.toml")), "--budget", "1", "--out", str(out)]
    out.with_name("one.toml").write_text((LIBRARY / "methane.toml").read_text("utf-8"), "utf-8")
    lavish += ["--data", str(tmp_path / "d.parquet"), "--registry", str(registry), "--rule", "methane.mine.high"]
    result = CliRunner().invoke(app, lavish)
    assert result.exit_code == 0, result.output
    assert "no limit needs another value" in result.output
    assert not out.exists(), "a file without a rule in it would only be refused later"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.rename({"ts": "time"}), "name the column of event times ts"),
        (lambda f: f.with_columns(pl.col("ts").dt.epoch("s")), "looks like seconds"),
        (lambda f: f.with_columns(ts=pl.lit("yesterday")), "not times"),
        (lambda f: f.rename({"ts": "Time"}), "is missing; the file's columns: Time, site/a/ch4"),
        (
            lambda f: f.with_columns(
                ts=pl.when(pl.int_range(pl.len()) == 7).then(pl.lit("soon")).otherwise(pl.col("ts").cast(pl.String))
            ),
            "line 9: 'soon' is no time",
        ),
        (lambda f: f.rename({"site/a/ch4": "ch4"}), "is not device_id/quantity"),
        (lambda f: f.rename({"site/a/ch4": "site/c/ch4"}), "site/c/ch4"),
        (lambda f: f.select("ts"), "there is none but ts"),
        (lambda f: f.with_columns(pl.col("ts").dt.epoch("us")), "looks like micro"),
        (lambda f: f.with_columns(ts=pl.lit("01/03/2026 00:00")), "day and month"),
        (lambda f: f.with_columns(pl.lit("open").alias(name) for name in NAMES), "holds 'open', not numbers"),
        (lambda f: f.with_columns(pl.col("ts").dt.epoch("ms") - 10**13), "before 1970"),
        (lambda f: f.with_columns(pl.col("ts").dt.offset_by("-60y")), "line 2: 1966-03-01 .* is before 1970"),
        (lambda _: long().rename({"value": "val"}), "value: column is missing: did you mean val?"),
        (lambda _: long().with_columns(quality=pl.lit(300)), "0 good, 1 uncertain, 2 bad"),
    ],
)
def test_mistakes_in_the_data_name_the_column_and_the_remedy(
    change: Callable[[pl.DataFrame], pl.DataFrame], message: str, tmp_path: Path, registry: Path
) -> None:
    change(wide()).write_csv(tmp_path / "d.csv")
    with pytest.raises(ConfigurationError, match=message):
        run(tmp_path, tmp_path / "d.csv", registry)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"timezone": "Mars/Olympus"}, "is no time zone"),
        ({"train_to": "soon"}, "is not a time"),
        ({"train_to": "2026-03-02T01:00:00Z"}, "after the last reading: nothing is left to judge"),
        ({"alarms": Path("/nonexistent/a.parquet")}, "cannot be written"),
        ({"report": Path("/nonexistent/r.html")}, "there is no folder /nonexistent"),
        ({"truth": Path("/nonexistent/t.csv")}, "cannot be read"),
        ({"start": "2026-03-02", "end": "2026-03-01"}, "2026-03-01 is not after --from 2026-03-02"),
    ],
)
def test_mistakes_of_the_command_line_are_named(
    more: dict[str, Any], message: str, tmp_path: Path, registry: Path
) -> None:
    SHAPES["wide.parquet"](tmp_path / "d.parquet")
    with pytest.raises(ConfigurationError, match=message):
        run(tmp_path, tmp_path / "d.parquet", registry, **more)


def test_what_was_not_judged_is_said(tmp_path: Path, registry: Path) -> None:
    SHAPES["wide.parquet"](tmp_path / "d.parquet")
    assert run(tmp_path, tmp_path / "d.parquet", registry)["warnings"] == []
    (doubt,) = run(tmp_path, tmp_path / "d.parquet", registry, train_to="2026-03-01T00:00:00Z")["warnings"]
    assert "--train-to: 2026-03-01T00:00:00Z is not after the first reading" in doubt
    (doubt,) = run(tmp_path, tmp_path / "d.parquet", registry, start="2027-01-01T00:00:00Z")["warnings"]
    assert "holds no readings" in doubt
    long().with_columns(value=pl.lit(None, pl.Float64)).write_parquet(tmp_path / "e.parquet")
    (doubt,) = run(tmp_path, tmp_path / "e.parquet", registry)["warnings"]
    assert "has a value" in doubt
    names = ("a", "b")
    points = pl.DataFrame(
        [("R", name, "rig", "rig 1") for name in names], ["device_id", "quantity", "kind", "group"], orient="row"
    )
    points.write_csv(registry)
    values = np.random.default_rng(2).normal(size=(20, 2))
    pl.DataFrame(values, schema=["R/a", "R/b"]).insert_column(0, wide()["ts"].head(20)).write_parquet(
        tmp_path / "d.parquet"
    )
    for train_to in (None, "2026-03-01T00:05:00Z"):
        (doubt,) = run(tmp_path, tmp_path / "d.parquet", registry, train_to=train_to)["warnings"]
        assert "rule rig.drift: 1 groups were never judged" in doubt
        assert "group rig 1: 20 frames" in doubt


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (["13/09/16 23", "01/10/16 00"], ["2016-09-13T23:00", "2016-10-01T00:00"]),
        (["1.3.2026 6:05", "28.3.2026 18:00"], ["2026-03-01T06:05", "2026-03-28T18:00"]),
        (["9/13/2016 1:15:07", "10/1/2016 23:00:01.5"], ["2016-09-13T01:15:07", "2016-10-01T23:00:01.5"]),
        (["13-12-2016", None], ["2016-12-13T00:00", None]),
        (["12/12/2016", "11/12/2016"], "day and month"),
        (["13/02/2016", "02/13/2016"], "day and month"),
        (["31/02/2016", "02/01/2016"], "day and month"),
        (["13/02/2016 noon", "02/01/2016"], "day and month"),
    ],
)
def test_a_thirteen_tells_the_day_from_the_month(written: list[str | None], read: list[str | None] | str) -> None:
    times = pl.Series("ts", written)
    if isinstance(read, str):
        with pytest.raises(ConfigurationError, match=read):
            epoch_ms(times, Path("d.csv"))
        return
    stamps = [None if t is None else np.datetime64(t, "ms").astype(int) for t in read]
    assert epoch_ms(times, Path("d.csv")).to_list() == stamps


TORN = st.lists(
    st.tuples(st.integers(0, 9), *(st.one_of(st.none(), st.floats(-1e6, 1e6)) for _ in NAMES)), min_size=1, max_size=30
)


@settings(max_examples=25, deadline=None)
@given(minutes=st.lists(st.integers(0, 30), min_size=2, max_size=60), piece=st.integers(1, 12), aside=st.integers(1, 3))
def test_a_file_in_any_order_is_put_in_order_by_windows(
    minutes: list[int], piece: int, aside: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Naively: all rows, sorted by time and point; what is equal stays as the file has it. Twice the same."""
    folder = tmp_path_factory.mktemp("any")
    registry, data = folder / "points.csv", folder / "d.parquet"
    points = [name.rpartition("/")[::2] for name in NAMES]
    pl.DataFrame(points, ["device_id", "quantity"], orient="row").write_csv(registry)
    chosen = [k % len(NAMES) for k in range(len(minutes))]
    rows = [
        (minute * 60_000, *points[k], float(row)) for row, (minute, k) in enumerate(zip(minutes, chosen, strict=True))
    ]
    pl.DataFrame(rows, ["ts", "device_id", "quantity", "value"], orient="row").with_columns(
        pl.col("ts") + 1_700_000_000_000
    ).write_parquet(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(foreign_module, "WINDOW_PIECES", aside)
        _, read = foreign_history(data, registry, None, None, piece)
        for _ in range(2):
            batches = list(read)
            told = [int(value) for batch in batches for value in batch.value]
            assert told == sorted(range(len(rows)), key=lambda row: (minutes[row], chosen[row]))
            assert all(a.ts[-1] < b.ts[0] for a, b in pairwise(batches)), "a moment is cut"


def test_what_is_set_aside_comes_back_as_often_as_it_is_asked_for() -> None:
    random = np.random.default_rng(7)
    batches = [
        Readings(*(random.integers(0, 200, rows).astype(f.type.to_pandas_dtype()) for f in LOG_READINGS))
        for rows in (3, 0, 5)
    ]
    spool = Spool()
    assert not list(spool)
    for batch in batches:
        spool.append(batch)
    for one, other, batch in zip(spool, spool, batches, strict=True):  # two walks at once
        assert one.to_arrow().equals(batch.to_arrow())
        assert other.to_arrow().equals(batch.to_arrow())
    assert spool.whole().to_arrow().equals(Readings.concat(batches).to_arrow())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_told_with_what_to_do() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spool_module, "_nameless", lambda: os.open("/dev/full", os.O_RDWR))
        with pytest.raises(UnavailableError, match="TMPDIR"):
            Spool().append(Readings.empty(3))


@settings(max_examples=25, deadline=None)
@given(rows=TORN, piece=st.integers(1, 40), shape=st.sampled_from(["wide", "long"]), csv=st.booleans())
def test_a_file_read_in_pieces_says_what_it_says_whole(
    rows: list[tuple[Any, ...]], piece: int, shape: str, csv: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """However small the pieces, moments that several rows tell of stay together; naively: all rows, sorted."""
    folder = tmp_path_factory.mktemp("torn")
    registry, data = folder / "points.csv", folder / ("d.csv" if csv else "d.parquet")
    points = [name.rpartition("/")[::2] for name in NAMES]
    pl.DataFrame(points, ["device_id", "quantity"], orient="row").write_csv(registry)
    frame = pl.DataFrame(rows, ["minute", *NAMES], orient="row", infer_schema_length=None).sort(
        "minute", maintain_order=True
    )
    frame = frame.select(pl.lit(START) + pl.duration(minutes="minute").alias("ts"), pl.col(NAMES).cast(pl.Float64))
    frame = frame.rename({frame.columns[0]: "ts"})
    if shape == "long":
        split = pl.col("variable").str.split("/")
        tall = frame.unpivot(NAMES, index="ts").sort("ts", maintain_order=True)
        frame = tall.select("ts", device_id=pl.lit("site/") + split.list[1], quantity=split.list[2], value="value")
    _ = frame.write_csv(data) if csv else frame.write_parquet(data)
    _, read = foreign_history(data, registry, None, None, piece)
    assert read.in_order
    batches = list(read)
    assert all(len(batch) for batch in batches)
    told = [(t, p, v) for batch in batches for t, p, v in zip(batch.ts, batch.point, batch.value, strict=True)]
    column = {name: place for place, name in enumerate(NAMES)}
    if shape == "wide":
        expected = [
            (t, column[name], row[name]) for t, row in _stamped(frame) for name in NAMES if row[name] is not None
        ]
    else:
        expected = [
            (t, column[f"{row['device_id']}/{row['quantity']}"], np.nan if row["value"] is None else row["value"])
            for t, row in _stamped(frame)
        ]
    expected.sort(key=lambda one: one[:2])
    assert [one[:2] for one in told] == [one[:2] for one in expected]
    np.testing.assert_array_equal([one[2] for one in told], [one[2] for one in expected])


def _stamped(frame: pl.DataFrame) -> list[tuple[int, dict[str, Any]]]:
    return [(int(row["ts"].replace(tzinfo=UTC).timestamp() * 1000), row) for row in frame.to_dicts()]


def test_values_that_are_no_numbers_are_left_out_and_said(tmp_path: Path, registry: Path) -> None:
    words = pl.when(pl.int_range(pl.len()) == 7).then(pl.lit("3 ppm")).when(pl.int_range(pl.len()) == 9)
    frame = wide().with_columns(
        words.then(pl.lit("N/A")).otherwise(pl.col("site/a/ch4").cast(pl.String)).alias(NAMES[0])
    )
    frame.write_csv(tmp_path / "d.csv")
    (doubt,) = run(tmp_path, tmp_path / "d.csv", registry)["warnings"]
    assert "site/a/ch4: 1 values are no numbers and were left out, the first in line 9: '3 ppm'" in doubt


def test_a_kind_that_no_rule_knows_is_said(tmp_path: Path, registry: Path) -> None:
    registry.write_text(registry.read_text().replace("methane-ambient", "methane_ambient"))
    SHAPES["wide.parquet"](tmp_path / "d.parquet")
    (doubt,) = run(tmp_path, tmp_path / "d.parquet", registry)["warnings"]
    assert "kind 'methane_ambient': no rule about the process looks at its 3 points" in doubt
    assert "did you mean methane-ambient?" in doubt


def test_a_column_without_a_value_needs_no_point(tmp_path: Path, registry: Path) -> None:
    wide().with_columns(pl.lit(None, pl.Float64).alias("site/spare")).write_parquet(tmp_path / "d.parquet")
    assert run(tmp_path, tmp_path / "d.parquet", registry)["alarms"]
    nothing = wide().select("ts", pl.lit(None, pl.Float64).alias("site/spare"))
    nothing.write_parquet(tmp_path / "d.parquet")
    (doubt,) = run(tmp_path, tmp_path / "d.parquet", registry)["warnings"]
    assert "holds no readings" in doubt


@pytest.mark.parametrize("text", [True, False])
def test_a_column_of_nan_is_a_column_without_a_value(text: bool, tmp_path: Path, registry: Path) -> None:
    frame = wide().with_columns(pl.lit(float("nan")).alias("site/b/ch4"))
    data = tmp_path / ("d.csv" if text else "d.parquet")
    frame.write_csv(data) if text else frame.write_parquet(data)
    report = run(tmp_path, data, registry)
    assert report["warnings"] == []
    assert report["alarms"] == 1


@pytest.mark.parametrize("name", ["d.CSV", "d.tsv", "d.txt", "d.pq", "d.gz"])
def test_what_a_file_is_tells_its_beginning_and_not_its_name(name: str, tmp_path: Path, registry: Path) -> None:
    write = {"d.pq": SHAPES["wide.parquet"], "d.gz": SHAPES["long.csv.gz"]}
    write.get(name, lambda path: wide().write_csv(path, separator="\t"))(tmp_path / name)
    assert run(tmp_path, tmp_path / name, registry)["alarms"] == 1


def test_names_of_columns_are_read_as_they_are_meant(tmp_path: Path, registry: Path) -> None:
    wide().rename({"site/b/q": 'site/"b"/q'}).write_csv(tmp_path / "d.csv")
    text = (tmp_path / "d.csv").read_text()
    assert text.startswith('ts,site/a/ch4,site/b/ch4,"site/""b""/q"')
    (tmp_path / "d.csv").write_text(text.replace("ts,site/a/ch4,", "ts , site/a/ch4,", 1))
    registry.write_text(registry.read_text().replace("site/b,q", '"site/""b""",q'))
    assert run(tmp_path, tmp_path / "d.csv", registry)["alarms"] == 1
    (tmp_path / "d.csv").write_text(text.replace("site/b/ch4", "site/a/ch4", 1))
    with pytest.raises(ConfigurationError, match="site/a/ch4: appears twice"):
        run(tmp_path, tmp_path / "d.csv", registry)


@pytest.mark.parametrize(("begin", "message"), [(b"PK\x03\x04", "workbook"), (b"\xff\xfet\0s\0", "UTF-16")])
def test_what_is_neither_csv_nor_parquet_is_named(begin: bytes, message: str, tmp_path: Path, registry: Path) -> None:
    (tmp_path / "d.csv").write_bytes(begin)
    with pytest.raises(ConfigurationError, match=f"{message}.*save it as CSV UTF-8"):
        run(tmp_path, tmp_path / "d.csv", registry)


def test_labels_that_no_alarm_can_meet_are_named(tmp_path: Path, registry: Path) -> None:
    SHAPES["wide.parquet"](tmp_path / "d.parquet")
    truth = tmp_path / "t.csv"
    truth.write_text(
        "fault_id;kind;device_id;quantity;start;end\n"
        "met;leak;site/a;;2026-03-01T05:00Z;2026-03-01T05:30Z\n"
        "learned;leak;;;2026-03-01T00:10Z;2026-03-01T01:00Z\n"
        "later;leak;;;2026-03-02T00:10Z;\n"
        "strange;leak;site/z;ch4;2026-03-01T05:00Z;2026-03-01T05:30Z\n"
    )
    report = run(tmp_path, tmp_path / "d.parquet", registry, truth=truth)
    assert report["score"]["recall"] == 0.25
    strange, outside = report["warnings"]
    assert "1 faults are at points that the registry lacks, and count as missed (strange: site/z/ch4)" in strange
    assert "2 faults lie outside" in outside
    assert "(learned, later)" in outside


def test_a_point_that_the_registry_calls_almost_so_is_named(tmp_path: Path, registry: Path) -> None:
    device, _, quantity = NAMES[0].rpartition("/")
    data = tmp_path / "d.csv"
    data.write_text(f"ts,device_id,quantity,value\n2026-03-02,{device},{quantity.upper().replace('_', ' ')},2.0\n")
    with pytest.raises(ConfigurationError, match=f"has {NAMES[0]}: call"):
        run(tmp_path, data, registry)
