"""The fields an act may carry: how each is read and checked; pure. Values arrive typed (API) or as text (shell)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lifeline.core.schema import LEVELS
from lifeline.governance.causes import CAUSES
from lifeline.governance.errors import FieldError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NOTE_CHARS_MAX: Final = 4000
"""A note: about two pages. Longer documents belong elsewhere, with a link here."""
NAME_CHARS_MAX: Final = 200
"""Units, causes, people."""
TIME_MS_MAX: Final = 4_102_444_800_000
"""2100-01-01: later deadlines are seconds/milliseconds mix-ups."""
SUPERVISION_MAX: Final = 3
SATISFACTION_MAX: Final = 5


def text(value: object, chars_max: int = NAME_CHARS_MAX) -> str:
    """Stripped text of 1 to ``chars_max`` characters without control characters (newline and tab pass)."""
    clean = str(value).strip()
    if not clean:
        raise ValueError("must not be empty")
    if len(clean) > chars_max:
        raise ValueError(f"is longer than {chars_max} characters")
    if any(ord(char) < 32 and char not in "\n\t" for char in clean):
        raise ValueError("has control characters")
    return clean


def _whole(value: object, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError(f"must be a whole number {low} to {high}")
    number = int(value)
    if not low <= number <= high:
        raise ValueError(f"must be {low} to {high}")
    return number


def _time_ms(value: object) -> int:
    return _whole(value, 1, TIME_MS_MAX)


def _flag(value: object) -> bool:
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if isinstance(value, bool):
        return value
    if str(value).lower() not in words:
        raise ValueError("must be true or false")
    return words[str(value).lower()]


def _cause(value: object) -> str:
    code = text(value).lower().replace("_", "-").replace(" ", "-")
    if code not in CAUSES:
        raise ValueError(f"must be one of {', '.join(CAUSES)} (the rest of the story belongs into the note)")
    return code


def _level(value: object) -> str:
    if value not in LEVELS:
        raise ValueError(f"must be one of {', '.join(LEVELS)}")
    return str(value)


PARSERS: Final[dict[str, Callable[[object], Any]]] = {
    "note": lambda value: text(value, NOTE_CHARS_MAX),
    "owner": text,
    "co_owners": text,
    "cause": _cause,
    "level": _level,
    "until": _time_ms,
    "due_at": _time_ms,
    "false_alarm": _flag,
    "once": _flag,
    "satisfaction": lambda value: _whole(value, 1, SATISFACTION_MAX),
    "supervision": lambda value: _whole(value, 0, SUPERVISION_MAX),
}


def parse(given: Mapping[str, object]) -> dict[str, Any]:
    """Checked values of every field given; None means not given.

    Raises:
        FieldError: an unknown field, or a value outside its range, by name.
    """
    parsed: dict[str, Any] = {}
    for name, value in given.items():
        if value is None:
            continue
        if name not in PARSERS:
            raise FieldError(f"there is no field {name!r}; fields are {', '.join(PARSERS)}")
        try:
            parsed[name] = PARSERS[name](value)
        except (ValueError, TypeError) as error:
            raise FieldError(f"{name} {error}: {str(value)[:80]!r}") from None
    return parsed
