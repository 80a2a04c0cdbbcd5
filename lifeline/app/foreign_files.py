"""Files of others as frames: CSV or Parquet, times as they are written, and what is wrong named with its remedy.

Nothing is guessed that could be wrong in silence: a day that may be a month, seconds for milliseconds and text for
numbers are refused. Where a column of times holds a 13 or more it tells by itself which of both is the day.
"""

from __future__ import annotations

import csv
import gzip
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from lifeline.core.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

TIMES: Final = ("ts", "start", "end")
NAMES: Final = ("device_id", "quantity", "fault_id", "kind")
"""Names are text even where they look like numbers: 0012 is not 12."""
WORDS: Final = {"true": 1.0, "false": 0.0}
SEPARATORS: Final = ",;\t"
AGAIN: Final = "_duplicated_"
"""What polars puts between the name of a column that comes again and a number."""
PARQUET: Final = b"PAR1"
GZIP: Final = b"\x1f\x8b"
ZSTD: Final = b"\x28\xb5\x2f\xfd"
OTHERS: Final = {
    b"PK\x03\x04": "a workbook or another zip archive: save it as CSV UTF-8",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook: save it as CSV UTF-8",
    b"\xff\xfe": "UTF-16 text: save it as CSV UTF-8",
    b"\xfe\xff": "UTF-16 text: save it as CSV UTF-8",
}
"""How files begin, and what is neither Parquet nor CSV."""
SECONDS_BELOW: Final = 1e11
"""Epoch milliseconds are larger since 1973; epoch seconds will be until the year 5138."""
MICROSECONDS_ABOVE: Final = 1e14
"""Epoch milliseconds of the year 5138."""
DAY_FIRST: Final = r"^\s*\d{1,2}[/.\-]\d{1,2}[/.\-]\d{2,4}"
DATE_PARTS: Final = (
    r"^\s*(?P<a>\d{1,2})[/.\-](?P<b>\d{1,2})[/.\-](?P<year>\d{4}|\d{2})"
    r"(?:[ T]+(?P<hour>\d{1,2})(?P<rest>(?::\d{2}){0,2}(?:\.\d+)?))?\s*$"
)
MONTHS: Final = 12
FORMATS: Final = (None, "%Y%m%dT%H%M%SZ")
"""Those that polars finds by itself, and the basic form of ISO 8601."""


def read_frame(path: Path, option: str) -> pl.DataFrame:
    """A table; CSV may be compressed (gzip, zstd) and separated by commas, semicolons or tabs.

    Raises:
        ConfigurationError: it cannot be read.
    """
    with _readable(path, option):
        if is_parquet(path):
            return pl.read_parquet(path, glob=False)
        text = dict.fromkeys((*TIMES, *NAMES), pl.String())
        return pl.read_csv(path, separator=_separator(path), infer_schema_length=None, schema_overrides=text)


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


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(PARQUET))


def _separator(path: Path) -> str:
    """The one that the first line has most of."""
    start = _start(path)
    if start == ZSTD:
        return ","
    with gzip.open(path, "rb") if start.startswith(GZIP) else path.open("rb") as file:
        head = file.readline(1 << 20).decode("utf-8", "replace")
    return max(SEPARATORS, key=head.count)


def epoch_ms(times: pl.Series, path: Path) -> pl.Series:
    """Times as epoch milliseconds; those without a zone are UTC.

    Raises:
        ConfigurationError: they are none, or could mean several things.
    """
    remedy = "epoch milliseconds, ISO 8601, or a timestamp column"

    def wrong(message: str) -> ConfigurationError:
        return ConfigurationError([Problem(str(path), times.name, message, remedy)])

    found = _numbers_or_times(times)
    if found.dtype.is_numeric():
        newest = found.max()
        if isinstance(newest, (int, float)) and 0 < newest < SECONDS_BELOW:
            raise wrong("looks like seconds, not milliseconds")
        oldest = found.min()
        if isinstance(oldest, (int, float)) and oldest < 0:
            raise wrong(f"{oldest} is before 1970, when times begin")
        if isinstance(newest, (int, float)) and newest > MICROSECONDS_ABOVE:
            raise wrong("looks like micro- or nanoseconds, not milliseconds")
        return found.cast(pl.Int64)
    if found.dtype == pl.String and found.str.contains(DAY_FIRST).any():
        raise wrong(f"{found.drop_nulls()[0]!r}: day and month cannot be told apart (无法区分日与月)")
    if not found.dtype.is_temporal() or found.dtype == pl.Time:
        raise wrong(_no_times(found, path))
    return found.cast(pl.Datetime("ms", getattr(found.dtype, "time_zone", None))).dt.epoch("ms")


def place(path: Path, row: int) -> str:
    """Where a row (from 0) is in a file: its line in CSV, whose first has the names."""
    return f"row {row + 1}" if is_parquet(path) else f"line {row + 2}"


def _no_times(found: pl.Series, path: Path) -> str:
    """What is wrong with a column of times: the first of a few that are none, or all of them."""
    if found.dtype != pl.String or not found.count():
        return f"holds {found.dtype}, not times"
    read = found.str.to_datetime(time_zone="UTC", strict=False, time_unit="ms") if _begins_well(found) else None
    wrong = found.is_not_null() & read.is_null() if read is not None else found.is_not_null()
    row = wrong.arg_max()
    if read is None or row is None or wrong.sum() == found.count():
        return f"holds text such as {found.drop_nulls()[0]!r}, not times"
    more = f" (and {wrong.sum() - 1} more)" if wrong.sum() > 1 else ""
    return f"{place(path, row)}: {found[row]!r} is no time{more}"


def _begins_well(found: pl.Series) -> bool:
    """Whether the first value is a time, so that the form of the others is known."""
    with suppress(pl.exceptions.PolarsError):
        return bool(found.drop_nulls().head(1).str.to_datetime(time_zone="UTC").count())
    return False


def _numbers_or_times(times: pl.Series) -> pl.Series:
    """Text as what it says, the text itself where it says neither."""
    if times.dtype != pl.String:
        return times
    numbers = times.cast(pl.Int64, strict=False)
    if numbers.null_count() == times.null_count() and times.count():
        return numbers
    if times.str.contains(DAY_FIRST).any():
        return _by_parts(times)
    for form in FORMATS:
        with suppress(pl.exceptions.PolarsError):
            return times.str.to_datetime(form, time_zone="UTC")
    return times


def _by_parts(times: pl.Series) -> pl.Series:
    """Dates that begin with a day or a month, where one of the two is above twelve somewhere; else the text itself."""
    parts = times.str.extract_groups(DATE_PARTS).struct.unnest()
    a, b = (parts[name].cast(pl.Int64) for name in ("a", "b"))
    day_first, month_first = bool((a > MONTHS).any()), bool((b > MONTHS).any())
    if day_first == month_first or a.null_count() > times.null_count():
        return times
    day, month = ("a", "b") if day_first else ("b", "a")
    two = pl.lit("20") + pl.col("year")
    text = pl.concat_str(
        pl.when(pl.col("year").str.len_chars() == 2).then(two).otherwise("year"),
        pl.lit("-"),
        pl.col(month).str.zfill(2),
        pl.lit("-"),
        pl.col(day).str.zfill(2),
        pl.lit("T"),
        pl.col("hour").fill_null("00").str.zfill(2),
        # seconds and minutes that are not told are 0
        pl.when(pl.col("rest").fill_null("") == "").then(pl.lit(":00")).otherwise("rest"),
    )
    try:
        return parts.select(text.alias(times.name)).to_series().str.to_datetime(time_zone="UTC")
    except pl.exceptions.PolarsError:
        return times


def as_numbers(values: pl.Series) -> pl.Series:
    """Values as numbers, NULL where there is none (infinite ones too); states such as true and false are 1 and 0."""
    found = values.cast(pl.Float64, strict=False) if values.dtype != pl.Null else values.cast(pl.Float64)
    if values.dtype == pl.String and found.null_count() > values.null_count():
        words = values.str.strip_chars().str.to_lowercase()
        found = found.fill_null(words.cast(pl.Float64, strict=False))
        found = found.fill_null(words.replace_strict(WORDS, default=None, return_dtype=pl.Float64))
    return found.set(found.is_infinite() | found.is_nan(), None)


def no_numbers(path: Path, name: str, example: object) -> Problem:
    """A column with values and no number among them."""
    remedy = "write states as numbers (0, 1) and decimals with a point"
    return Problem(str(path), name, f"holds {example!r}, not numbers", remedy)


@dataclass(frozen=True)
class Scan:
    """A table that is not read yet; ``names`` are its columns."""

    path: Path
    option: str
    lazy: pl.LazyFrame
    names: list[str]
    separator: str | None = None
    """Of CSV."""

    def batches(self, rows: int, names: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """The rows in order, so many at once, of chosen columns.

        Raises:
            ConfigurationError: they cannot be read.
        """
        chosen = self.lazy if names is None else self.lazy.select(names)
        with _readable(self.path, self.option):
            yield from chosen.collect_batches(chunk_size=rows, maintain_order=True)

    def column(self, name: str) -> pl.Series:
        """One column, whole.

        Raises:
            ConfigurationError: it cannot be read.
        """
        with _readable(self.path, self.option):
            return self.lazy.select(name).collect(engine="streaming")[name]

    def told(self, names: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Of some columns: how many values they hold, and how many of these are numbers.

        Raises:
            ConfigurationError: they cannot be read.
        """
        if not names:
            return {}
        kinds = self.lazy.collect_schema()
        asked = [pl.col(name).is_not_null().sum().name.prefix("values ") for name in names]
        asked += [_is_number(name, kinds[name]).sum().alias(f"numbers {name}") for name in names]
        with _readable(self.path, self.option):
            counts = self.lazy.select(asked).collect(engine="streaming").row(0, named=True)
        return {name: (counts[f"values {name}"], counts[f"numbers {name}"]) for name in names}


def _is_number(name: str, kind: pl.DataType) -> pl.Expr:
    """Which values of a column may be numbers, decimals with a comma and states such as true included."""
    if kind != pl.String:
        return pl.col(name).is_not_null() & (kind.is_numeric() or kind == pl.Boolean)
    text = pl.col(name).str.strip_chars().str.to_lowercase()
    read = text.str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
    return (read.is_finite() | text.is_in(list(WORDS))).fill_null(value=False)


def scan_frame(path: Path, option: str) -> Scan:
    """As ``read_frame``, but nothing is read except the names of the columns; of CSV every value is text.

    Raises:
        ConfigurationError: it cannot be read.
    """
    with _readable(path, option):
        separator = None if is_parquet(path) else _separator(path)
        if separator is None:
            lazy = pl.scan_parquet(path, glob=False)
        else:
            lazy = _named(pl.scan_csv(path, separator=separator, infer_schema=False), path)
        return Scan(path, option, lazy, lazy.collect_schema().names(), separator)


def _named(lazy: pl.LazyFrame, path: Path) -> pl.LazyFrame:
    """Columns of a CSV by their names: without spaces around them, and with the quotes that are theirs.

    Raises:
        ConfigurationError: two have one name.
    """
    names = lazy.collect_schema().names()
    twice = [name.rpartition(AGAIN)[0] for name in names if name.rpartition(AGAIN)[0] in names]
    if twice:
        raise ConfigurationError([Problem(str(path), twice[0], "appears twice", "keep one column of each name")])
    better = {name: name.strip().replace('""', '"') for name in names}
    return lazy if len(set(better.values())) < len(names) else lazy.rename(better)


@contextmanager
def _readable(path: Path, option: str) -> Iterator[None]:
    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as error:
        told = str(error).partition("\n")[0]
        remedy = "Parquet or CSV, also .csv.gz"
        with suppress(OSError, ValueError, csv.Error):  # of a file that cannot be read twice the first word is enough
            if isinstance(error, pl.exceptions.PolarsError) and not is_parquet(path):
                told, remedy = _ragged(path) or (told, remedy)
        raise ConfigurationError([Problem(str(path), option, f"cannot be read: {told}", remedy)]) from error


def _ragged(path: Path) -> tuple[str, str] | None:
    """The first line of a CSV with more fields than its first has names, and what to do about it; None: there is none.

    Read slowly, and only once something is wrong: how polars tells it names no line.
    """
    separator, start = _separator(path), _start(path)
    if start == ZSTD:
        return None
    opened = gzip.open if start.startswith(GZIP) else open
    with opened(path, "rt", encoding="utf-8-sig", errors="replace", newline="") as file:
        rows = csv.reader(file, delimiter=separator)
        names = len(next(rows, []))
        for row in rows:
            if len(row) > names:
                began = rows.line_num
                message = f"line {began} has {len(row)} fields, the first line names {names} (该行字段数与表头不符)"
                return (
                    message,
                    f"mend the line: fields are separated by {separator!r}, texts that hold one are in quotes",
                )
    return None
