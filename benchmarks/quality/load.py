"""What the operators of the scored period had to bear, by ISA-18.2's figures (domain of a console: one area).

Counts of a small fleet are brought to the whole city where they grow with it (``factor``); shares are as measured.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

from benchmarks.harness import Figure

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from lifeline.governance.hand import Row

WINDOW_MS: Final = 600_000
FLOOD_ALARMS: Final = 10
"""More than ten alarms in ten minutes at one console is a flood."""
CHATTER_MS: Final = 60_000
CHATTER_ALARMS: Final = 3
DAY_MS: Final = 86_400_000
AREA_DIGITS: Final = 6
ALARMS_A_DAY: Final = 144
"""One alarm in ten minutes at one console is acceptable."""
CONSOLES: Final = 17
"""One of the city and one of each of its sixteen areas."""
TOP: Final = 10


def area_of(code: str | None) -> str:
    """The management area of a grid's code: six digits, after the letter of a rural or dedicated grid."""
    return (code or "").lstrip("RD")[:AREA_DIGITS]


def figures(
    alarms: Sequence[Row], start_ms: int, end_ms: int, factor: float, held: Collection[str] = ()
) -> dict[str, Figure]:
    """Figures of the alarms detected in [start, end); those ``held`` at the end stood then and told nobody.

    What stands for a day because its fault does (nobody repairs anything in a simulation) is ``standing_a_day``; what
    stands a day after the last fault that explains it was over, or without any, is ``standing_in_vain``.
    """
    days = max(end_ms - start_ms, 1) / DAY_MS
    areas = Counter(area_of(alarm["area_code"]) for alarm in alarms)
    windows = Counter((area_of(a["area_code"]), (a["detected_at"] - start_ms) // WINDOW_MS) for a in alarms)
    floods = sum(count > FLOOD_ALARMS for count in windows.values())
    all_windows = max(len(areas), 1) * -(-(end_ms - start_ms) // WINDOW_MS)
    sources = Counter((alarm["rule_id"], alarm["point"]) for alarm in alarms)
    top = sum(count for _, count in sources.most_common(TOP)) / max(len(alarms), 1)
    standing = [alarm for alarm in alarms if _stands(alarm, end_ms) and alarm["alarm_id"] not in held]
    stale = sum(alarm["detected_at"] < end_ms - DAY_MS for alarm in standing)
    vain = sum(max(alarm["detected_at"], alarm["fault_end"] or 0) < end_ms - DAY_MS for alarm in standing)
    return {
        "console_busiest": Figure(
            max(areas.values(), default=0) / days * factor, "alarms/day, one area", ALARMS_A_DAY, "lower"
        ),
        "flood_share": Figure(floods / max(all_windows, 1), "share of 10 min", 0.01, "lower"),
        "top_ten_share": Figure(top, "share of alarms", 0.05, "lower"),
        "chattering": Figure(_chattering(alarms), "alarms", 0, "lower"),
        "standing_a_day": Figure(stale * factor / CONSOLES, "alarms, one console", None, "lower"),
        "standing_in_vain": Figure(vain * factor / CONSOLES, "alarms, one console", 5, "lower"),
    }


def _stands(alarm: Row, at_ms: int) -> bool:
    cleared = alarm["clear_detected_at"]
    return cleared is None or cleared > at_ms


def _chattering(alarms: Sequence[Row]) -> int:
    """Alarms that are the third or later of their rule and point within a minute."""
    recent: dict[tuple[str, int], list[int]] = defaultdict(list)
    found = 0
    for alarm in alarms:
        times = recent[alarm["rule_id"], alarm["point"]]
        times[:] = [t for t in times if alarm["raised_at"] - t < CHATTER_MS]
        times.append(alarm["raised_at"])
        found += len(times) >= CHATTER_ALARMS
    return found
