"""Calendars: against the standard library hour by hour, in conditions and parameters, and what is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import orjson
import pytest
from holidays import country_holidays
from hypothesis import given, settings
from hypothesis import strategies as st

from lifeline.core.errors import ConfigurationError
from lifeline.core.override import ParameterSpan
from rules.calendars import Calendar, read_calendars
from rules.rule_set import RuleSet

ZONE = ZoneInfo("Asia/Shanghai")
WORKS = """
[calendar.works]
hours = ["08:30-12:00", "14:00-18:00"]
days = "working"
country = "CN"
holidays = ["2026-11-20"]
"""
IRRIGATION = '[calendar.irrigation]\ndates = ["04-15..09-30"]\n'


def read(text: str) -> Calendar:
    import tomllib

    problems: list[Any] = []
    (found,) = read_calendars(tomllib.loads(text)["calendar"], "a.toml", problems).values()
    assert problems == []
    return found


def local(at: datetime) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.array([round((at.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)])


DAYS = st.dates(date(2024, 1, 1), date(2027, 12, 31))
MINUTES = st.integers(0, 1439)
MONTH_DAYS = DAYS.map(lambda day: f"{day:%m-%d}")


@settings(max_examples=200)
@given(DAYS, MINUTES, MONTH_DAYS, MONTH_DAYS, st.integers(0, 6), st.integers(0, 6), MINUTES, MINUTES)
def test_equals_what_the_words_say(
    day: date, minute: int, first: str, last: str, monday: int, sunday: int, start: int, end: int
) -> None:
    names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    end = end if end != start else (start + 1) % 1440
    clock = lambda m: f"{m // 60:02}:{m % 60:02}"
    text = f'[calendar.a]\ndates = ["{first}..{last}"]\nweekdays = "{names[monday]}-{names[sunday]}"\n'
    text += f'hours = ["{clock(start)}-{clock(end)}"]\n'
    at = datetime(day.year, day.month, day.day, minute // 60, minute % 60)  # noqa: DTZ001 - a wall clock

    def day_fits(one: date) -> bool:
        number = f"{one:%m-%d}"
        season = first <= number <= last if first <= last else number >= first or number <= last
        week = {(monday + k) % 7 for k in range((sunday - monday) % 7 + 1)}
        return season and one.weekday() in week

    if start < end:
        expected = day_fits(day) and start <= minute < end
    else:
        expected = (day_fits(day) and minute >= start) or (day_fits(day - timedelta(days=1)) and minute < end)
    assert read(text).holds(local(at)).tolist() == [expected]


def test_working_days_are_those_of_the_country_and_the_site() -> None:
    works, public = read(WORKS), country_holidays("CN")
    for k in range(800):
        day = date(2025, 1, 1) + timedelta(days=k)
        at = local(datetime(day.year, day.month, day.day, 9))  # noqa: DTZ001 - a wall clock
        assert works.holds(at)[0] == (public.is_working_day(day) and day != date(2026, 11, 20)), day
    free = read('[calendar.f]\ndays = "free"\nworkdays = ["2026-11-22"]\n')
    noon = [local(datetime(2026, 11, day, 12))[0] for day in (20, 21, 22)]  # noqa: DTZ001 - a wall clock
    assert free.holds(np.array(noon)).tolist() == [False, True, False]


def test_what_is_wrong_with_a_calendar_is_said_with_the_nearest_right_word(kit: Any) -> None:
    text = kit.rule(active='"irigation"', tail='[[rule.override]]\nduring = "work"\nparams = { limit = 1 }')
    text += IRRIGATION + WORKS.replace('country = "CN"', 'country = "ZZ"').replace('"working"', '"workign"')
    text += '[calendar.a]\nwekdays = "mon"\n[calendar.b]\nweekdays = ["mon-fir"]\nhours = ["25:00-26:00"]\n'
    text += '[calendar.c]\ndates = ["02-30..03-01", "2026-10-07..2026-10-01"]\n[calendar.hour]\nweekdays = "mon"\n'
    text += '[calendar.d]\ncountry = "CN"\nweekdays = "mon"\n[calendr.e]\n'
    with pytest.raises(ConfigurationError) as caught:
        RuleSet.parse(text, "gas.toml")
    assert all(problem.file == "gas.toml" for problem in caught.value.problems)
    found = {problem.key: problem.remedy for problem in caught.value.problems}
    assert "ISO 3166" in found["calendar works.country"]
    expected = {
        "rule gas.ch4.high.active": "did you mean irrigation?", "rule gas.ch4.high.override #1.during": "known:",
        "calendar works.days": "did you mean working?", "calendar a.wekdays": "did you mean weekdays?",
        "calendar a": "dates =", "calendar b.weekdays": "did you mean fri?", "calendar b.hours": "22:00-06:00",
        "calendar c.dates": "once", "calendar hour": "another name", "calendar d.days": "working",
        "calendr": "did you mean calendar?",
    }  # fmt: skip
    # a calendar with a fault is none: rules that name it are told so as well
    for key, remedy in expected.items():
        assert remedy in found.get(key, ""), (key, found.get(key), sorted(found))


def test_two_files_may_not_say_the_same_calendar_otherwise(kit: Any, tmp_path: Any) -> None:
    (tmp_path / "a.toml").write_text(IRRIGATION, "utf-8")
    (tmp_path / "b.toml").write_text(kit.rule(active='"irrigation"'), "utf-8")
    (rule,) = RuleSet.load([tmp_path]).rules
    assert rule.active_text == "irrigation = 1"
    (tmp_path / "c.toml").write_text(IRRIGATION.replace("04-15", "05-01"), "utf-8")
    with pytest.raises(ConfigurationError, match="says otherwise"):
        RuleSet.load([tmp_path])


def test_a_city_says_its_own_heating_season(kit: Any) -> None:
    """Harbin heats from 20 October to 20 April."""
    text = kit.rule(active='"heating-season"')
    at = round(datetime(2026, 10, 25, 12, tzinfo=ZONE).timestamp() * 1000)
    for more, raised in (("", 0), ('[calendar.heating-season]\ndates = ["10-20..04-20"]\n', 1)):
        machine = kit.machine(text + more, kit.registry([{}]))
        assert len(machine.process(kit.record(1, [(0, at, at, 30.0)]))) == raised
    plain, named = RuleSet.parse(text), RuleSet.parse(text + IRRIGATION)
    assert plain.fingerprint == named.fingerprint, "a calendar that a rule does not use changes nothing"


SEASONAL = """[[rule.override]]
where = "device_id = 'D1'"
params = { limit = 40.0 }
[[rule.override]]
during = "irrigation"
params = { limit = 50.0 }
[[rule.override]]
during = "works"
where = "device_id = 'D0'"
params = { limit = 10.0 }
"""


def test_a_parameter_by_season_and_hour_is_that_of_the_readings_own_time(kit: Any) -> None:
    text = kit.rule(tail=SEASONAL, clear='"value < 5"') + IRRIGATION + WORKS
    points = kit.registry([{"quantity": "ch4"}] * 3)
    times = {  # local; whether each of D0 to D2 is above its limit at 30, and the limit
        (2026, 11, 18, 9, 0): (10.0, None, 25.0),  # Wednesday, at work: D0's own
        (2026, 11, 18, 13, 0): (25.0, None, 25.0),
        (2026, 11, 20, 9, 0): (25.0, None, 25.0),  # the site's holiday
        (2026, 7, 1, 9, 0): (10.0, None, None),  # irrigation: 50 for all but who is at work
    }
    for when, limits in times.items():
        machine = kit.machine(text, points)
        at = round(datetime(*when, tzinfo=ZONE).timestamp() * 1000)
        found = machine.process(kit.record(1, [(p, at, at + 7 * 3_600_000, 30.0) for p in range(3)]))
        told = {change.point: change.limit for change in found}
        assert told == {p: limit for p, limit in enumerate(limits) if limit is not None}, when
        assert all("limit__irrigation" in orjson.loads(change.detail)["params"] for change in found)


def test_an_emergency_wins_over_a_season(kit: Any) -> None:
    text = kit.rule(tail=SEASONAL) + IRRIGATION + WORKS
    machine = kit.machine(text, kit.registry([{"area_code": "410105"}] * 3))
    at = round(datetime(2026, 7, 1, 9, tzinfo=ZONE).timestamp() * 1000)
    machine.override([ParameterSpan("emergency 1", "410105", 0, at * 2, {"gas.ch4.high": {"limit": 20.0}})])
    found = machine.process(kit.record(1, [(p, at, at, 21.0) for p in range(3)]))
    assert [(change.point, change.limit) for change in found] == [(0, 20.0), (1, 20.0), (2, 20.0)]


def test_what_shapes_a_memory_is_the_same_at_all_times(kit: Any) -> None:
    tail = '[[rule.override]]\nduring = "irrigation"\nparams = { rate_window_s = 60, limit = 1 }'
    text = kit.rule(params="{ limit = 1, rate_window_s = 10 }", raise_='"minutes_to_limit < 3"', tail=tail)
    with pytest.raises(ConfigurationError) as caught:
        RuleSet.parse(text + IRRIGATION)
    keys = {problem.key for problem in caught.value.problems}
    assert {"rule gas.ch4.high.override", "rule gas.ch4.high.override #1.params.rate_window_s"} <= keys
