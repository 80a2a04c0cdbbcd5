"""Times in files of others: what each form means, and what could mean two things is refused with its place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifeline.app.foreign_history import foreign_history
from lifeline.app.foreign_times import epoch_ms
from lifeline.core.errors import ConfigurationError

FILE = Path("d.csv")
FORMS = [
    "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S UTC", " %Y-%m-%d %H:%M:%S ", "%Y-%m-%dT%H:%M:%S+0000",
    "%Y/%m/%d %H:%M:%S", "%Y%m%dT%H%M%SZ", "%Y%m%d%H%M%S", "%Y年%m月%d日 %H:%M:%S", "%d-%b-%Y %H:%M:%S",
    "%d.%m.%Y %H:%M:%S", "%Y-%m-%d %I:%M:%S %p", "%Y-%m-%d %H:%M:%S,000", "%Y-%m-%d %H:%M:%S +00:00",
    "%Y-%m-%dT%H:%M:%S,0000+00:00[Europe/London]",
]  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)), min_size=1, max_size=8),  # noqa: DTZ001
    st.sampled_from(FORMS),
)
def test_every_form_is_read_to_the_second(times: list[datetime], form: str) -> None:
    whole = [one.replace(microsecond=0, tzinfo=UTC) for one in times]
    read = epoch_ms(pl.Series("ts", [one.strftime(form) for one in whole]), FILE)
    assert read.to_list() == [int(one.timestamp() * 1000) for one in whole]


@pytest.mark.parametrize("kind", [pl.String, pl.Int64])
def test_a_date_as_one_number_is_no_epoch(kind: type[pl.DataType]) -> None:
    """As milliseconds these would be of the year 2611, of 1976 and of the first day of 1970."""
    for written, day in (
        ("20250601123000", "2025-06-01T12:30"),
        ("202506011230", "2025-06-01T12:30"),
        ("20250601", "2025-06-01"),
    ):
        at = datetime.fromisoformat(day).replace(tzinfo=UTC)
        assert epoch_ms(pl.Series("ts", [written]).cast(kind), FILE).to_list() == [int(at.timestamp() * 1000)]
    assert epoch_ms(pl.Series("ts", ["202506019999"]).cast(kind), FILE).to_list() == [202506019999]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (["1748736000", "1748736060"], "looks like seconds, not milliseconds"),
        (["1748736000.0", "1748736060.5"], "looks like seconds, not milliseconds"),
        (["45809.00000", "45809.04167"], "45809 looks like a spreadsheet's days"),
        (["06/01/2025 12:00:00 AM"], "day and month cannot be told apart"),
        (["UTC", "2025-06-01T00:00:00Z", "2025-06-01T00:01:00Z"], "line 2: 'UTC' is no time"),
        (["2025-06-01T00:00:00Z", "soon", "later"], "line 3: 'soon' is no time .and 1 more; others are written '2025-"),
        (["2025-06-01 08:00 CST"], "not times: names of zones mean several things"),
        (["2025-06-01 08:00:00 Asia/Shanghai"], "not times: names of zones mean several things"),
        (["soon", "later"], "holds text such as 'soon', not times"),
    ],
)  # fmt: skip
def test_what_is_no_time_or_several_is_named(written: list[str], message: str, tmp_path: Path) -> None:
    frame = pl.DataFrame({"ts": written})
    frame.write_csv(tmp_path / "d.csv")
    with pytest.raises(ConfigurationError, match=message):
        epoch_ms(frame["ts"], tmp_path / "d.csv")


@pytest.mark.parametrize("kind", [pl.Float64, pl.String])
def test_a_time_that_is_nan_is_none(kind: type[pl.DataType], tmp_path: Path) -> None:
    """It ended a backtest by a traceback."""
    times = pl.Series("ts", [1748736000000.0, float("nan"), 1748736060000.0])
    assert epoch_ms(times.cast(kind), FILE).to_list() == [1748736000000, None, 1748736060000]
    (tmp_path / "points.csv").write_text("device_id,quantity,kind\na,p,rig\n")
    frame = pl.DataFrame([times.cast(kind), pl.Series("a/p", [5, 6, 7])])
    frame.write_parquet(tmp_path / "d.parquet")
    _, readings = foreign_history(tmp_path / "d.parquet", tmp_path / "points.csv", None, None)
    assert [float(value) for batch in readings for value in batch.value] == [5, 7]
    assert "1 rows have no time and were left out, the first in row 2" in readings.doubts[0]


def test_a_file_in_which_no_row_has_a_time_says_so(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text("device_id,quantity,kind\na,p,rig\n")
    (tmp_path / "d.csv").write_text("ts,a/p\n,5\n,6\n")
    _, readings = foreign_history(tmp_path / "d.csv", tmp_path / "points.csv", None, None)
    assert not list(readings)
    assert "none of its 2 rows has a time" in readings.doubts[0]


def test_a_length_of_time_is_no_time() -> None:
    with pytest.raises(ConfigurationError, match="holds Duration"):
        epoch_ms(pl.Series("ts", [timedelta(1)]), FILE)


def test_whole_milliseconds_may_have_a_point_and_halves_of_days_are_read() -> None:
    assert epoch_ms(pl.Series("ts", ["1748736000000.0", None]), FILE).to_list() == [1748736000000, None]
    noon, midnight = epoch_ms(pl.Series("ts", ["06/13/2025 12:00 PM", "06/14/2025, 12:00:00 a.m."]), FILE).to_list()
    assert midnight - noon == timedelta(hours=12) / timedelta(milliseconds=1)


@pytest.mark.parametrize(
    "lines",
    [
        ",ts,a/p\n0,{},5\n1,{},6\n",
        "Unnamed: 0,ts,a/p\n0,{},5\n1,{},6\n",
        "ts,a/p,,\n{},5,,\n{},6,,\n",
        " ts , a/p \n{}, 5\n{}, 6\n",
    ],
)
def test_columns_without_a_name_are_passed_over(lines: str, tmp_path: Path) -> None:
    """Row numbers that a program wrote first, commas that end lines, spaces around names and values."""
    (tmp_path / "points.csv").write_text("device_id,quantity,kind\na,p,rig\n")
    data = tmp_path / "d.csv"
    data.write_text(lines.format("2026-03-01T00:00:00Z", "2026-03-01T00:01:00Z"))
    _, readings = foreign_history(data, tmp_path / "points.csv", None, None)
    assert [float(value) for batch in readings for value in batch.value] == [5, 6]
    assert readings.doubts == []


@pytest.mark.parametrize(
    "text", ["ts,一号/p\n2026-03-01T00:00:00Z,1\n", "ts,a/p,备注\n", "ts,a/p\n2026-03-01T00:00:00Z,异常\n"]
)
def test_text_that_is_not_utf_8_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text("device_id,quantity,kind\na,p,rig\n")
    (tmp_path / "d.csv").write_bytes(text.encode("gbk"))
    with pytest.raises(ConfigurationError, match=r"(?i)utf-8.*UTF-8"):
        list(foreign_history(tmp_path / "d.csv", tmp_path / "points.csv", None, None)[1])
