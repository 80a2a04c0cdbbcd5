"""Who acts: a person or a program, in one role, within areas and utilities; pure.

Identity (accounts, tokens) belongs to the doors; here an actor is what they have found out: one role of a
``Principal``, where it holds. ``ENGINE`` acts for the rules and the clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lifeline.core.areas import lies_in
from lifeline.core.principal import Grant
from lifeline.governance.errors import ForbiddenError
from lifeline.governance.fields import text
from lifeline.governance.states import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Actor:
    """One who acts. ``areas`` and ``utilities`` as in ``Grant`` (empty: all); ``address``: from where."""

    id: str
    role: str
    areas: tuple[str, ...] = ()
    utilities: tuple[str, ...] = ()
    address: str = ""

    def __post_init__(self) -> None:
        """Check the id. Raises ValueError when it is empty, too long or has control characters."""
        object.__setattr__(self, "id", text(self.id))

    def check(self, row: Mapping[str, Any], what: str) -> None:
        """Raises ForbiddenError unless the event or alarm lies in the actor's areas and utilities.

        Nobody but ``ENGINE`` acts as ``system``, whoever says so: what that role does is not audited.
        """
        if self.role == SYSTEM and self is not ENGINE:
            raise ForbiddenError(f"{SYSTEM!r} is the queue itself, no role for {self.id!r}: name one that you hold")
        if not Grant(self.role, self.areas, self.utilities).covers(row["area_code"], row["utility"]):
            raise ForbiddenError(f"{what} lies outside the areas or utilities of {self.id!r}")


ENGINE: Final = Actor("engine", SYSTEM)


def covers(area: str, row: Mapping[str, Any]) -> bool:
    """Whether ``area`` holds the row's: by the code, or because it is its township or district."""
    return lies_in(area, (row["area_code"], row["township"], row["district"]))
