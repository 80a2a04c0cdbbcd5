"""``alarms explain`` as text: the rule, its parameters, the readings and their places in the log, what was done."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any, Final

from lifeline.app.latched import LEGEND, told_state
from lifeline.cli.output import DOUBT, console, say, shown_time
from rules.durations import span

if TYPE_CHECKING:
    from collections.abc import Callable

LINES_MAX: Final = 20
"""What was done to an alarm: the last of it."""


def tell(told: dict[str, Any], zone: tzinfo) -> None:
    """What ``explain_alarm`` found, for people; times in ``zone``."""

    def at(ms: int | None) -> str:
        return "—" if ms is None else f"{datetime.fromtimestamp(ms / 1000, zone):%F %T.%f}"[:-3]

    _tell_alarm(told, zone, at)
    if told["evidence"]:
        _tell_evidence(told["evidence"], at)
    show, rule = console().print, told["rule"]
    show(f"log record of the decision: {told['lsn']}")
    if rule:
        for name in ("cause", "consequence", "action"):
            show(f"{name}: {rule[name]}")
        within = rule["respond_within_s"]
        show(f"respond within: {span(within)} 处置时限 {span(within, chinese=True)}")
    for entry in told["log"][-LINES_MAX:]:
        note = f": {entry['note']}" if entry["note"] else ""
        say((f"  {shown_time(entry['at'], zone)}", "dim"), f" {entry['actor']} {entry['action']}{note}")


def _tell_alarm(told: dict[str, Any], zone: tzinfo, at: Callable[[int | None], str]) -> None:
    """What it is, how long it stood, in which state it is and by what."""
    show, rule = console().print, told["rule"]
    title = f"{rule['title_zh']} / {rule['title_en']}" if rule else "（规则已不存在 / the rule is gone）"
    say((told["level"], "bold"), f" {title}")
    newer = f" (now version {rule['version']})" if rule and rule["version"] != told["rule_version"] else ""
    show(f"rule {told['rule_id']} version {told['rule_version']}{newer} · {told['device_id']}/{told['quantity']}")
    start, end = told["span"]
    historic = " · 历史报警 / historic: over before it was heard of" if told["historic"] else ""
    readings = told["evidence"].get("readings", ())
    is_reading = any(value == told["value"] for _, _, value in readings)  # not a count or seconds
    unit = f" {told['unit']}" if told["unit"] and is_reading else ""
    until = "尚未恢复 still stands" if end is None else at(end)
    show(f"stood {at(start)} … {until} ({zone}) · value {told['value']}{unit}{historic}")
    show(f"state {told_state(told)} · event {told['event_id'] or '—'}")
    if (cause := told["explained_by"]) is not None:
        over = "" if cause["active"] else "，该报警已恢复 / which is over"
        show(
            f"由此解释 / explained by {cause['rule_id']} · {cause['device_id']}/{cause['quantity']} · "
            f"alarm {cause['alarm_id']}{over}"
        )
    if told["latched"]:
        say(DOUBT, f" {LEGEND}")


def _tell_evidence(evidence: dict[str, Any], at: Callable[[int | None], str]) -> None:
    """The rule as it was, and the readings that satisfied it."""
    show = console().print
    samples, seconds = evidence["raise_after"]
    show(f"raise: {evidence['raise']}")
    show(f"clear: {evidence['clear']}")
    show("params: " + (", ".join(f"{k} = {v:g}" for k, v in evidence["params"].items()) or "none"))
    for one in evidence.get("overrides", ()):
        given = ", ".join(f"{k} = {v:g}" for k, v in one["params"].items())
        held = f"{at(one['since'])} … {at(one['until'])}"
        show(f"  {given}: 应急 / {one['name']} · {one['area_code']} · {held}")
    lasted = f" and {span(seconds)}" if seconds else ""
    show(f"for {samples} reading(s){lasted}: {at(evidence['from'])} … {at(evidence['to'])}")
    for lsn, ts, value in evidence["readings"]:
        show(f"  log record {lsn:>8}   {at(ts)}   {value}")
    for other in evidence.get("others", ()):
        show(f"同组 / beside it: {other['device_id']}/{other['quantity']}")
        for lsn, ts, value in other["readings"]:
            show(f"  log record {lsn:>8}   {at(ts)}   {value}")
