"""Reading registry and areas files: what is right is typed, what is wrong is named, all at once."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from lifeline.app.simulation import run_simulation
from lifeline.core.errors import ConfigurationError
from lifeline.core.limits import POINTS_PER_DEVICE_MAX
from lifeline.core.schema import AREAS
from lifeline.registry import read_areas, read_points, unknown_areas
from lifeline.registry.files import POINTS_FILE
from simulators.registry import write_registry

QUOTED = '"a; b\tc, d"'


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def problems(read: Callable[[Path], pa.Table], path: Path) -> list[tuple[str, str, str]]:
    with pytest.raises(ConfigurationError) as caught:
        read(path)
    return [(p.key, p.message, p.remedy) for p in caught.value.problems]


def test_a_minimal_file_needs_two_columns(tmp_path: Path) -> None:
    table = read_points(write(tmp_path / "r.csv", "device_id,quantity\nG1,ch4\nG1,temp\n"))
    assert table.schema.equals(POINTS_FILE)
    assert table["device_id"].to_pylist() == ["G1", "G1"]
    assert table["unit"].to_pylist() == [None, None]


def test_values_are_typed_and_codes_keep_leading_zeros(tmp_path: Path) -> None:
    text = (
        "quantity,device_id,point,span_low,span_high,interval_s,area_code,install_date,owner,extra\n"
        'ch4,007,99,0,1e2, 10 ,0123,2024-02-29,"郑州, 一",x\n'
    )
    row = read_points(write(tmp_path / "r.csv", text)).to_pylist()[0]
    assert row["device_id"] == "007"
    assert row["area_code"] == "0123"
    assert (row["span_low"], row["span_high"], row["interval_s"]) == (0.0, 100.0, 10.0)
    assert row["install_date"] == dt.date(2024, 2, 29)
    assert row["owner"] == "郑州, 一"
    assert "point" not in row


def test_excel_byte_order_mark_and_crlf_are_read(tmp_path: Path) -> None:
    table = read_points(write(tmp_path / "r.csv", "device_id,quantity\r\nG1,ch4\r\n", "utf-8-sig"))
    assert table["device_id"].to_pylist() == ["G1"]


def test_gbk_gets_the_remedy(tmp_path: Path) -> None:
    found = problems(read_points, write(tmp_path / "r.csv", "device_id,quantity,owner\nG1,ch4,燃气\n", "gbk"))
    assert len(found) == 1
    assert "CSV UTF-8" in found[0][2]


def test_all_problems_come_at_once_with_their_lines(tmp_path: Path) -> None:
    text = (
        "device_id,quantity,utility,span_low,span_high,interval_s,lon\n"
        "G1,ch4,gas,0,100,10,113\n"
        "\n"
        "G2,ch4,oil,0,100,10,113\n"
        "G3,ch4,gas,100,100,0,113\n"
        "G1,ch4,gas,0,100,10,313\n"
        ",ch4,gas,0,100,10,113\n"
        "G4 ,seq,gas,0,100,10,113\n"
    )
    found = problems(read_points, write(tmp_path / "r.csv", text))
    assert {key for key, _, _ in found} == {
        "line 4, utility",
        "line 5, span_low",
        "line 5, interval_s",
        "line 6, device_id",
        "line 6, lon",
        "line 7, device_id",
        "line 8, device_id",
        "line 8, quantity",
    }
    assert ("line 6, device_id", "G1/ch4 is already in line 2", "keep one row") in found


def test_values_of_a_wrong_type_are_shown(tmp_path: Path) -> None:
    text = 'device_id,quantity,span_low,install_date\nG1,ch4,0 %,2024-02-30\nG2,ch4,,\nG3,ch4,"1,5",2024-02-03\n'
    found = problems(read_points, write(tmp_path / "r.csv", text))
    assert [(key, message) for key, message, _ in found] == [
        ("line 2, span_low", "'0 %' is not a number"),
        ("line 4, span_low", "'1,5' is not a number"),
        ("line 2, install_date", "'2024-02-30' is not a date"),
    ]


def test_lines_are_those_of_the_file_as_it_is_now(tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    for blank, line in (("", 2), ("\n\n", 4)):  # people mend the file and the engine reads it again
        path.write_text(f"device_id,quantity,span_low\n{blank}G1,ch4,low\n", encoding="utf-8")
        with pytest.raises(ConfigurationError) as caught:
            read_points(path)
        assert caught.value.problems[0].key == f"line {line}, span_low"


def test_ragged_lines_are_named(tmp_path: Path) -> None:
    found = problems(read_points, write(tmp_path / "r.csv", "device_id,quantity\nG1,ch4\nG2,ch4,x\nG3\n"))
    assert [key for key, _, _ in found] == ["line 3", "line 4"]


def test_missing_and_misspelt_columns(tmp_path: Path) -> None:
    found = problems(read_points, write(tmp_path / "r.csv", "sensor,quantity,utillity\nG1,ch4,gas\n"))
    assert ("column utillity", "is not a column we know", "did you mean 'utility'?") in found
    assert any(key == "column device_id" and "sensor, quantity" in remedy for key, _, remedy in found)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("r.csv", None, "does not exist"),
        ("r.xlsx", "x", "not a kind"),
        ("r.parquet", "PAR1xx", "cannot be read"),
        ("r.csv", "", "cannot be read"),
    ],
)
def test_unreadable_files(tmp_path: Path, name: str, text: str | None, said: str) -> None:
    path = tmp_path / name
    if text is not None:
        write(path, text)
    assert said in problems(read_points, path)[0][1]


@pytest.mark.parametrize(
    ("name", "content", "said", "remedy"),
    [
        ("r.csv", b"PAR1\x15\x04\xff", "holds Parquet", "name it .parquet"),
        ("r.parquet", b"device_id,quantity\nG1,ch4\n", "holds no Parquet", "name it as what it is"),
        ("r.csv", b"PK\x03\x04\xb7\xff", "holds a workbook", "CSV UTF-8"),
        ("r.csv", "device_id,quantity\nG1,ch4\n".encode("utf-16"), "holds UTF-16 text", "CSV UTF-8"),
        ("r.csv", "device_id,quantity\n井1,ch4\n".encode("gbk"), "can't decode", "CSV UTF-8"),
        ("r.parquet", b"PAR1" + bytes(20) + b"PAR1", "cannot be read", "a whole file"),
    ],
)
def test_content_that_the_name_does_not_say(tmp_path: Path, name: str, content: bytes, said: str, remedy: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    ((_, message, told),) = problems(read_points, path)
    assert said in message
    assert remedy in told


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_what_the_simulator_writes_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"sensors.{suffix}"
    fleet = write_registry(path, sensors=40)
    assert (path.read_bytes()[:4] == b"PAR1") is (suffix == "parquet")
    assert read_points(path).equals(fleet.points.select(POINTS_FILE.names).cast(POINTS_FILE))


def test_the_simulator_refuses_kinds_that_nobody_reads(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"\.xlsx is no kind that is written.*\.parquet or \.csv"):
        run_simulation(
            broker_url="mqtt://localhost:1", sensors=16, interval_s=1.0, shape="single", pack=1, qos=0, seconds=1,
            seed=1, faults_per_hour=0, fault_speed=1, truth=None, registry=tmp_path / "r.xlsx", ledger=None,
            out=Console(),
        )  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_problems_are_bounded(tmp_path: Path) -> None:
    rows = "".join(f"G{i},ch4,x\n" for i in range(1000))
    assert len(problems(read_points, write(tmp_path / "r.csv", "device_id,quantity,span_low\n" + rows))) == 20


def test_too_many_quantities_of_a_device(tmp_path: Path) -> None:
    rows = "".join(f"G1,q{i}\n" for i in range(POINTS_PER_DEVICE_MAX + 1))
    found = problems(read_points, write(tmp_path / "r.csv", "device_id,quantity\n" + rows))
    assert "'G1' has 65 quantities" in found[0][1]


def test_parquet_of_other_types_is_cast(tmp_path: Path) -> None:
    table = pa.table(
        {
            "device_id": pa.array([7, 8]),
            "quantity": pa.array(["ch4", "ch4"]).dictionary_encode(),
            "span_low": pa.array([0.0, float("nan")]),
            "interval_s": pa.array([10, 20]),
            "install_date": pa.array([dt.datetime(2024, 5, 1, 3), None], pa.timestamp("us")),  # noqa: DTZ001 - files hold naive times
        }
    )
    pq.write_table(table, tmp_path / "r.parquet")
    rows = read_points(tmp_path / "r.parquet").to_pylist()
    assert [row["device_id"] for row in rows] == ["7", "8"]
    assert [row["span_low"] for row in rows] == [0.0, None]
    assert [row["interval_s"] for row in rows] == [10.0, 20.0]
    assert rows[0]["install_date"] == dt.date(2024, 5, 1)


def test_parquet_problems_name_rows_and_column_types(tmp_path: Path) -> None:
    table = pa.table({"device_id": ["a", "a"], "quantity": ["x", "x"], "span_low": [[1.0], [2.0]]})
    pq.write_table(table, tmp_path / "r.parquet")
    found = problems(read_points, tmp_path / "r.parquet")
    assert found[0][0] == "column span_low"
    assert "list" in found[0][1]
    pq.write_table(table.drop_columns("span_low"), tmp_path / "r.parquet")
    assert problems(read_points, tmp_path / "r.parquet")[0][:2] == ("row 2, device_id", "a/x is already in row 1")


AREAS_TEXT = "area_code,level,name,parent_code,lon,lat\n41,city,郑州,,113.6,34.7\n4101,district,金水,41,,\n"


def test_areas(tmp_path: Path) -> None:
    table = read_areas(write(tmp_path / "a.csv", AREAS_TEXT))
    assert table.schema.equals(AREAS)
    assert table["name"].to_pylist() == ["郑州", "金水"]


def test_areas_problems(tmp_path: Path) -> None:
    text = AREAS_TEXT + "4102,county,x,9,,\n41,city,again,,,\nA,grid,a,B,,\nB,grid,b,A,,\n"
    keys = [key for key, _, _ in problems(read_areas, write(tmp_path / "a.csv", text))]
    assert keys == ["line 4, level", "line 5, area_code", "line 4, parent_code", "line 6, parent_code"]


def test_points_in_unknown_areas_are_advice(tmp_path: Path) -> None:
    areas = read_areas(write(tmp_path / "a.csv", AREAS_TEXT))
    points = read_points(write(tmp_path / "r.csv", "device_id,quantity,area_code\nG1,a,41\nG1,b,999\nG1,c,\n"))
    assert [p.message for p in unknown_areas(points, areas, "r.csv")] == ["area '999' is not in the areas file"]


@pytest.mark.parametrize("text", ["", "\n\r\n", "\ufeff"])
def test_an_empty_file_says_so_and_leaves_no_thread_behind(text: str, tmp_path: Path) -> None:
    ((place, message, _),) = problems(read_points, write(tmp_path / "r.csv", text))
    assert (place, message) == ("file", "cannot be read: it is empty")


@pytest.mark.parametrize("separator", [";", "\t"])
def test_what_spreadsheets_of_other_countries_write_is_read(separator: str, tmp_path: Path) -> None:
    text = separator.join(["device_id", "quantity", "owner"]) + "\n" + separator.join(["G1", "ch4", QUOTED]) + "\n"
    row = read_points(write(tmp_path / "r.csv", text)).to_pylist()[0]
    assert (row["device_id"], row["owner"]) == ("G1", QUOTED.strip('"'))
