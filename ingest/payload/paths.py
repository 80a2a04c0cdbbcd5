"""A small JSONPath: ``$``, ``.name``, ``["name"]``, ``[0]``, and one ``[*]`` where rows are meant."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_STEP: Final = re.compile(r"""\.([A-Za-z_$][\w$-]*)|\["([^"\]]+)"\]|\['([^'\]]+)'\]|\[(\d{1,6})\]|(\[\*\])""")


class Missing:
    """The type of ``MISSING``: nothing is there (JSON null is None)."""


MISSING: Final = Missing()
_EACH: Final = Missing()


@dataclass(frozen=True, slots=True)
class Path:
    """A compiled path: names, indices, and at most one "each"."""

    text: str
    steps: tuple[object, ...]

    @classmethod
    def compile(cls, text: str, *, rows: bool = False) -> Path:
        """Compile. Raises ValueError with the reason; ``[*]`` is allowed once, and only when ``rows``."""
        if not text.startswith("$"):
            raise ValueError(f"{text!r} must begin with $")
        steps: list[object] = []
        i = 1
        while i < len(text):
            match = _STEP.match(text, i)
            if match is None:
                raise ValueError(f'{text!r}: not understood from {text[i:]!r}: write $.a.b[0] or $["a b"]')
            name = match[1] or match[2] or match[3]
            steps.append(name if name is not None else _EACH if match[5] else int(match[4]))
            i = match.end()
        if steps.count(_EACH) > (1 if rows else 0):
            raise ValueError(f"{text!r}: [*] may stand {'once' if rows else 'only in rows'}")
        return cls(text, tuple(steps))

    def get(self, document: object) -> object:
        """What stands there, or ``MISSING``."""
        return _walk(document, self.steps)

    def rows(self, document: object) -> list[object] | None:
        """The rows: each element at ``[*]`` (followed to the path's end), or the one object or array's elements there.

        None when the path leads nowhere.
        """
        if _EACH not in self.steps:
            found = self.get(document)
            if found is MISSING:
                return None
            return list(found) if isinstance(found, list) else [found]
        at = self.steps.index(_EACH)
        elements = _walk(document, self.steps[:at])
        if not isinstance(elements, list):
            return None
        return [_walk(element, self.steps[at + 1 :]) for element in elements]


def _walk(document: object, steps: Sequence[object]) -> object:
    for step in steps:
        if isinstance(step, str) and isinstance(document, dict):
            document = document.get(step, MISSING)
        elif isinstance(step, int) and isinstance(document, list) and step < len(document):
            document = document[step]
        else:
            return MISSING
    return document
