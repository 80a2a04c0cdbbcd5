"""Working time against a twin that counts every minute; daylight saving, make-up days, sites of their own."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifeline.core.errors import ConfigurationError
from lifeline.governance.calendars import WorkingCalendar
from lifeline.governance.policy import Policy, read_policy

ZONES = ("Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe")


def ms(zone: str, *parts: int) -> int:
    return int(datetime(*parts, tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def works(calendar: WorkingCalendar, at: int) -> bool:
    """The twin: is this minute one of work, asked of the wall clock."""
    local = datetime.fromtimestamp(at / 1000, ZoneInfo(calendar.timezone))
    inside = any(start <= local.time() < end for start, end in calendar.hours)
    return inside and calendar.is_working_day(local.date())


@settings(max_examples=40, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    start=st.integers(ms("UTC", 2026, 3, 20) // 60_000, ms("UTC", 2026, 11, 10) // 60_000),
    minutes=st.integers(1, 2000),
)
def test_added_work_is_what_a_minute_by_minute_count_gives(zone: str, start: int, minutes: int) -> None:
    calendar = WorkingCalendar(zone, holidays=frozenset({date(2026, 5, 4)}), workdays=frozenset({date(2026, 5, 9)}))
    at = start * 60_000

    end = calendar.add(at, minutes * 60)

    moment, counted = at, 0
    while counted < minutes:
        counted += works(calendar, moment)
        moment += 60_000
    assert end == moment
    assert calendar.between(at, end) == minutes * 60


def test_daylight_saving_moves_the_hours_not_the_work() -> None:
    berlin = WorkingCalendar("Europe/Berlin", hours=((time(1), time(5)),), workdays=frozenset({date(2026, 3, 29)}))

    night = sum(end - start for start, end in berlin.spans(date(2026, 3, 29)))

    assert night == 3 * 3_600_000  # 02:00 to 03:00 does not exist that day


def test_make_up_days_of_china_are_worked_and_golden_week_is_not() -> None:
    china = WorkingCalendar("Asia/Shanghai", "CN")

    assert not any(china.is_working_day(date(2026, 10, day)) for day in range(1, 8))
    assert china.is_working_day(date(2026, 10, 10))  # a Saturday, made up for the week before
    assert not china.is_working_day(date(2026, 10, 11))
    start = ms("Asia/Shanghai", 2026, 9, 30, 17, 0)
    assert china.add(start, 2 * 3600) == ms("Asia/Shanghai", 2026, 10, 8, 9, 30)


def test_the_site_is_stronger_than_the_country() -> None:
    china = WorkingCalendar(
        "Asia/Shanghai", "CN", workdays=frozenset({date(2026, 10, 3)}), holidays=frozenset({date(2026, 10, 10)})
    )

    assert china.is_working_day(date(2026, 10, 3))
    assert not china.is_working_day(date(2026, 10, 10))


def test_a_calendar_without_days_ends() -> None:
    never = WorkingCalendar(holidays=frozenset(date(2026, 1, 1) + timedelta(days=n) for n in range(5000)))

    with pytest.raises(ValueError, match="workdays"):
        never.add(ms("UTC", 2026, 1, 1), 60)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[calendar]\nhours = ['12:00-08:00']", "hours"),
        ("[calendar]\ncountry = 'XX'", "XX"),
        ("[[limit]]\nstage = 'nap'\nwithin = '1h'", "limit.0.stage"),
        ("[[limit]]\nstage = 'handle'\nwithin = 'soon'", "30min"),
        ("[[limit]]\nstage = 'handle'\nwithin = '2001 working days'", r"limit\.0\.within"),
        ("[[limit]]\nstage = 'handle'\nwithin = '1h'\nemergency = '90000 working hours'", r"limit\.0\.emergency"),
        ("[alarm]\nshelve_max = { red = '5000 working days' }", r"alarm\.shelve_max\.red"),
        ("[escalation]\nstep = { blue = '5000 working days' }", r"escalation\.step\.blue"),
        ("[report]\nwithin = '5000 working days'", r"report\.within"),
        ("[[emergency.trigger]]\nwithin = '5000 working days'", r"emergency\.trigger\.0\.within"),
        ("colour = 1", "colour"),
        ("timezone = 'UTC'", "site"),
        ("[", "TOML"),
    ],
)
def test_a_wrong_policy_is_refused_with_its_place(text: str, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        read_policy(text, "UTC")


def test_the_longest_span_of_work_has_an_end() -> None:
    policy = read_policy("[[limit]]\nstage = 'handle'\nwithin = '2000 working days'", "Asia/Shanghai")

    due = policy.deadline("handle", "red", "x", "normal", ms("Asia/Shanghai", 2026, 11, 26))

    assert due is not None
    assert due[0] > ms("Asia/Shanghai", 2034, 1, 1)


def test_the_most_exact_limit_wins() -> None:
    policy = read_policy(
        "[[limit]]\nstage='handle'\nwithin='8h'\n"
        "[[limit]]\nstage='handle'\nlevel='red'\nwithin='2h'\n"
        "[[limit]]\nstage='handle'\nkind='gas-leak'\nwithin='1h'\nemergency='10min'\n",
        "UTC",
    )

    def hours(level: str, kind: str, mode: str = "normal") -> float:
        found = policy.deadline("handle", level, kind, mode, 0)
        assert found is not None
        return found[0] / 3_600_000

    assert (hours("blue", "x"), hours("red", "x"), hours("red", "gas-leak")) == (8, 2, 1)
    assert (hours("red", "x", "emergency"), hours("red", "gas-leak", "emergency")) == (1, 1 / 6)
    assert Policy().deadline("handle", "red", "x", "normal", 0) is None


def test_the_documented_policy_is_a_valid_one() -> None:
    page = (Path(__file__).parents[2] / "docs" / "governance.md").read_text(encoding="utf-8")
    text = page.partition("```toml\n")[2].partition("```")[0]

    policy = read_policy(text, "Asia/Shanghai")

    assert policy.emergency == Policy().emergency.model_copy(
        update={"trigger": policy.emergency.trigger, "overrides": {"gas.ch4.high": {"limit": 20.0}}}
    )
    assert policy.escalation == Policy().escalation
    assert policy.report == Policy().report
