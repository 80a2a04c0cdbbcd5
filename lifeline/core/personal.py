"""What is personal in free text, and what is shown instead; pure.

One list for the API and for analysts' SQL, which calls the same function. Numbers keep as much as an operator needs to
recognise the caller whom they have on the telephone. The Chinese forms; e-mail everywhere.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Container

_LON, _LAT = r"(?:7[3-9]|[89]\d|1[0-3]\d)", r"(?:[1-4]?\d|5[0-4])"
_APART = r"°?[NEne]?(?:[ ,;/]|，|；|、){1,3}(?:lat|lon|纬度|经度|[NEne])?[:=： ]{0,2}"
PATTERNS: Final[tuple[tuple[str, str], ...]] = (
    # citizen identity number (GB 11643): area, date of birth, serial, check digit
    (r"\b[1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx]\b", r"***"),
    # mobile number, with or without the country's code, written in one or in groups of 3-4-4
    (r"\b((?:86[- ]?)?1[3-9]\d)[- ]?\d{4}[- ]?(\d{4})\b", r"\1****\2"),
    # fixed line: area code, then seven or eight digits
    (r"\b(0\d{2,3})[- ]\d{3,4}(\d{4})\b", r"\1-****\2"),
    # an exact position within China, either number first: to 0.01°, as columns are rounded
    (rf"\b({_LON}\.\d\d)\d+({_APART})({_LAT}\.\d\d)\d+\b", r"\1\2\3"),
    (rf"\b({_LAT}\.\d\d)\d+({_APART})({_LON}\.\d\d)\d+\b", r"\1\2\3"),
    (r"\b[A-Za-z0-9_.+-]+@[A-Za-z0-9-]+\.[A-Za-z0-9.-]+\b", r"***"),
)
"""(expression, replacement), applied in order."""

_COMPILED: Final = tuple((re.compile(pattern, re.ASCII), shown) for pattern, shown in PATTERNS)
_NAMES: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{3,63}", re.ASCII)
TEXT_CHARS_MAX: Final = 20_000
NAMES_MAX: Final = 500
"""Words of one text that may be a device's id."""


def masked_text(text: str) -> str:
    """The text without telephone numbers, identity numbers and addresses of e-mail."""
    for pattern, shown in _COMPILED:
        text = pattern.sub(shown, text)
    return text


def without_ids(text: str, households: Container[str], pseudonym: Callable[[str], str]) -> str:
    """The text with pseudonyms for the ids of household devices; the longest first, as one may begin another."""
    for word in sorted((word for word in possible_ids(text) if word in households), key=len, reverse=True):
        text = text.replace(word, pseudonym(word))
    return text


def possible_ids(text: str) -> set[str]:
    """Words of a text that may be the id of a device."""
    words = (word.strip("._-") for word in _NAMES.findall(text[:TEXT_CHARS_MAX]))
    return set(islice((word for word in words if any(char.isdigit() for char in word)), NAMES_MAX))
