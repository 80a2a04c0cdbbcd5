"""Columns that are made when they are first asked for, and kept for whoever asks again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


class Memo:
    """Keeps what was made, by name, for as long as it lives itself: for one turn of the rules."""

    def __init__(self) -> None:
        self._made: dict[str, NDArray[Any]] = {}

    def once(self, name: str, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """What ``make`` gives the first time it is asked for by this name."""
        made = self._made.get(name)
        if made is None:
            made = self._made[name] = make()
        return made
