"""Key figures with named denominators, from the sums beside the events: a month of a district or a year of the city.

Every share comes with its numerator and denominator, because the same name means different things elsewhere: a closing
rate over filed cases is not one over those due to be closed. ``meaning`` says it for each in both languages. Opens no
transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, select

from lifeline.governance.errors import FieldError
from lifeline.governance.schema import MEASURES, kpi_days, kpi_times
from lifeline.governance.sums import ALSO, bucket_ms, day_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Connection

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rate:
    """A share: ``numerator`` of ``denominator``, both measures of ``sums``."""

    numerator: str
    denominator: str
    zh: str
    en: str


RATES: Final[dict[str, Rate]] = {
    "filing_rate": Rate("filed", "received", "立案率 = 立案 / 受理", "filed of received (by day of detection)"),
    "closing_rate": Rate(
        "closed_due", "due", "结案率 = 结案 / 应结案", "closed of due to be closed (by day of deadline)"
    ),
    "on_time_rate": Rate(
        "on_time",
        "due",
        "按期结案率 = 按期反馈并结案 / 应结案",
        "fed back by the deadline and closed, of due to be closed",
    ),
    "overdue_rate": Rate(
        "overdue", "due", "超期率 = 曾超期 / 应结案", "deadline missed at least once, of due to be closed"
    ),
    "rework_rate": Rate(
        "reworked", "closed", "返工率 = 有返工的结案 / 结案", "closed after a failed check or reopening"
    ),
    "return_rate": Rate("returned", "closed", "退单率 = 有退单的结案 / 结案", "closed after a unit had returned it"),
    "extension_rate": Rate("extended", "closed", "延期率 = 有延期的结案 / 结案", "closed after an extension"),
    "satisfaction_rate": Rate("satisfied", "rated", "满意率 = 满意（4–5 分）/ 已评价", "rated 4 or 5 of those rated"),
    "verified_rate": Rate(
        "verified", "checkable", "遥测复核率 = 遥测复核通过 / 遥测事件结案", "telemetry agreed at closing"
    ),
    "false_alarm_rate": Rate(
        "false_alarms", "judged", "误报率 = 误报 / 有原因码的遥测结案", "false among closed telemetry"
    ),
}
"""Rates by name."""

SPANS: Final = {
    "response": ("首次响应中位时长：发现至首次接受", "median of detection to first acceptance (by day of acceptance)"),
    "handling": ("处置中位时长：首次派遣至反馈", "median of first dispatch to feedback (by day of closing)"),
}
GROUPS: Final = {
    "day": "all",
    "district": "all",
    "utility": "all",
    "town": "town",
    "unit": "unit",
    "kind": "kind",
    "rule": "rule",
}
"""What figures may be split by, and the scope of the sums that knows it."""
DAYS_MAX: Final = 3 * 366
ROWS_MAX: Final = 1000
"""Groups in an answer, largest first."""


def kpi(
    connection: Connection,
    start: date,
    end: date,
    *,
    by: str | None = None,
    district: str | None = None,
    town: str | None = None,
    unit: str | None = None,
    kind: str | None = None,
    rule: str | None = None,
    utility: str | None = None,
) -> Row:
    """Figures of the local days from ``start`` to ``end`` (exclusive): ``{from, to, total, groups, meaning}``.

    ``by``: a group of ``GROUPS``, each with a row of figures. At most one of town, unit, kind and rule is given.
    Medians below the whole city are of whole months: given when ``start`` is the first of one. A case that touches
    several districts counts once for the city and once in each of them: rows by district (or town) may add up to more.

    Raises:
        FieldError: an empty or too long span, an unknown group, or filters that no sum knows together.
    """
    days = (end - start).days
    if not 0 < days <= DAYS_MAX:
        raise FieldError(f"the span {start} to {end} must hold 1 to {DAYS_MAX} days")
    scope, where = _scope(by, district, utility, {"town": town, "unit": unit, "kind": kind, "rule": rule})
    first, last = _number(start), _number(end)
    inside = district is not None or town is not None
    whole = _with_also("all" if by == "town" and town is None else scope, inside)
    parts = _with_also(scope, inside or by in {"district", "town"})
    where += [kpi_days.c.day >= first, kpi_days.c.day < last]
    sums = [func.sum(kpi_days.c[name]).label(name) for name in MEASURES]
    timed = utility is None and by != "utility"
    timed &= start.day == 1 or (scope == "all" and district is None and by in {None, "day"})
    all_of_it = select(*sums).where(kpi_days.c.scope.in_(whole), *where)
    total = _figures(dict(connection.execute(all_of_it).mappings().one()))
    if timed:
        total |= _medians(connection, whole, first, last, where, None).get("", {})
    answer: Row = {"from": start.isoformat(), "to": end.isoformat(), "total": total, "meaning": meaning()}
    if by is None:
        return answer
    column = kpi_days.c.key if scope == by else kpi_days.c[by]
    query = select(column.label("_group"), *sums).where(kpi_days.c.scope.in_(parts), *where).group_by(column)
    order = column if by == "day" else func.sum(kpi_days.c.received).desc()
    found = [dict(row) for row in connection.execute(query.order_by(order, column).limit(ROWS_MAX)).mappings()]
    medians = _medians(connection, parts, first, last, where, by) if timed else {}
    answer["by"] = by
    answer["groups"] = []
    for row in found:
        key = row.pop("_group")
        name = (_EPOCH + timedelta(days=key)).isoformat() if by == "day" else key
        answer["groups"].append({by: name} | _figures(row) | medians.get(key, {}))
    return answer


def _scope(
    by: str | None, district: str | None, utility: str | None, keys: dict[str, str | None]
) -> tuple[str, list[ColumnElement[bool]]]:
    if by is not None and by not in GROUPS:
        raise FieldError(f"there is no group {by!r}; there are {', '.join(GROUPS)}")
    given = [name for name, value in keys.items() if value is not None]
    scopes = {*given, *([GROUPS[by]] if by and GROUPS[by] != "all" else [])}
    if len(scopes) > 1:
        raise FieldError(f"figures by {' and '.join(sorted(scopes))} together are not kept; choose one of them")
    scope = scopes.pop() if scopes else "all"
    if scope == "rule" and (district is not None or by == "district"):
        raise FieldError("figures by rule are of the whole city")
    where: list[ColumnElement[bool]] = []
    if given:
        where.append(kpi_days.c.key == keys[given[0]])
    if district is not None:
        where.append(kpi_days.c.district == district)
    if utility is not None:
        where.append(kpi_days.c.utility == utility)
    return scope, where


def _with_also(scope: str, also: bool) -> list[str]:
    """The scope, and (``also``) the sums of it that cases from elsewhere make."""
    return [scope, f"{ALSO}{scope}"] if also else [scope]


def _figures(sums: Row) -> Row:
    counts = {name: int(sums[name] or 0) for name in MEASURES}
    rates = {
        name: round(counts[rate.numerator] / counts[rate.denominator], 6) if counts[rate.denominator] else None
        for name, rate in RATES.items()
    }
    return {"counts": counts} | rates


def _medians(
    connection: Connection,
    scopes: Sequence[str],
    first: int,
    last: int,
    where: Sequence[ColumnElement[bool]],
    by: str | None,
) -> dict[Any, Row]:
    """Medians by group ("" without one), in seconds."""
    scope = scopes[0]
    if scope == "all" and by in {None, "day"} and not any(one.left.name == "district" for one in where):
        scopes = ["city"]  # the only one that is kept by the day; the others are by the month
    elif by == "day":
        return {}
    conditions = [kpi_times.c.scope.in_(scopes), kpi_times.c.day >= first, kpi_times.c.day < last]
    for condition in where:  # the same filters, said of the other table
        left, right = condition.left, condition.right
        if left.name in {"district", "key"}:
            conditions.append(kpi_times.c[left.name] == right)
    grouped: list[Any] = [] if by is None else [kpi_times.c.key if scope == by else kpi_times.c[by]]
    columns = [*grouped, kpi_times.c.measure, kpi_times.c.bucket]
    query = select(*columns, func.sum(kpi_times.c.n)).where(*conditions).group_by(*columns).order_by(*columns)
    histograms: dict[tuple[Any, str], list[tuple[int, int]]] = {}
    for *group, measure, slot, n in connection.execute(query):
        histograms.setdefault((group[0] if group else "", measure), []).append((slot, int(n)))
    medians: dict[Any, Row] = {}
    for (group, measure), slots in histograms.items():
        medians.setdefault(group, {})[f"{measure}_median_s"] = median_s(slots)
    return medians


def median_s(slots: Sequence[tuple[int, int]]) -> float | None:
    """The median of a histogram of (bucket, count) in order, in seconds, within half a bucket (4.5 %)."""
    total = sum(n for _, n in slots)
    if total <= 0:
        return None
    seen, half = 0, total / 2
    for slot, n in slots:
        if seen + n >= half:
            return round(bucket_ms(slot - 0.5 if slot else 0) / 1000, 1)
        seen += n
    return None


def meaning() -> dict[str, dict[str, str]]:
    """What each figure is: numerator, denominator and words."""
    rates = {
        name: {"numerator": rate.numerator, "denominator": rate.denominator, "zh": rate.zh, "en": rate.en}
        for name, rate in RATES.items()
    }
    spans = {f"{name}_median_s": {"zh": zh, "en": en} for name, (zh, en) in SPANS.items()}
    return rates | spans


_EPOCH: Final = date(1970, 1, 1)


def _number(day: date) -> int:
    return (day - _EPOCH).days


def today(now_ms: int, timezone: str) -> date:
    """The local date of a moment."""
    return _EPOCH + timedelta(days=day_of(now_ms, timezone))
