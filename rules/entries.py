"""The entries of one TOML table of a rule file, each as what it must be: text, a number, a duration, a condition.

What is wrong is noted with the place and the remedy, and something of the right type is given in its place, so that
all that is wrong with a file is said at once.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from lifeline.core.errors import Problem
from rules import conditions
from rules.durations import EXAMPLES, parse_duration
from rules.misplaced import placed
from rules.spec import Delay

if TYPE_CHECKING:
    from collections.abc import Mapping

SAMPLES_MAX: Final = 1_000_000
SECONDS_MAX: Final = 366 * 86_400.0


class Entries:
    """Those of one ``[[rule]]``; ``name`` is what it is called where something is wrong with it."""

    def __init__(self, file: str, table: Mapping[str, Any], name: str, problems: list[Problem]) -> None:
        self.file, self.table, self.name, self.problems = file, table, name, problems

    def wrong(self, key: str, message: str, remedy: str = "") -> None:
        """Note what is wrong with a key."""
        self.problems.append(Problem(self.file, f"{self.name}.{key}", message, remedy))

    def text(self, key: str, default: str = "") -> str:
        """Text; an empty one only where a condition stands, which says what it lacks itself."""
        value = self.table.get(key, default)
        if not isinstance(value, str):
            self.wrong(key, f"is {type(value).__name__}, not text", "put it in quotes")
            return default
        if key in self.table and not value.strip() and key not in {"where", "raise", "clear"}:
            self.wrong(key, "is empty", "say it, or leave the key out where it is optional")
        return value

    def choice(self, key: str, allowed: tuple[str, ...], default: str) -> str:
        """One of a closed list."""
        value = self.text(key, default)
        if value in allowed:
            return value
        self.wrong(key, f"{value!r} is not one of {', '.join(allowed)}", conditions.nearest(value, allowed))
        return default

    def title(self, language: str) -> str:
        """The title in a language."""
        value = self.table.get("title", {})
        title = value.get(language) if isinstance(value, dict) else None
        if isinstance(title, str) and title.strip():
            return title
        if "title" in self.table:
            self.wrong(f"title.{language}", "is missing", 'title = { zh = "…", en = "…" }')
        return ""

    def bilingual(self, key: str) -> str:
        """Text, or a table of ``zh`` and ``en``, which are shown one after the other."""
        value = self.table.get(key, "")
        if isinstance(value, dict):
            parts = [p for p in (value.get("zh"), value.get("en")) if isinstance(p, str) and p.strip()]
            if set(value) == {"zh", "en"} and len(parts) == 2:
                return " / ".join(parts)
            self.wrong(key, "needs zh and en, both not empty", f'{key} = {{ zh = "…", en = "…" }}, or one text')
            return ""
        return self.text(key)

    def flag(self, key: str, *, default: bool = False) -> bool:
        """True or false."""
        value = self.table.get(key, default)
        if not isinstance(value, bool):
            self.wrong(key, f"is {value!r}, not true or false", f"{key} = {str(not default).lower()}")
            return default
        return value

    def number(self, key: str, value: object, *, low: float, high: float = math.inf, whole: bool = False) -> float:
        """A number of a range; ``key`` is the whole path of what is told as ``value``."""
        right = isinstance(value, int) if whole else isinstance(value, (int, float))
        if not right or isinstance(value, bool) or not low <= float(value) <= high:  # type: ignore[arg-type] # checked
            kind = "a whole number" if whole else "a number"
            self.wrong(
                key, f"{value!r} is not {kind} from {low:g} to {high:g}", f"{key.rpartition('.')[2]} = {max(low, 1):g}"
            )
            return low
        return float(value)  # type: ignore[arg-type] # checked

    def duration(self, key: str) -> float:
        """Seconds of a time as people write it, 0 where the key is missing."""
        value = self.table.get(key)
        seconds = parse_duration(value) if isinstance(value, str) else None
        if seconds is None or seconds <= 0:
            if key in self.table:
                self.wrong(key, f"{value!r} is not a duration", EXAMPLES)
            return 0.0
        return seconds

    def delay(self, key: str) -> Delay:
        """How long something must last."""
        value = self.table.get(key, {})
        if not isinstance(value, dict):
            self.wrong(key, f"is {value!r}, not a table", f"{key} = {{ samples = 3 }}")
            return Delay()
        for name in value:
            if name not in {"samples", "seconds"}:
                self.wrong(f"{key}.{name}", f"unknown key {name}", conditions.nearest(name, ["samples", "seconds"]))
        samples = self.number(f"{key}.samples", value.get("samples", 1), low=1, high=SAMPLES_MAX, whole=True)
        return Delay(int(samples), self.number(f"{key}.seconds", value.get("seconds", 0), low=0, high=SECONDS_MAX))

    def condition(self, key: str, text: str, columns: Mapping[str, Any], prefixes: tuple[str, ...] = ()) -> None:
        """Check a condition over these columns and those of a prefix; a key that is missing is no problem of its."""
        base = key.rpartition(".")[2] if key.startswith("override") else key
        if base in self.table or key.startswith("override"):
            evaluate = str(self.table.get("evaluate", "reading"))
            for fault in conditions.parse(text, columns, prefixes)[1]:
                self.wrong(key, *placed(fault, columns, prefixes, evaluate))
