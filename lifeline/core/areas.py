"""Areas above areas: which township and district a grid lies in, and which operation centre is next up; pure.

The registry's areas say it by ``parent_code``. What they do not know is read from the code itself: GB/T 2260 county
(6 digits), street (3), community (3), grid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lifeline.core.principal import area_prefixes

if TYPE_CHECKING:
    from collections.abc import Iterable

CENTRES: Final = ("township", "district", "city")
"""Levels that have an operation centre, lowest first."""
DEPTH_MAX: Final = 10
"""Parents above one another; a registry whose areas go round in a circle ends here."""


class AreaTree:
    """Areas by code, from (area_code, level, name, parent_code)."""

    def __init__(self, rows: Iterable[tuple[str, str, str, str | None]]) -> None:
        self._areas = {code: (level, name, parent) for code, level, name, parent in rows}
        self._around: dict[str | None, tuple[str | None, str | None]] = {None: (None, None)}

    def name(self, code: str) -> str:
        """The area's name, or its code."""
        found = self._areas.get(code)
        return found[1] if found else code

    def around(self, code: str | None) -> tuple[str | None, str | None]:
        """(district, township) of an area; its own code where it is one of them itself, None above them."""
        known = self._around.get(code)
        if known is None:
            known = self._around[code] = (self.centre(code, "district"), self.centre(code, "township"))
        return known

    def centre(self, code: str | None, level: str) -> str | None:
        """The area of ``level`` (township, district, city) that holds ``code``, or None."""
        at = code
        for _ in range(DEPTH_MAX):
            found = self._areas.get(at) if at else None
            if found is None:
                return by_digits(code, level)
            if found[0] == level:
                return at
            at = found[2]
            if at is None:
                return None
        return by_digits(code, level)


def by_digits(code: str | None, level: str) -> str | None:
    """The area of ``level`` as the digits of a code say it, or None when it is of a higher level or of another kind."""
    digits = (code or "").lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    if len(digits) < 6 or not digits.isdigit():
        return None
    if level == "city":
        return f"{digits[:4]}00"
    if level == "district":
        return None if digits[4:6] == "00" else digits[:6]
    return digits[:9] if len(digits) >= 9 else None


def lies_in(area: str, codes: Iterable[str | None]) -> bool:
    """Whether one of a thing's codes (its own, its township's, its district's) is ``area`` or below it."""
    prefixes = area_prefixes(area)
    return any(code is not None and code.startswith(prefixes) for code in codes)
