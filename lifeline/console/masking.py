"""Less than we know: coarse positions, no names of people who reported, no numbers in what is written; pure.

A household's gas, water or heat says when somebody is at home, so its ids are personal (PIPL); exact positions of all
points together are a candidate for important data (GB/T 43697-2024). Both are shown only for a purpose and a case.
"""

from __future__ import annotations

from typing import Any, Final

from lifeline.core.personal import masked_text

DECIMALS: Final = 2
"""Positions are rounded to 0.01°, about a kilometre."""
PERSONAL: Final = ("reporter", "contact", "address")
MASK: Final = "***"
INTERNAL: Final = frozenset({"group_key", "places"})


def masked_event(row: dict[str, Any]) -> dict[str, Any]:
    """An event and its reports without exact positions and personal data; its ids come masked (``ports``)."""
    shown = {name: value for name, value in row.items() if name not in INTERNAL}
    coarse(shown)
    shown["title"] = masked_text(shown["title"])
    if "log" in shown:
        shown["log"] = [entry | {"note": masked_text(entry["note"])} for entry in shown["log"]]
    if "reports_received" in shown:
        shown["reports_received"] = [_masked_report(entry) for entry in shown["reports_received"]]
    return shown


def _masked_report(entry: dict[str, Any]) -> dict[str, Any]:
    masked = entry | {name: MASK for name in PERSONAL if entry.get(name)}
    masked["description"] = masked_text(masked["description"])
    coarse(masked)
    return masked


def coarse(row: dict[str, Any]) -> None:
    """Round the position in place."""
    for name in ("lon", "lat"):
        if row.get(name) is not None:
            row[name] = round(row[name], DECIMALS)
