"""Files of others as frames: CSV or Parquet, times as they are written, and what is wrong named with its remedy.

Nothing is guessed that could be wrong in silence: a day that may be a month, seconds for milliseconds and text for
numbers are refused. Where a column of times holds a 13 or more it tells by itself which of both is the day.
"""

from __future__ import annotations

import gzip
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import polars as pl

from lifeline.core.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from pathlib import Path

TIMES: Final = ("ts", "start", "end")
NAMES: Final = ("device_id", "quantity", "fault_id", "kind")
"""Names are text even where they look like numbers: 0012 is not 12."""
SEPARATORS: Final = ",;\t"
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
    """A table; CSV may be compressed (``.csv.gz``, ``.csv.zst``) and separated by commas, semicolons or tabs.

    Raises:
        ConfigurationError: it cannot be read.
    """
    remedy = "Parquet or CSV, also .csv.gz"
    try:
        if ".csv" not in path.suffixes[-2:]:
            return pl.read_parquet(path)
        text = dict.fromkeys((*TIMES, *NAMES), pl.String())
        return pl.read_csv(path, separator=_separator(path), infer_schema_length=None, schema_overrides=text)
    except (OSError, pl.exceptions.PolarsError) as error:
        told = str(error).partition("\n")[0]
        raise ConfigurationError([Problem(str(path), option, f"cannot be read: {told}", remedy)]) from error


def _separator(path: Path) -> str:
    """The one that the first line has most of."""
    if path.suffix == ".zst":
        return ","
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
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
        if isinstance(newest, (int, float)) and newest > MICROSECONDS_ABOVE:
            raise wrong("looks like micro- or nanoseconds, not milliseconds")
        return found.cast(pl.Int64)
    if found.dtype == pl.String and found.str.contains(DAY_FIRST).any():
        raise wrong(f"{found.drop_nulls()[0]!r}: day and month cannot be told apart (无法区分日与月)")
    if not found.dtype.is_temporal() or found.dtype == pl.Time:
        example = f" such as {found.drop_nulls()[0]!r}" if found.dtype == pl.String and found.count() else ""
        raise wrong(f"holds {found.dtype}{example}, not times")
    return found.cast(pl.Datetime("ms", getattr(found.dtype, "time_zone", None))).dt.epoch("ms")


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


def numbers(values: pl.Series, path: Path) -> pl.Series:
    """Values as numbers, NULL where there is none (infinite ones too); states such as true and false are 1 and 0.

    Raises:
        ConfigurationError: there are values but no number among them.
    """
    found = values.cast(pl.Float64, strict=False) if values.dtype != pl.Null else values.cast(pl.Float64)
    if values.count() and not found.count():
        remedy = "write states as numbers (0, 1) and decimals with a point"
        example = values.drop_nulls()[0]
        raise ConfigurationError([Problem(str(path), values.name, f"holds {example!r}, not numbers", remedy)])
    return found.set(found.is_infinite() | found.is_nan(), None)
