"""The pieces of a condition's text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a condition: ``kind`` is number, name, string or op."""

    kind: str
    text: str
