"""Registry and areas files as checked Arrow tables.

Rules of this file: a file is read whole, every problem in it is collected (up to ``PROBLEMS_MAX``) and raised at once;
nothing is guessed and no row is dropped in silence. CSV is read as text first, so that a problem can show the very
value and its line; Parquet columns are cast. Which columns exist is said once, in ``core.schema``.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import functools
import itertools
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from lifeline.core.errors import ConfigurationError, Problem
from lifeline.core.schema import AREAS, POINTS
from lifeline.registry.checks import PROBLEMS_MAX, Findings, check_areas, check_foreign_points, check_points

if TYPE_CHECKING:
    from pathlib import Path

POINTS_FILE: Final = pa.schema([field for field in POINTS if field.name != "point"])
"""What a registry file may hold; the ledger alone gives point numbers."""

HEAD_BYTES: Final = 1 << 16
SEPARATORS: Final = ",;\t"
"""Spreadsheets of countries with a decimal comma write semicolons."""
MAGIC: Final = {
    b"PAR1": "Parquet",
    b"PK\x03\x04": "a workbook or another zip archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}
"""How files begin that are given for CSV or Parquet."""

REMEDIES: Final[dict[pa.DataType, str]] = {
    pa.float64(): "write a decimal number with a point, no unit and no thousands separator; empty means unknown",
    pa.date32(): "write the date as YYYY-MM-DD; empty means unknown",
    pa.string(): "write text in UTF-8",
}


def read_points(path: Path, *, foreign: bool = False) -> pa.Table:
    """The points of a registry file in row order: columns of ``POINTS`` without ``point``, missing ones null.

    A column named ``point`` is ignored (the ledger numbers points); other columns that are not ours are ignored too,
    unless they look like a misspelt one of ours. With ``foreign`` it describes history from elsewhere, which may call
    its quantities and utilities what it likes.

    Raises:
        ConfigurationError: every problem found, each with its line (CSV) or row (Parquet), column and value.
    """
    return _read(path, POINTS_FILE, check_foreign_points if foreign else check_points)


def read_areas(path: Path) -> pa.Table:
    """The areas file in the ``AREAS`` schema, any row order.

    Raises:
        ConfigurationError: every problem found (unknown level, duplicate code, parent that does not exist, cycle).
    """
    return _read(path, AREAS, check_areas)


def unknown_areas(points: pa.Table, areas: pa.Table, file: str) -> list[Problem]:
    """Area codes that points name and the areas file lacks. Advice for ``check``: such points have no place name."""
    codes = pc.unique(points["area_code"].drop_null())
    missing = codes.filter(pc.invert(pc.is_in(codes, value_set=areas["area_code"].combine_chunks())))
    return [
        Problem(file, "area_code", f"area {code!r} is not in the areas file", "add it there, or correct the code")
        for code in missing.to_pylist()[:PROBLEMS_MAX]
    ]


def _read(path: Path, schema: pa.Schema, check: Any) -> pa.Table:
    findings = Findings(str(path), "row", lambda row: row + 1)
    raw = _load(path, findings)
    if raw is None:
        raise ConfigurationError(findings.problems)
    _check_header(raw.column_names, schema, findings)
    table = None if findings.problems else _coerce(raw, schema, findings)
    if table is not None:
        check(table, findings)
    if findings.problems or table is None:
        raise ConfigurationError(findings.problems)
    return table


def _load(path: Path, findings: Findings) -> pa.Table | None:
    """The file as it is, or None with a finding."""
    suffix = path.suffix.lower()
    if suffix not in {".csv", ".parquet"}:
        findings.add("name", f"{suffix or 'no ending'} is not a kind of file we read", "give a .csv or a .parquet file")
        return None
    try:
        if _is_other(path, suffix, findings):
            return None
        if suffix == ".parquet":
            return pq.ParquetFile(path, memory_map=True).read()
        return _load_csv(path, findings)
    except FileNotFoundError:
        findings.add("file", "does not exist", "check the path; in lifeline.toml it is relative to that file")
    except OSError as error:
        findings.add("file", f"cannot be read: {error}", "check that it is a whole file and its permissions")
    except (pa.ArrowException, UnicodeDecodeError) as error:
        remedy = _csv_remedy(str(error)) if suffix == ".csv" else "write it anew, or give it as .csv"
        findings.add("file", f"cannot be read: {_first_line(error)}", remedy)
    return None


def _is_other(path: Path, suffix: str, findings: Findings) -> bool:
    """Whether a file is of another kind than its name says, with a finding."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    known = next((kind for magic, kind in MAGIC.items() if head.startswith(magic)), None)
    if suffix == ".parquet" and head and known != "Parquet":
        remedy = "name it as what it is, or write it as Parquet or as CSV (UTF-8)"
        findings.add("file", f"cannot be read: it holds {known or 'no Parquet'}, though its name says .parquet", remedy)
        return True
    if suffix == ".csv" and known is not None:
        remedy = "name it .parquet" if known == "Parquet" else "save it as “CSV UTF-8”"
        findings.add("file", f"cannot be read: it holds {known}, though its name says .csv", remedy)
        return True
    if suffix == ".csv":
        codecs.getincrementaldecoder("utf-8")().decode(head)
    return False


def _load_csv(path: Path, findings: Findings) -> pa.Table | None:
    """All columns as text. One thread: only then does Arrow tell line numbers of ragged rows."""
    header, separator = _header(path)
    if not header:
        findings.add(
            "file", "cannot be read: it is empty", "the first line must be the column names, such as device_id,quantity"
        )
        return None
    lines = functools.cache(functools.partial(_line_numbers, path))  # of this reading: the next may find another file
    findings.unit, findings.locate = "line", lambda row: lines()[row + 1]

    def ragged(row: Any) -> str:
        findings.add(
            f"line {row.number}",
            f"has {row.actual_columns} columns, the header has {row.expected_columns}",
            f"quote values that hold {separator!r}",
        )
        return "skip"

    return pa_csv.read_csv(
        path,
        read_options=pa_csv.ReadOptions(use_threads=False, block_size=8 << 20),
        parse_options=pa_csv.ParseOptions(delimiter=separator, invalid_row_handler=ragged, ignore_empty_lines=True),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=True, null_values=[""]
        ),
    )


def _header(path: Path) -> tuple[list[str], str]:
    """Names in the first line that is not empty, and the separator that it has most of.

    Not by Arrow: its reader of pieces leaves a thread behind where it fails, and the program may end by SIGABRT.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        for line in file:
            if line.strip("\r\n"):
                separator = max(SEPARATORS, key=line.count)
                return next(csv.reader(itertools.chain([line], file), delimiter=separator)), separator
    return [], SEPARATORS[0]


def _line_numbers(path: Path) -> list[int]:
    """Numbers of the lines that are not empty (Arrow skips the empty ones); only read when there is a problem."""
    with path.open("rb") as file:
        return [number for number, line in enumerate(file, 1) if line.strip(b"\r\n")]


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _csv_remedy(message: str) -> str:
    if "UTF8" in message.upper().replace("-", ""):
        return "save it as “CSV UTF-8”; Excel's plain CSV in a Chinese Windows is GBK"
    return "open and save it again; the first line must be the column names"


def _check_header(names: list[str], schema: pa.Schema, findings: Findings) -> None:
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            findings.add(f"column {name}", "appears twice", "keep one of them")
    absent = [name for name in schema.names if name not in names]
    for name in names:
        near = difflib.get_close_matches(name.strip().lower(), absent, n=1, cutoff=0.8)
        if name not in schema.names and name != "point" and near:
            findings.add(f"column {name}", "is not a column we know", f"did you mean {near[0]!r}?")
    for name in absent:
        required = name in {"device_id", "quantity"} or not schema.field(name).nullable
        if required and not any(f"{name!r}" in problem.remedy for problem in findings.problems):
            found = ", ".join(names[:12])
            findings.add(f"column {name}", "is missing", f"the columns found are: {found}")


def _coerce(raw: pa.Table, schema: pa.Schema, findings: Findings) -> pa.Table | None:
    """Columns of ``schema`` in its order and types; None when a value would not go in."""
    columns = []
    for field in schema:
        if field.name not in raw.column_names:
            columns.append(pa.nulls(raw.num_rows, field.type))
            continue
        columns.append(_cast(raw[field.name].combine_chunks(), field, findings))
    if findings.problems:
        return None
    return pa.table(columns, schema=pa.schema([pa.field(f.name, f.type, f.nullable) for f in schema]))


def _cast(column: pa.Array, field: pa.Field, findings: Findings) -> pa.Array:
    """One column in the field's type. NaN becomes null: that is what it means in a registry."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    textual = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    if textual and not pa.types.is_string(field.type):
        column = pc.utf8_trim_whitespace(column)
        column = pc.if_else(pc.equal(column, ""), pa.scalar(None, column.type), column)
    try:
        cast = column.cast(field.type, safe=not pa.types.is_timestamp(column.type))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        _name_bad_values(column, field, findings)
        return pa.nulls(len(column), field.type)
    return pc.if_else(pc.is_nan(cast), None, cast) if pa.types.is_floating(field.type) else cast


def _name_bad_values(column: pa.Array, field: pa.Field, findings: Findings) -> None:
    """Find the values that made the cast fail: only reached when one did, so a plain loop may be slow."""
    remedy = REMEDIES[field.type]
    wanted = {"double": "a number", "date32[day]": "a date"}.get(str(field.type), "text")
    for row, value in enumerate(column):
        if not findings.room:
            return
        try:
            value.cast(field.type)
        except pa.ArrowNotImplementedError:
            findings.add(f"column {field.name}", f"holds {column.type}, not {wanted}", remedy)
            return
        except pa.ArrowInvalid:
            findings.at(row, field.name, f"{value.as_py()!r} is not {wanted}", remedy)
