"""Which emergency holds at a place and a moment; pure. Switching and reviewing are in ``modes``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lifeline.governance.actor import covers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Row = dict[str, Any]

EMERGENCY: Final = "emergency"


def mode_of(found: Iterable[Row], row: Mapping[str, Any], at: int) -> Row | None:
    """The emergency of the smallest area around an event or place that held at a moment."""
    holding = [
        mode
        for mode in found
        if mode["since"] <= at
        and (mode["ended_at"] is None or at < mode["ended_at"])
        and covers(mode["area_code"], row)
    ]
    return max(holding, key=lambda mode: (len(mode["area_code"].rstrip("0")), mode["entry"]), default=None)
