"""What ``alarms load`` shows to people: figures against ISA-18.2, then what there is to do about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lifeline.cli.output import table

if TYPE_CHECKING:
    from datetime import tzinfo

DAY_MS: Final = 86_400_000
SPLIT: Final = {"red": ("红", "< 0.01"), "orange": ("橙", "0.05"), "yellow": ("黄", "0.15"), "blue": ("蓝", "0.8")}
"""ISA-18.2's split of priorities: low 80 %, medium 15, high 5, a fourth and highest below 1."""


def tell_load(told: dict[str, Any], zone: tzinfo) -> None:
    """Figures, the most frequent sources, what has stood longest, and nuisances with a proposal each."""
    days = (told["end"] - told["start"]) / DAY_MS
    busiest, most = next(iter(told["areas"].items()), ("", 0))
    rows = [
        {"figure": name, "value": f"{value:.4g}", "acceptable": good}
        for name, value, good in (
            ("alarms 报警数", told["alarms"], ""),
            ("alarms a day 每日", told["alarms"] / days, "144 a console"),
            (f"alarms a day, busiest district {busiest} 最忙区县每日", most / days, "144"),
            ("mean in 10 min 每十分钟平均", told["mean_per_window"], "1 a console"),
            ("most in 10 min 十分钟最多", told["max_per_window"], "10"),
            ("share of 10 min with more than 10 泛滥时间占比", told["flood_share"], "< 0.01"),
            ("share of the ten most frequent 前十占比", told["top_share"], "< 0.05"),
            ("standing 未恢复", told["standing"], ""),
            ("standing for over a day 超过一天", told["stale"], "< 5 a console"),
            *((f"share that is {level} {zh}占比", _share(told, level), good) for level, (zh, good) in SPLIT.items()),
        )
    ]
    table("", ["figure", "value", "acceptable"], rows, empty="")
    columns = ["rule_id", "device_id", "quantity", "alarms"]
    table("the most frequent 最频繁", columns, told["top"], empty="No alarms. 无报警。")
    columns = ["level", "rule_id", "device_id", "quantity", "detected_at", "alarm_id"]
    table(
        "standing longest 长期未消",
        columns,
        told["oldest"],
        empty="Nothing stands for over a day. 无超过一日的报警。",
        zone=zone,
    )
    columns = ["rule_id", "device_id", "quantity", "alarms", "kind", "proposal_zh", "proposal_en", "alarm_id"]
    table("nuisances 扰民报警", columns, told["nuisances"], empty="Nothing chatters. 无反复报警。")


def _share(told: dict[str, Any], level: str) -> float:
    """Of the alarms of a load, how many have a level."""
    return float(told["levels"].get(level, 0)) / max(int(told["alarms"]), 1)
