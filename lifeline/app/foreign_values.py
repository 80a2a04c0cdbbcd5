"""Values of others' files as numbers, piece by piece; what is none is left out, counted, and said by name and place.

A text among numbers costs its own value, a column of text itself. Where no column holds a number the file is refused:
then it is not the column that is wrong, but how all of it is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from lifeline.app.foreign_files import as_numbers, no_numbers, place
from lifeline.core.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

NOTHING: Final = (
    "nan", "na", "n/a", "null", "none", "nil", "-", "--", "---", "?", "", "missing", "nodata", "no data", "nd", "<na>",
    "inf", "-inf", "-nan", "#n/a", "#na", "#value!", "#div/0!", "#ref!", "#num!", "1.#qnan", "1.#ind", "-1.#ind",
)  # fmt: skip
"""Words of others for no value, those of spreadsheets and of C libraries among them."""
WORDS_MAX: Final = 10_000
"""A file whose columns begin with so many values of which none is a number is a mistake, whatever may follow."""
QUALITY: Final = {"good": 0, "uncertain": 1, "suspect": 1, "questionable": 1, "bad": 2, "好": 0, "可疑": 1, "坏": 2}
COMMA: Final = r"^\s*[+-]?\d+,\d+([eE][+-]?\d+)?\s*$"


class Values:
    """Values of a file's columns as numbers."""

    def __init__(self, path: Path, *, commas: bool = False) -> None:
        """``commas``: decimals may have one, as in files with semicolons, which are of countries that write so."""
        self._path = path
        self._commas = commas
        self._text: dict[str, Any] = {}
        self._wordy: dict[str, int] = {}
        self._lost: dict[str, tuple[int, int, Any]] = {}
        self._good: set[str] = set()
        self._rows: dict[str, tuple[int, int, str]] = {}
        """Rows left out, by reason: how many, and the first."""
        self._with_comma: tuple[int, str] | None = None
        """How many values had a comma, and the first of them with its place."""
        self._with_point: str | None = None
        """The first that had a point."""

    def numbers(self, values: pl.Series, first: int) -> pl.Series:
        """NaN where there is none; ``first``: the file's row where the piece begins.

        Raises:
            ConfigurationError: decimals are written both ways.
        """
        found = as_numbers(values)
        if values.dtype == pl.String:
            if self._commas:
                found = self._decimal(values, found, first)
            if found.null_count() > values.null_count():
                self._note(values, found, first)
        if values.name not in self._good:
            words = _told(values) if not found.count() else None
            if words is None:
                self._good.add(values.name)
            elif len(words):
                example = words[0]
                if values.dtype != pl.String:  # lists, times, bytes: never a number
                    example = str(words.dtype)
                    count, at, _ = self._lost.get(values.name, (0, first, example))
                    self._lost[values.name] = (count + len(words), at, example)
                self._text.setdefault(values.name, example)
                self._wordy[values.name] = self._wordy.get(values.name, 0) + len(words)
        return found.fill_null(np.nan)

    def _decimal(self, values: pl.Series, found: pl.Series, first: int) -> pl.Series:
        """Those with a decimal comma read too; 1,250 beside 12.5 is refused, for one of both is no decimal."""
        read = found
        if found.null_count() > values.null_count():
            comma = values.is_not_null() & found.is_null() & values.str.contains(COMMA)
            row = comma.arg_max()
            if row is not None and comma.any():
                count, example = self._with_comma or (0, self._example(values, row, first))
                self._with_comma = (count + int(comma.sum()), example)
                points = values.str.strip_chars().str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
                read = pl.select(pl.when(comma).then(points).otherwise(found)).to_series().alias(values.name)
        if self._with_point is None:
            point = found.is_not_null() & values.str.contains(".", literal=True)
            row = point.arg_max()
            if row is not None and point.any():
                self._with_point = self._example(values, row, first)
        if self._with_comma is not None and self._with_point is not None:
            message = (
                f"decimals with a comma ({self._with_comma[1]}) and with a point ({self._with_point}) "
                "(小数点与逗号混用)"
            )
            remedy = "write decimals with a point, and thousands without any sign"
            raise ConfigurationError([Problem(str(self._path), "value", message, remedy)])
        return read

    def _example(self, values: pl.Series, row: int, first: int) -> str:
        return f"{values.name}: {place(self._path, first + row)}: {values[row]!r}"

    def _note(self, values: pl.Series, found: pl.Series, first: int) -> None:
        """Count what is neither a number nor a word for nothing, and keep the first."""
        lost = values.is_not_null() & found.is_null() & ~_empty(values)
        row = lost.arg_max()
        if row is None or not lost.any():
            return
        count, at, example = self._lost.get(values.name, (0, first + row, values[row]))
        self._lost[values.name] = (count + int(lost.sum()), at, example)

    def leave_out(self, rows: pl.Series, why: str, chinese: str, first: int) -> None:
        """Count rows that are no readings at all; ``first``: the file's row where the piece begins."""
        row = rows.arg_max()
        if row is not None and rows.any():
            count, at, _ = self._rows.get(why, (0, first + row, chinese))
            self._rows[why] = (count + int(rows.sum()), at, chinese)

    @property
    def said(self) -> list[str]:
        """A sentence for each column in which values are no numbers, and one for decimal commas."""
        told = [
            f"{self._path}: {name}: {'' if name in self._good else 'no value is a number, '}{count} values are no "
            f"numbers and were left out, the first in {place(self._path, row)}: {text!r} "
            f"({'非数值，已略去' if name in self._good else '整列均非数值，已略去'})"
            for name, (count, row, text) in self._lost.items()
        ]
        told += [
            f"{self._path}: {count} rows {why} and were left out, the first in {place(self._path, row)} "
            f"({chinese}，已略去)"
            for why, (count, row, chinese) in self._rows.items()
        ]
        if self._with_comma is not None:
            count, example = self._with_comma
            told.append(f"{self._path}: {count} commas were read as decimal points, the first in {example} (小数逗号)")
        return told

    def check(self, *, ended: bool) -> None:
        """After each piece, and at the end.

        Raises:
            ConfigurationError: columns hold values, but none a number.
        """
        if self._good or not self._text or not (ended or max(self._wordy.values()) >= WORDS_MAX):
            return
        raise ConfigurationError([no_numbers(self._path, name, text) for name, text in self._text.items()])


def quality_of(values: pl.Series, path: Path, first: int) -> NDArray[np.uint8]:
    """0 good, 1 uncertain, 2 bad, as numbers or in words; nothing means good.

    Raises:
        ConfigurationError: it says something else.
    """
    found = as_numbers(values)
    told = values.is_not_null()
    if values.dtype == pl.String:
        words = values.str.strip_chars().str.to_lowercase()
        found = found.fill_null(words.replace_strict(QUALITY, default=None, return_dtype=pl.Float64))
        told &= ~_empty(values)
    wrong = told & ~found.is_in([0.0, 1.0, 2.0]).fill_null(value=False)
    row = wrong.arg_max()
    if row is not None and wrong.any():
        message = f"{place(path, first + row)}: {values[row]!r} is none of 0, 1 and 2"
        remedy = "0 good, 1 uncertain, 2 bad, or these words; leave it empty when unknown"
        raise ConfigurationError([Problem(str(path), "quality", message, remedy)])
    return found.fill_null(0).cast(pl.UInt8).to_numpy()


def _empty(values: pl.Series) -> pl.Series:
    """Which texts say that there is nothing."""
    return values.str.strip_chars().str.to_lowercase().is_in(NOTHING)


def _told(values: pl.Series) -> pl.Series:
    """Those of a column without a number that say something: NaN and the words for nothing do not."""
    kept = values.drop_nulls()
    if kept.dtype == pl.String:
        return kept.filter(~_empty(kept))
    return kept.clear() if kept.dtype.is_float() else kept
