"""One country's holidays are read without those of all others, and are the library's own."""

from __future__ import annotations

import subprocess
import sys
from datetime import date, timedelta

import pytest
from holidays import country_holidays

from lifeline.core.holidays import public_holidays

ALONE = """
import sys
from lifeline.core.holidays import public_holidays
calendar = public_holidays("CN", None)
assert "2026-10-01" in calendar
print(len([name for name in sys.modules if name.startswith("holidays.countries.")]))
assert public_holidays("DE", "BY").get("2026-01-06")
from holidays.countries import China, France
from holidays import country_holidays
assert isinstance(calendar, China)
assert country_holidays("FR").get("2026-07-14") and issubclass(France, object)
"""


@pytest.mark.parametrize(("country", "subdivision"), [("CN", None), ("CHN", None), ("DE", "BY"), ("AX", None)])
def test_is_what_the_library_says(country: str, subdivision: str | None) -> None:
    ours, theirs = public_holidays(country, subdivision), country_holidays(country, subdivision)
    for day in (date(2026, 1, 1) + timedelta(days=n) for n in range(365)):
        assert (day in ours, ours.is_working_day(day)) == (day in theirs, theirs.is_working_day(day))


@pytest.mark.parametrize(("country", "subdivision"), [("XX", None), ("", None), ("DE", "nowhere")])
def test_what_nobody_knows(country: str, subdivision: str | None) -> None:
    with pytest.raises(NotImplementedError):
        public_holidays(country, subdivision)


def test_reads_one_country_and_the_library_still_has_the_others() -> None:
    done = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout.strip()) == (0, "1"), done.stderr
