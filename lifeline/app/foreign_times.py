"""Times of others' files as epoch milliseconds, in the forms in which programs and people write them.

Nothing is guessed that could be wrong in silence: a day that may be a month and seconds for milliseconds are refused.
Where a column of dates holds a 13 or more it tells by itself which of both is the day; with dots it is the first
(no country writes 12.31.2026).
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import polars as pl

from lifeline.app.foreign_files import place
from lifeline.core.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from pathlib import Path

SECONDS_BELOW: Final = 1e11
"""Epoch milliseconds are larger since 1973; epoch seconds will be until the year 5138."""
MICROSECONDS_ABOVE: Final = 1e14
"""Epoch milliseconds of the year 5138."""
SPREADSHEET_DAYS: Final = (25_569, 73_415)
"""Days since the end of 1899 as spreadsheets count them, from 1970 to 2100."""
COMPACT: Final = (
    (19700101, 21001231, "%Y%m%d"),
    (197001010000, 210012312359, "%Y%m%d%H%M"),
    (19700101000000, 21001231235959, "%Y%m%d%H%M%S"),
)
"""Dates written as one number, 20261123080000. As milliseconds they would be of 1970, 1976 and of the year 2594 on."""
DAY_FIRST: Final = r"^\s*\d{1,2}[/.\-]\d{1,2}[/.\-]\d{2,4}"
DATE_PARTS: Final = (
    r"^\s*(?P<a>\d{1,2})(?P<by>[/.\-])(?P<b>\d{1,2})[/.\-](?P<year>\d{4}|\d{2})"
    r"(?:,?[ T]+(?P<hour>\d{1,2})(?P<rest>(?::\d{2}){0,2}(?:\.\d+)?)(?:\s*(?P<half>[AaPp])\.?[Mm]\.?)?)?\s*$"
)
MONTHS: Final = 12
FORMATS: Final = (
    None,
    "%Y%m%dT%H%M%SZ",
    "%Y年%m月%d日 %H:%M:%S", "%Y年%m月%d日 %H:%M", "%Y年%m月%d日 %H时%M分%S秒", "%Y年%m月%d日%H时%M分", "%Y年%m月%d日",
    "%d-%b-%Y %H:%M:%S", "%d-%b-%Y %H:%M", "%d-%b-%Y", "%d %b %Y %H:%M:%S", "%d %b %Y %H:%M",
    "%Y-%m-%d %I:%M:%S %p", "%Y/%m/%d %I:%M:%S %p",
)  # fmt: skip
"""Those that polars finds by itself, the basic form of ISO 8601, Chinese ones, and those with the month's name."""
SPELT: Final = (
    (r"\[[\w/+\-]+\]$", ""),
    (r"\s*(UTC|GMT|utc|gmt)$", "Z"),
    (r"\s+([+-]\d\d:?\d\d)$", "$1"),
    (r"(:\d\d),(\d{1,9})", "$1.$2"),
)
"""What is written otherwise in times that are plain otherwise: the zone's name behind its offset, UTC in letters, an
offset apart, fractions of a second behind a comma."""
ZONE_NAME: Final = r"[0-9] ?([A-Za-z]{2,5}|[A-Z][a-z]+/[A-Z]\w+)$"


def epoch_ms(times: pl.Series, path: Path) -> pl.Series:
    """Times as epoch milliseconds; those without a zone are UTC.

    Raises:
        ConfigurationError: they are none, or could mean several things.
    """
    found = _numbers_or_times(times)
    if found.dtype.is_numeric():
        found = found.fill_nan(None) if found.dtype.is_float() else found
        _check_epoch(found, path)
        return found.cast(pl.Int64)
    if found.dtype == pl.String and found.str.contains(DAY_FIRST).any():
        raise _wrong(path, found, f"{found.drop_nulls()[0]!r}: day and month cannot be told apart (无法区分日与月)")
    if not isinstance(found.dtype, (pl.Datetime, pl.Date)):
        raise _wrong(path, found, _no_times(found, path))
    told = found.cast(pl.Datetime("ms", getattr(found.dtype, "time_zone", None))).dt.epoch("ms")
    row = (told < 0).arg_max()
    if row is not None and told[row] is not None and told[row] < 0:
        raise _wrong(path, found, f"{place(path, row)}: {found[row]} is before 1970, when times begin")
    return told


def _check_epoch(found: pl.Series, path: Path) -> None:
    """Numbers that cannot be epoch milliseconds, by their size."""
    newest, oldest = found.max(), found.min()
    if not isinstance(newest, (int, float)) or not isinstance(oldest, (int, float)):
        return
    if SPREADSHEET_DAYS[0] <= oldest <= newest <= SPREADSHEET_DAYS[1]:
        remedy = "format the cells as yyyy-mm-dd hh:mm:ss and save again"
        raise _wrong(path, found, f"{oldest:g} looks like a spreadsheet's days since 1900 (电子表格的日期序号)", remedy)
    if 0 < newest < SECONDS_BELOW:
        remedy = "multiply by 1000, or write ISO 8601"
        raise _wrong(path, found, "looks like seconds, not milliseconds (秒而非毫秒)", remedy)
    if oldest < 0:
        raise _wrong(path, found, f"{oldest} is before 1970, when times begin")
    if newest > MICROSECONDS_ABOVE:
        raise _wrong(path, found, "looks like micro- or nanoseconds, not milliseconds")


def _wrong(
    path: Path, times: pl.Series, message: str, remedy: str = "epoch milliseconds, ISO 8601, or a timestamp column"
) -> ConfigurationError:
    return ConfigurationError([Problem(str(path), times.name, message, remedy)])


def _no_times(found: pl.Series, path: Path) -> str:
    """What is wrong with a column of times: the first of a few that are none, or all of them."""
    if found.dtype != pl.String or not found.count():
        return f"holds {found.dtype}, not times"
    read = _read_mostly(found)
    wrong = found.is_not_null() & read.is_null() if read is not None else found.is_not_null()
    row = wrong.arg_max()
    if read is None or row is None or wrong.sum() == found.count():
        named = found.drop_nulls().head(1).str.strip_chars().str.contains(ZONE_NAME).any()
        zone = ": names of zones mean several things, write the offset, +08:00 (时区名有歧义，请写偏移量)"
        return f"holds text such as {found.drop_nulls()[0]!r}, not times{zone if named else ''}"
    more = f"and {wrong.sum() - 1} more; " if wrong.sum() > 1 else ""
    like = found.filter(read.is_not_null())[0]
    return f"{place(path, row)}: {found[row]!r} is no time ({more}others are written {like!r} 写法不一致)"


def _read_mostly(found: pl.Series) -> pl.Series | None:
    """Times where they are some, in the form of the first or of the second; None where neither has one.

    The first may be a unit: some programs write a second line of them beneath the names.
    """
    for skipped in (0, 1):
        rest = found.slice(skipped)
        with suppress(pl.exceptions.PolarsError):
            if rest.drop_nulls().head(1).str.to_datetime(time_zone="UTC").count():
                read = rest.str.to_datetime(time_zone="UTC", strict=False, time_unit="ms")
                return read.extend_constant(None, 0) if not skipped else read.clear(skipped).extend(read)
    return None


def _numbers_or_times(times: pl.Series) -> pl.Series:
    """Text and whole numbers as what they say, the text itself where it says neither."""
    if times.dtype.is_integer():
        return _compact(times)
    if times.dtype != pl.String:
        return times
    for kind in (pl.Int64(), pl.Float64()):
        numbers = times.cast(kind, strict=False)
        if numbers.null_count() == times.null_count() and times.count():
            return _compact(numbers) if kind == pl.Int64 else numbers
    if times.str.contains(DAY_FIRST).any():
        return _by_parts(times)
    for text in (times, None):
        written = _respelt(times) if text is None else text
        first = written.drop_nulls().head(1)
        for form in FORMATS:
            with suppress(pl.exceptions.PolarsError):
                first.str.to_datetime(form, time_zone="UTC")  # a form that does not fit is not tried on millions
                return written.str.to_datetime(form, time_zone="UTC")
    return times


def _respelt(times: pl.Series) -> pl.Series:
    written = times.str.strip_chars()
    for found, instead in SPELT:
        written = written.str.replace(found, instead)
    return written


def _compact(numbers: pl.Series) -> pl.Series:
    """Numbers that are dates one and all, such as 20261123080000, as these; else the numbers."""
    least, most = numbers.min(), numbers.max()
    if not isinstance(least, int) or not isinstance(most, int):
        return numbers
    for first, last, form in COMPACT:
        if first <= least and most <= last:
            with suppress(pl.exceptions.PolarsError):
                return numbers.cast(pl.String).str.to_datetime(form, time_zone="UTC")
    return numbers


def _by_parts(times: pl.Series) -> pl.Series:
    """Dates that begin with a day or a month, where one of the two is above twelve somewhere; else the text itself."""
    parts = times.str.extract_groups(DATE_PARTS).struct.unnest()
    a, b = (parts[name].cast(pl.Int64) for name in ("a", "b"))
    dots = bool((parts["by"].drop_nulls() == ".").all())
    day_first, month_first = dots or bool((a > MONTHS).any()), bool((b > MONTHS).any())
    if day_first == month_first or a.null_count() > times.null_count():
        return times
    day, month = ("a", "b") if day_first else ("b", "a")
    two = pl.lit("20") + pl.col("year")
    hour = pl.col("hour").fill_null("0").cast(pl.Int64)
    half = pl.col("half").str.to_lowercase()
    of_day = pl.when(half == "p").then(hour % 12 + 12).when(half == "a").then(hour % 12).otherwise(hour)
    text = pl.concat_str(
        pl.when(pl.col("year").str.len_chars() == 2).then(two).otherwise("year"),
        pl.lit("-"),
        pl.col(month).str.zfill(2),
        pl.lit("-"),
        pl.col(day).str.zfill(2),
        pl.lit("T"),
        of_day.cast(pl.String).str.zfill(2),
        # seconds and minutes that are not told are 0
        pl.when(pl.col("rest").fill_null("") == "").then(pl.lit(":00")).otherwise("rest"),
    )
    try:
        return parts.select(text.alias(times.name)).to_series().str.to_datetime(time_zone="UTC")
    except pl.exceptions.PolarsError:
        return times
