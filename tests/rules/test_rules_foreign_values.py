"""Values in files of others: what is no number is left out and named, and no single column takes the file with it."""

from __future__ import annotations

import csv
import gzip
import re
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifeline.app.foreign_history import foreign_history
from lifeline.app.foreign_lines import short
from lifeline.app.foreign_values import NOTHING
from lifeline.core.errors import ConfigurationError

POINTS = "device_id,quantity,kind\na,p,water-scada\na,q,water-scada\nb,p,water-scada\n"
TIMES = ["2026-03-01T00:00:00Z", "2026-03-01T00:01:00Z", "2026-03-01T00:02:00Z"]


def told(folder: Path, text: str | bytes, piece: int = 250_000) -> tuple[list[tuple[int, float]], list[str]]:
    """(point, value) in the order of time, and what was said."""
    (folder / "points.csv").write_text(POINTS)
    data = folder / "d.csv"
    data.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(folder, data, piece)


def read(folder: Path, data: Path, piece: int = 250_000) -> tuple[list[tuple[int, float]], list[str]]:
    _, readings = foreign_history(data, folder / "points.csv", None, None, piece)
    rows = [(int(p), float(v)) for batch in readings for p, v in zip(batch.point, batch.value, strict=True)]
    return rows, readings.doubts


def rows(head: str, *lines: str, separator: str = ",") -> str:
    return "\n".join(separator.join(one) for one in [("ts", head), *zip(TIMES, lines, strict=False)]) + "\n"


@pytest.mark.parametrize("column", ["a/q", "b/x", "remark"])
@pytest.mark.parametrize("piece", [1, 250_000])
def test_a_column_of_text_is_left_out_and_named(column: str, piece: int, tmp_path: Path) -> None:
    """A point of the registry, one that it does not list, and a column that is no point at all."""
    found, (said,) = told(tmp_path, rows(f"a/p,{column},b/p", "1,open,4", "2,NA,5", "3,shut,6"), piece)
    assert found == [(0, 1), (2, 4), (0, 2), (2, 5), (0, 3), (2, 6)]
    assert f"d.csv: {column}: no" in said
    assert "left out" in said
    assert "2 values" in said or "none of its 3 values is a number" in said


def test_text_in_parquet_is_left_out_and_numbers_in_text_are_read(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text(POINTS)
    frame = pl.DataFrame({"ts": TIMES, "a/p": ["1", " 2.5 ", "NULL"], "a/q": ["x", "y", "z"], "note": ["-", "", None]})
    frame.write_parquet(tmp_path / "d.parquet")
    found, said = read(tmp_path, tmp_path / "d.parquet")
    assert found == [(0, 1), (0, 2.5)]
    assert len(said) == 2
    assert "note" in said[0]
    assert "a/q: no value is a number, 3 values" in said[1]


def test_columns_with_numbers_that_are_no_points_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="pressure: is not device_id/quantity"):
        told(tmp_path, rows("a/p,pressure", "1,7", "2,8"))
    with pytest.raises(ConfigurationError, match="b/x"):
        told(tmp_path, rows("a/p,b/x", "1,open", "2,8"))
    with pytest.raises(ConfigurationError, match="holds 'open', not numbers"):
        told(tmp_path, rows("a/p,a/q", "open,NA", "shut,NA"))


@pytest.mark.parametrize("word", [*NOTHING, "N/A", " Null ", "NaN", "#N/A"])
def test_words_for_nothing_are_nothing(word: str, tmp_path: Path) -> None:
    assert told(tmp_path, rows("a/p,b/p", f"{word},1", f"2,{word}")) == ([(2, 1), (0, 2)], [])


def test_decimal_commas_of_a_file_with_semicolons_are_read_and_said(tmp_path: Path) -> None:
    text = rows("a/p;b/p", "1,25;4", "-2;1,5e3", "n.v.;6", separator=";")
    found, (lost, commas) = told(tmp_path, text)
    assert found == [(0, 1.25), (2, 4), (0, -2), (2, 1500), (2, 6)]
    assert "a/p: 1 values are no numbers and were left out, the first in line 4: 'n.v.'" in lost
    assert "2 commas were read as decimal points, the first in a/p: line 2: '1,25'" in commas


@pytest.mark.parametrize("lines", [("1,250;12.5",), ("12.5;1", "1,250;1"), ("1,250;1", "12.5;1")])
@pytest.mark.parametrize("piece", [1, 250_000])
def test_decimals_written_both_ways_are_refused(lines: tuple[str, ...], piece: int, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"with a comma \(.*1,250.*with a point \(.*12\.5"):
        told(tmp_path, rows("a/p;b/p", *lines, separator=";"), piece)


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(
        st.lists(st.sampled_from(["1,5", "2", "-0,25", "NA", "", "x"]), min_size=2, max_size=2), max_size=9
    ),
    piece=st.integers(1, 6),
)
def test_pieces_do_not_matter(values: list[list[str]], piece: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Any mixture, in any pieces; naively: each cell by itself."""
    folder = tmp_path_factory.mktemp("values")
    lines = [";".join([f"2026-03-01T00:00:{n:02d}Z", *row]) for n, row in enumerate([["7", "7"], *values])]
    found, _ = told(folder, "\n".join(["ts;a/p;b/p", *lines]) + "\n", piece)
    naive = [(point, cell) for row in [["7", "7"], *values] for point, cell in zip((0, 2), row, strict=True)]
    assert found == [(point, float(cell.replace(",", "."))) for point, cell in naive if cell not in {"NA", "", "x"}]
    assert not np.isnan([value for _, value in found]).any()


LONG = "ts,device_id,quantity,value,quality\n2026-03-01T00:00:00Z,a,p,1,{}\n2026-03-01T00:01:00Z,a,p,2,{}\n"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("0,2", [0, 2]),
        ("0.0,2.0", [0, 2]),
        ("good,BAD", [0, 2]),
        ("Uncertain,", [1, 0]),
        ("NA, 1 ", [0, 1]),
        ("好,坏", [0, 2]),
    ],
)
def test_quality_in_numbers_and_words(written: str, meant: list[int], tmp_path: Path) -> None:
    """``2.0`` and ``bad`` were taken for good."""
    (tmp_path / "points.csv").write_text(POINTS)
    (tmp_path / "d.csv").write_text(LONG.format(*written.split(",")))
    _, readings = foreign_history(tmp_path / "d.csv", tmp_path / "points.csv", None, None)
    assert [int(q) for batch in readings for q in batch.quality] == meant


def test_other_qualities_are_refused_with_their_line(tmp_path: Path) -> None:
    for wrong in ("192", "GOOD?", "1.5"):
        with pytest.raises(ConfigurationError, match=r"quality: line 3: .* is none of 0, 1 and 2"):
            told(tmp_path, LONG.format("0", wrong))


@pytest.mark.parametrize("piece", [1, 250_000])
def test_rows_that_are_no_readings_are_left_out_and_said(piece: int, tmp_path: Path) -> None:
    """Without a time, a device or a quantity (that ended by a traceback); lines with nothing at all are no rows."""
    head, first, last = LONG.format("0", "0").strip().split("\n")
    lines = [head, first, "", ",a,p,5,0", "2026-03-01T00:00:30Z,,p,6,0", "2026-03-01T00:00:31Z,a,,7,0", last, ""]
    found, (named, timeless) = (
        told(tmp_path, "\n".join(lines) + "\n", piece)[0],
        sorted(told(tmp_path, "\n".join(lines) + "\n", piece)[1], key=lambda one: "no time" in one),
    )
    assert found == [(0, 1), (0, 2)]
    assert "1 rows have no time and were left out" in timeless
    assert "2 rows name no device or no quantity and were left out" in named


def test_a_long_file_whose_names_are_others_is_told_all_of_them(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        told(tmp_path, "ts,device_id,quantities,val\n2026-03-01T00:00:00Z,a,p,1\n")
    assert [(p.key, p.message.partition("did you mean ")[2]) for p in caught.value.problems] == [
        ("quantity", "quantities?"), ("value", "val?"),
    ]  # fmt: skip


def test_values_of_no_kind_of_number_are_refused_by_their_kind(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text(POINTS)
    frame = pl.DataFrame({"ts": TIMES, "a/p": [[1.0], [2.0], []]})
    frame.write_parquet(tmp_path / "d.parquet")
    with pytest.raises(ConfigurationError, match="a/p: holds 'List"):
        read(tmp_path, tmp_path / "d.parquet")


@pytest.mark.parametrize("packed", [False, True])
def test_a_ragged_line_is_named(packed: bool, tmp_path: Path) -> None:
    """With its line of the file: a quoted text before it spans two."""
    text = rows("a/p,remark,b/p", '1,"two\nlines",4', "2,,5", "3,,6,7")
    with pytest.raises(ConfigurationError, match="line 5 has 5 fields, the first line names 4"):
        told(tmp_path, gzip.compress(text.encode()) if packed else text)


@pytest.mark.parametrize("packed", [None, "gzip", "zstd"])
@pytest.mark.parametrize(
    ("lines", "read", "said"),
    [
        (("1,2", "3", "", "4,5", "6"), [1, 2, 3, 4, 5, 6], "2 lines have .* than the 3 .*, the first is line 3 with 2"),
        (('"1","2"', '"3"', '4,"5"'), [1, 2, 3, 4, 5], "1 lines have .* than the 3 .*, the first is line 3 with 2"),
        (("1,", "2,3", "4,"), [1, 2, 3, 4], None),
        (('1,"2"', '"3",', "4,5"), [1, 2, 3, 4, 5], None),
    ],
)  # fmt: skip
def test_lines_with_too_few_fields_are_counted_and_named(
    lines: tuple[str, ...], read: list[float], said: str | None, packed: str | None, tmp_path: Path
) -> None:
    """What is there is read: spreadsheets write no separators behind which nothing comes."""
    body = [f"2026-03-01T00:0{minute}:00Z,{line}" if line else "" for minute, line in enumerate(lines)]
    raw = "\n".join(["ts,a/p,b/p", *body]).encode()
    values, doubts = told(tmp_path, raw if packed is None else pa.compress(raw, packed, asbytes=True))
    assert [value for _, value in values] == read
    assert len(doubts) == (said is not None)
    assert said is None or re.search(said, doubts[0])


@settings(max_examples=40, deadline=None)
@given(
    table=st.lists(
        st.lists(st.sampled_from(["1", "", '"2"', '"3,4"', '"5\n6"', '""']), min_size=1, max_size=4), max_size=6
    )
)
def test_short_lines_are_counted_as_the_standard_reader_counts_them(
    table: list[list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("short") / "d.csv"
    path.write_text("\n".join(["a,b,c", *(",".join(row) for row in table)]))
    with path.open(newline="") as file:
        naive = [row for row in csv.reader(file) if len(row) < 3 and (len(row) > 1 or any(row))]
    found = short(path, ",")
    assert (found[0] if found else 0) == len(naive)
    assert found is None or (found[2], found[3]) == (len(naive[0]), 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (rows("a/p", "1", '"2', "3", "4"), "line 3: a quotation mark is not closed"),
        (rows("a/p", "1", '"2') + "x\n" * 100_000, "line 3: a quotation mark is not closed"),
        (rows("a/p", "1").encode("utf-16-le"), "bytes of 0, as UTF-16 does"),
        (rows("a/p", "1").replace("\n", "\r"), "lines end with CR alone"),
        (b"BZh91AY&SY", "bzip2"),
        (b"\xfd7zXZ\0", "it holds xz"),
        (b"ARROW1\0\0", "Feather"),
        (b'{"ts":1}\n', "JSON"),
        (gzip.compress(b"PAR1....", mtime=0), "Parquet, packed once more"),  # else the time is in the test's name
    ],
)
def test_what_cannot_be_lines_is_named(content: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=message):
        told(tmp_path, content)


def test_a_column_of_lists_beside_numbers_is_left_out_and_said(tmp_path: Path) -> None:
    """It was left out in silence."""
    (tmp_path / "points.csv").write_text(POINTS)
    pl.DataFrame({"ts": TIMES, "a/p": [1.0, 2.0, 3.0], "b/p": [[1.0], [], None]}).write_parquet(tmp_path / "d.parquet")
    values, doubts = read(tmp_path, tmp_path / "d.parquet")
    assert [value for _, value in values] == [1, 2, 3]
    assert any("b/p: no value is a number, 2 values" in doubt for doubt in doubts)
