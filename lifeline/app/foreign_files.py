"""Files of others as frames: CSV or Parquet, and what is wrong named with its place and remedy.

Nothing is guessed that could be wrong in silence: text for numbers is refused (and times that could be several,
``foreign_times``).
"""

from __future__ import annotations

import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from lifeline.app.foreign_lines import is_parquet, separator_of, short, torn
from lifeline.core.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TIMES: Final = ("ts", "start", "end")
NAMES: Final = ("device_id", "quantity", "fault_id", "kind")
"""Names are text even where they look like numbers: 0012 is not 12."""
WORDS: Final = {"true": 1.0, "false": 0.0}
ENDINGS: Final = {".csv", ".parquet", ".pq", ".tsv"}
"""Of the files of a folder that are history; ``.csv.gz`` has one of them too."""
AGAIN: Final = "_duplicated_"
"""What polars puts between the name of a column that comes again and a number."""
ROW_NUMBERS: Final = re.compile(r"(__index_level_\d+__|Unnamed: \d+)?")
"""Names of columns that are none: row numbers, as some programs and pandas write them, and commas that end lines."""


def history_files(data: Path | Sequence[Path], registry: Path) -> list[Path]:
    """The files that were named, each once, those of a folder in the order of their names; a registry there is none.

    Raises:
        ConfigurationError: a folder has none.
    """
    found: dict[Path, Path] = {}
    for path in [data] if isinstance(data, Path) else data:
        if not path.is_dir():
            found.setdefault(path.resolve(), path)
            continue
        inside = [file for file in sorted(path.iterdir()) if ENDINGS & set(file.suffixes) and file.name[0] not in "._"]
        inside = [file for file in inside if not file.is_dir() and file.resolve() != registry.resolve()]
        if not inside:
            message = f"is a folder without any of {', '.join(sorted(ENDINGS))} (文件夹中没有数据文件)"
            raise ConfigurationError([Problem(str(path), "--data", message, "give a file, or a folder of them")])
        for file in inside:
            found.setdefault(file.resolve(), file)
    return list(found.values())


def read_frame(path: Path, option: str) -> pl.DataFrame:
    """A table; CSV may be compressed (gzip, zstd) and separated by commas, semicolons or tabs.

    Raises:
        ConfigurationError: it cannot be read.
    """
    with _readable(path, option):
        if is_parquet(path):
            return pl.read_parquet(path, glob=False)
        text = dict.fromkeys((*TIMES, *NAMES), pl.String())
        separator = separator_of(path)
        read = pl.read_csv(path, glob=False, separator=separator, infer_schema_length=None, schema_overrides=text)
        found = _named(read.lazy(), path).collect()
        few = short_lines(path, separator) if is_cut(found) else None
        if few is not None:
            raise ConfigurationError([Problem(str(path), option, few, "write the separators of empty fields too")])
        return found


def is_nameless(name: str) -> bool:
    """Whether a column's name is none."""
    return ROW_NUMBERS.fullmatch(name.partition(AGAIN)[0].strip()) is not None


def place(path: Path, row: int) -> str:
    """Where a row (from 0) is in a file: its line in CSV, whose first has the names."""
    return f"row {row + 1}" if is_parquet(path) else f"line {row + 2}"


def is_cut(frame: pl.DataFrame) -> bool:
    """Whether a row of a CSV may have come from a line with too few fields: it ends with nothing, and is not empty."""
    last = frame.columns[-1]
    return (
        len(frame.columns) > 1
        and bool(frame[last].null_count())
        and bool(
            frame.select((pl.col(last).is_null() & pl.any_horizontal(pl.exclude(last).is_not_null())).any()).item()
        )
    )


def short_lines(path: Path, separator: str) -> str | None:
    """What to say of lines of a CSV that have fewer fields than its first; None: there are none."""
    found = short(path, separator)
    if found is None:
        return None
    count, line, fields, names = found
    return (
        f"{count} lines have fewer fields than the {names} that the first line names, the first is line {line} with "
        f"{fields} (字段数少于表头)"
    )


def as_numbers(values: pl.Series) -> pl.Series:
    """Values as numbers, NULL where there is none (infinite ones too); states such as true and false are 1 and 0."""
    if values.dtype.is_nested() or values.dtype.is_temporal() or values.dtype == pl.Binary:
        return pl.Series(values.name, [None] * len(values), pl.Float64)
    if values.dtype in {pl.Categorical, pl.Enum}:
        values = values.cast(pl.String)
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
        separator = None if is_parquet(path) else separator_of(path)
        if separator is None:
            lazy = pl.scan_parquet(path, glob=False)
        else:
            lazy = _named(pl.scan_csv(path, glob=False, separator=separator, infer_schema=False), path)
        return Scan(path, option, lazy, lazy.collect_schema().names(), separator)


def _named(lazy: pl.LazyFrame, path: Path) -> pl.LazyFrame:
    """Columns of a CSV by their names: without spaces around them, and with the quotes that are theirs.

    Raises:
        ConfigurationError: two have one name.
    """
    names = lazy.collect_schema().names()
    again = [name.rpartition(AGAIN)[0] for name in names if AGAIN in name]
    twice = [name for name in again if name and name in names]
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
        remedy = (
            "Parquet or CSV, also .csv.gz" if "utf-8" not in told.lower() else "save it as CSV UTF-8 (请另存为 UTF-8)"
        )
        with suppress(OSError, ValueError):  # of a file that cannot be read twice the first word is enough
            if isinstance(error, pl.exceptions.PolarsError) and not is_parquet(path):
                told, remedy = torn(path, separator_of(path)) or (told, remedy)
        raise ConfigurationError([Problem(str(path), option, f"cannot be read: {told}", remedy)]) from error
