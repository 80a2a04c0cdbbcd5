"""Policy, units and responsibility matrix for the console."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lifeline.app.http.refusing import refusals
from lifeline.console.problem import ProblemError
from lifeline.core.errors import ConfigurationError
from lifeline.governance.actor import Actor
from lifeline.governance.errors import UnknownIdError
from lifeline.governance.regulations import KEEPERS, WrongTextError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lifeline.app.site import Site
    from lifeline.console.ports import Row
    from lifeline.core.errors import Problem
    from lifeline.core.principal import Principal
    from lifeline.governance.desk import GovernanceDesk


class HttpSettings:
    """``lifeline.console.ports.SettingsPort`` over a desk."""

    def __init__(self, desk: GovernanceDesk, site: Site) -> None:
        self._desk = desk
        self._site = site

    def get_setting(self, name: str) -> Row:
        """As ``GovernanceDesk.get_setting``."""
        with refusals(f"setting {name!r}"):
            return self._desk.get_setting(name)

    def list_setting_versions(self, name: str, before: int | None, limit: int) -> tuple[list[Row], int | None]:
        """As ``GovernanceDesk.list_setting_versions``."""
        with refusals(f"setting {name!r}"):
            return self._desk.list_setting_versions(name, before, limit)

    def get_setting_version(self, name: str, version: int) -> Row:
        """As ``GovernanceDesk.get_setting_version``."""
        try:
            return self._desk.get_setting_version(name, version)
        except UnknownIdError as error:
            raise ProblemError("not-found", str(error)) from error

    def set_policy(self, who: Principal, text: str, reason: str, version: int) -> Row:
        """As ``GovernanceDesk.set_policy``; overrides must fit the site's rules, too."""
        from lifeline.app.overriding import override_faults  # brings the rules' compiler: 100 MB, and seldom asked for

        with refusals(conflict="changed", recorded=True), _places():
            faults = override_faults(self._site, text)
            return self._desk.set_policy(text, reason, _actor(who), version, faults)

    def set_rows(self, who: Principal, name: str, rows: Sequence[Mapping[str, Any]], reason: str, version: int) -> Row:
        """As ``GovernanceDesk.set_rows``."""
        with refusals(conflict="changed", recorded=True):
            return self._desk.set_rows(name, rows, reason, _actor(who), version)


@contextmanager
def _places() -> Iterator[None]:
    """Every wrong place of a text as one problem."""
    try:
        yield
    except WrongTextError as error:
        wrong = [{"where": ["body", "text", *_path(one)], "what": _words(one)} for one in error.problems]
        raise ProblemError("invalid", str(error), errors=wrong[:100]) from error
    except ConfigurationError as error:
        raise ProblemError("conflict", f"the site's rules cannot be read: {error}") from error


def _path(problem: Problem) -> list[str]:
    return problem.key.split(".") if problem.key else []


def _words(problem: Problem) -> str:
    return f"{problem.message}; {problem.remedy}" if problem.remedy else problem.message


def _actor(who: Principal) -> Actor:
    """Who asks, in the widest grant of a role that may."""
    held = [grant for grant in who.grants if grant.role in KEEPERS]
    if not held:
        raise ProblemError("forbidden", f"settings are for {', '.join(KEEPERS)} of the whole city")
    grant = min(held, key=lambda one: (bool(one.areas), bool(one.utilities)))
    return Actor(who.name, grant.role, grant.areas, grant.utilities, who.address)
