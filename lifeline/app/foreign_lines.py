"""Others' files before they are tables: of what kind they are by their first bytes, and their lines as lines.

How polars tells what is wrong with a CSV names no line, and lines that are too short it fills up and says nothing. So
lines are counted here; slowly, by the standard's own reader, only where something is known to be wrong with them.
"""

from __future__ import annotations

import csv
import io
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import polars as pl
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SEPARATORS: Final = ",;\t"
PARQUET: Final = b"PAR1"
PACKED: Final = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
OTHERS: Final = {
    b"PK\x03\x04": "a workbook or another zip archive: save it as CSV UTF-8",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook: save it as CSV UTF-8",
    b"\xff\xfe": "UTF-16 text: save it as CSV UTF-8",
    b"\xfe\xff": "UTF-16 text: save it as CSV UTF-8",
    b"BZh": "bzip2: pack it with gzip or zstd",
    b"\xfd7zX": "xz: pack it with gzip or zstd",
    b"ARRO": "an Arrow (Feather) file: save it as Parquet",
    b'{"': "JSON: save it as CSV UTF-8 or as Parquet",
    b'[{"': "JSON: save it as CSV UTF-8 or as Parquet",
}
"""How files begin, and what is neither Parquet nor CSV."""
HEAD_BYTES: Final = 1 << 20
NO_SEPARATOR: Final = "\x1f"
"""A byte that no text has: so polars takes a line for one field."""


def is_parquet(path: Path) -> bool:
    """Parquet or CSV, by how the file begins: names such as ``.CSV``, ``.tsv``, ``.txt`` and ``.pq`` say little.

    Raises:
        OSError: it cannot be read, or is neither.
    """
    start = _start(path)
    for begin, kind in OTHERS.items():
        if start.startswith(begin):
            raise OSError(f"it holds {kind}")
    return start == PARQUET


def separator_of(path: Path) -> str:
    """What a CSV separates its fields by: the one that its first line has most of.

    Raises:
        OSError: it cannot be read, or is no text in UTF-8 with lines.
    """
    with _opened(path) as file:
        line = file.read(HEAD_BYTES).partition(b"\n")[0]
    if line.startswith(PARQUET):
        raise OSError("it holds Parquet, packed once more: unpack it, Parquet is packed by itself")
    if b"\0" in line:
        raise OSError("its first line holds bytes of 0, as UTF-16 does: save it as CSV UTF-8 (编码不是 UTF-8，请另存)")
    try:
        head = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise OSError("its first line is not UTF-8 (GBK?): save it as CSV UTF-8 (编码不是 UTF-8，请另存)") from error
    if "\r" in head.rstrip("\r"):
        raise OSError("its lines end with CR alone, as on old Macs: save it as CSV UTF-8 (换行符为 CR，请另存)")
    return max(SEPARATORS, key=head.count)


def torn(path: Path, separator: str) -> tuple[str, str] | None:
    """What is wrong with the lines of a CSV that polars refused, and what to do about it; None: nothing is found.

    The first line with more fields than the first one has names, or with a quotation mark that is never closed.
    """
    ends = names = 0
    try:
        for _, ends, row in _rows(path, separator, strict=True):
            names = names or len(row)
            if len(row) > names:
                message = f"line {ends} has {len(row)} fields, the first line names {names} (该行字段数与表头不符)"
                remedy = f"mend the line: fields are separated by {separator!r}, texts that hold one are in quotes"
                return message, remedy
    except csv.Error:
        message = f"line {ends + 1}: a quotation mark is not closed, or stands amid a text (引号未闭合)"
        return message, 'close it, or write it twice within quotes: "…""…"'
    return None


def short(path: Path, separator: str) -> tuple[int, int, int, int] | None:
    """How many lines of a CSV have fewer fields than its first; None: there are none.

    Of the first of them its number and how many fields it has, and how many it should have.

    Empty lines are none at all. Only a file with quotation marks is read slowly.
    """
    told = pl.scan_csv(
        path, glob=False, separator=NO_SEPARATOR, quote_char=None, has_header=False, infer_schema=False,
        new_columns=["line"], row_index_name="row", row_index_offset=1,
    )  # fmt: skip
    line = pl.col("line")
    counted = told.filter(line.str.strip_chars().str.len_bytes() > 0).select(
        "row", fields=line.str.count_matches(separator, literal=True) + 1, quoted=line.str.contains('"', literal=True)
    )
    names = pl.col("fields").first()
    few = pl.col("fields") < names
    found = counted.select(
        quoted=pl.col("quoted").any(), count=few.sum(), row=pl.col("row").filter(few).first(), names=names,
        fields=pl.col("fields").filter(few).first(),
    ).collect(engine="streaming").row(0, named=True)  # fmt: skip
    if not found["quoted"]:
        return (found["count"], found["row"], found["fields"], found["names"]) if found["count"] else None
    count = first = fields = wanted = 0
    with suppress(csv.Error):  # what was counted up to there is something
        for began, _, row in _rows(path, separator):
            wanted = wanted or len(row)
            if len(row) < wanted and (len(row) > 1 or row[0].strip()):
                count, first, fields = count + 1, first or began, fields or len(row)
    return (count, first, fields, wanted) if count else None


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(PARQUET))


@contextmanager
def _opened(path: Path) -> Iterator[pa.NativeFile]:
    """A file's bytes, unpacked."""
    start = _start(path)
    packed = next((kind for begin, kind in PACKED.items() if start.startswith(begin)), None)
    with pa.input_stream(str(path), compression=packed) as file:
        yield file


def _rows(path: Path, separator: str, *, strict: bool = False) -> Iterator[tuple[int, int, list[str]]]:
    """The lines of a CSV that are not empty, as fields, each with the numbers of its first and its last.

    Raises:
        csv.Error: a field is longer than 128 KiB; ``strict``: quotation marks are wrong.
    """
    with _opened(path) as file, io.TextIOWrapper(file, "utf-8-sig", errors="replace", newline="") as text:
        rows = csv.reader(text, delimiter=separator, strict=strict)
        ended = 0
        for row in rows:
            if row:
                yield ended + 1, rows.line_num, row
            ended = rows.line_num
