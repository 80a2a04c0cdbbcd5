"""A set of checked rules, from files, a text or the program itself; what makes two sets differ."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from rules import load

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lifeline.core.alarm import RuleInfo
    from lifeline.core.errors import Problem
    from rules.spec import RuleSpec


@dataclass(frozen=True)
class RuleSet:
    """Checked rules, sorted by id; ``shadow`` are the candidates, which no production machine runs."""

    rules: tuple[RuleSpec, ...]
    shadow: tuple[RuleSpec, ...] = ()

    @classmethod
    def of(cls, specs: Iterable[RuleSpec]) -> RuleSet:
        """Production and candidates apart."""
        found = tuple(specs)
        return cls(tuple(one for one in found if not one.shadow), tuple(one for one in found if one.shadow))

    @property
    def candidates(self) -> RuleSet:
        """The candidates as a set of their own, for a machine of their own."""
        return RuleSet(self.shadow)

    @classmethod
    def load(cls, paths: Iterable[Path | str], beside: RuleSet | None = None) -> RuleSet:
        """Rules of files; a directory stands for its ``*.toml``. ``beside``: rules of others that they may refer to.

        Raises:
            ConfigurationError: everything that is wrong in any of the files.
        """
        return cls.of(load.load_files((Path(path) for path in paths), () if beside is None else beside.rules))

    @classmethod
    def parse(cls, text: str, name: str = "rules.toml") -> RuleSet:
        """Rules of one file's text.

        Raises:
            ConfigurationError: everything that is wrong in it.
        """
        problems: list[Problem] = []
        return cls.of(load.finish(load.load_texts([(text, name)], problems), problems))

    @classmethod
    def standard(cls) -> RuleSet:
        """The rules that come with the program (``rules/library``)."""
        problems: list[Problem] = []
        files = sorted(resources.files("rules").joinpath("library").iterdir(), key=lambda f: f.name)
        texts = [(file.read_text("utf-8"), file.name) for file in files if file.name.endswith(".toml")]
        return cls.of(load.finish(load.load_texts(texts, problems), problems))

    def info(self) -> dict[str, RuleInfo]:
        """What the queue and the screens must know, by rule id."""
        return {rule.id: rule.info() for rule in self.rules}

    @property
    def fingerprint(self) -> str:
        """Changes when any rule would fire otherwise; titles and texts do not count."""
        return digest([rule.meaning for rule in self.rules])

    def new_in(self, old: RuleSet) -> list[RuleSpec]:
        """Rules that ``old`` does not have, or has with another meaning."""
        known = {rule.id: rule.meaning for rule in old.rules}
        return [rule for rule in self.rules if known.get(rule.id) != rule.meaning]


def digest(meaning: object) -> str:
    """Short text that differs where meanings do."""
    return blake2b(repr(meaning).encode(), digest_size=12).hexdigest()
