"""What every door must know alike, kept in the database: the site's time zone and policy. Opens no transaction."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, delete, select

from lifeline.governance.asking import ask, ask_one
from lifeline.governance.policy import Policy, read_policy
from lifeline.governance.schema import events, kpi_days, kpi_times, settings, tallies
from lifeline.governance.statements import upsert_rows
from lifeline.governance.store import store_sums
from lifeline.governance.sums import of_all

if TYPE_CHECKING:
    from sqlalchemy import Connection

FURTHER: Final = "sums.further"
"""Set where the sums hold what cases from elsewhere contribute to a district (``further``)."""


def read_setting(connection: Connection, name: str) -> str | None:
    """The value of a setting, or None."""
    value: str | None = ask_one(connection, _VALUE, {"_name": name})
    return value


def write_setting(connection: Connection, name: str, value: str) -> None:
    """Set it."""
    upsert_rows(connection, settings, [{"name": name, "value": value}])


def current_policy(connection: Connection) -> Policy:
    """The policy in force, in the site's time zone."""
    found = dict(ask(connection, _CURRENT))
    return _parsed(found.get("policy", ""), found.get("timezone", "UTC"))


def establish(connection: Connection, policy_text: str | None, timezone: str) -> Policy:
    """Make these the site's; a new time zone moves the borders of days, so all sums are made anew.

    ``policy_text``: None for the one that is in force already.

    Raises:
        ConfigurationError: the policy is wrong.
    """
    if policy_text is None:
        policy_text = read_setting(connection, "policy") or ""
    policy = read_policy(policy_text, timezone)
    if read_setting(connection, "timezone") != timezone:
        if connection.scalar(select(events.c.event_id).limit(1)) is not None:
            recount(connection, timezone)
        write_setting(connection, "timezone", timezone)
        write_setting(connection, FURTHER, "1")
    if read_setting(connection, "policy") != policy_text:
        write_setting(connection, "policy", policy_text)
    return policy


def recount(connection: Connection, timezone: str) -> None:
    """All sums from the events themselves."""
    for table in (kpi_days, kpi_times, tallies):
        connection.execute(delete(table))
    rows = connection.execute(select(events).execution_options(yield_per=10_000)).mappings()
    store_sums(connection, of_all((dict(row) for row in rows), timezone))


_VALUE: Final = select(settings.c.value).where(settings.c.name == bindparam("_name"))
_CURRENT: Final = select(settings.c.name, settings.c.value).where(settings.c.name.in_(("policy", "timezone")))


@lru_cache(maxsize=8)
def _parsed(text: str, timezone: str) -> Policy:
    return read_policy(text, timezone)
