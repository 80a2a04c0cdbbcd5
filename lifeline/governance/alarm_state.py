"""The state of an alarm (ISA-18.2), from its bits; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

ALARM_STATES: Final = ("unacked", "acked", "returned-unacked", "normal", "shelved", "suppressed", "out-of-service")


def alarm_state(row: Mapping[str, Any]) -> str:
    """The state of ISA-18.2 from the bits: who is quiet on purpose is named first."""
    if row["out_of_service"]:
        return "out-of-service"
    if row["suppressed"]:
        return "suppressed"
    if row["shelved_until"] is not None:
        return "shelved"
    if row["active"]:
        return "acked" if row["acked"] else "unacked"
    return "normal" if row["acked"] else "returned-unacked"


def is_historic(row: Mapping[str, Any]) -> bool:
    """Whether it was over before anybody could hear of it, as from a meter that uploads a day at once."""
    return row["cleared_at"] is not None and row["cleared_at"] <= row["detected_at"]
