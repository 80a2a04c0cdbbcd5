"""A backtest as one HTML page without anything from outside: figures, load, alarms over time, and the readings behind.

Pictures are inline SVG: they scale, print and need no script. Series are drawn through at most ``COLUMNS`` columns of
their least and greatest value, so that a spike of one reading is seen in a year.
"""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rules.durations import about

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import tzinfo

    import pyarrow as pa
    from numpy.typing import NDArray

WIDTH, LANE, PLOT = 900, 32, 120
BAR: Final = 12
"""Height of a bar in its lane, beneath the lane's name: what is written on bars cannot be read."""
COLUMNS: Final = 450
LANES_MAX: Final = 40
ROWS_MAX: Final = 200
"""Alarms that are listed: the first of them."""
PLOTS_MAX: Final = 12
"""Points whose readings are drawn: those with the most alarms."""
COLOURS: Final = {"red": "#c62828", "orange": "#ef6c00", "yellow": "#f9a825", "blue": "#1565c0"}
STYLE: Final = """body{font:14px/1.45 system-ui,sans-serif;max-width:960px;margin:2rem auto;padding:0 1rem;color:#222}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}table{border-collapse:collapse;width:100%}
th,td{text-align:right;white-space:nowrap;padding:.2rem .5rem;border-bottom:1px solid #ddd}
th:first-child,td:first-child{text-align:left}
svg{width:100%;height:auto;background:#fafafa;border:1px solid #eee}text{font:11px system-ui,sans-serif;fill:#444;
paint-order:stroke;stroke:#fafafa;stroke-width:3px;stroke-linejoin:round}
.note{color:#666}"""

TRUTH: Final = "#607d8b"
MISSED: Final = "#212121"
ENDLESS_MS: Final = 253_402_300_799_000
"""The end of the year 9999: a fault that is still going on."""

Series = tuple[str, "NDArray[np.int64]", "NDArray[np.float64]"]
"""A point's name, times (epoch ms) and values."""


def page(
    report: Mapping[str, Any],
    alarms: pa.Table,
    start: int,
    end: int,
    series: Sequence[Series],
    truth: pa.Table | None = None,
    zone: tzinfo = UTC,
) -> str:
    """The page.

    ``series`` are the points to draw, in order; ``start`` and ``end`` the reported period, epoch ms; ``truth`` the
    labels, with times as epoch ms; ``zone`` that of the site's clock, in which all times are told.
    """
    rows = alarms.to_pylist()
    faults = [] if truth is None else truth.to_pylist()
    missed = set(report.get("score", {}).get("missed", ()))
    period = _Period(start, end, zone)
    span = f"{period.iso(start)} – {period.iso(end)}"
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Backtest · 回测报告</title>",
        f"<style>{STYLE}</style></head><body><h1>Backtest · 回测报告</h1>",
        f"<p class='note'>{span} ({escape(str(zone))}) · {len(rows)} alarms 条报警</p>",
        _warnings(report.get("warnings", ())),
        _score(report.get("score")),
        "<h2>Rules · 规则</h2>",
        _table(
            [
                "rule 规则",
                "readings 读数",
                "raised 触发",
                "cleared 解除",
                "points 测点",
                "per day 每日",
                "chattering 抖动",
            ],
            (
                [r["id"], r["readings"], r["raised"], r["cleared"], r["points"], r["alarms_per_day"], r["chattering"]]
                for r in report["rules"]
                if r["points"]
            ),
        ),
        _load(report["load"]),
        "<h2>Alarms over time · 报警时间线</h2>",
        _timeline(rows, faults, missed, period),
        "<h2>Readings behind them · 相关读数</h2>" if series else "",
        *(_plot(one, rows, faults, missed, period) for one in series),
        _listed(rows, period),
        "</body></html>",
    ]
    return "\n".join(part for part in parts if part)


def busiest(alarms: pa.Table) -> list[int]:
    """Points with the most alarms, most first."""
    counts = alarms["point"].combine_chunks().value_counts().to_pylist()
    ordered = sorted(counts, key=lambda row: (-row["counts"], row["values"]))
    return [row["values"] for row in ordered[:PLOTS_MAX]]


class _Period:
    """Times to places in a picture and to text."""

    def __init__(self, start: int, end: int, zone: tzinfo) -> None:
        self.start, self.end, self.zone = start, end, zone

    def x(self, at: float) -> float:
        return min(max((at - self.start) / max(self.end - self.start, 1), 0.0), 1.0) * WIDTH

    def iso(self, ms: float) -> str:
        at = datetime.fromtimestamp(min(ms, ENDLESS_MS) / 1000, UTC)
        return f"{at.astimezone(self.zone) if ms < ENDLESS_MS else at:%Y-%m-%d %H:%M}"


def _warnings(warnings: Sequence[str]) -> str:
    told = "".join(f"<li>{escape(one)}</li>" for one in warnings)
    return f"<h2>What was not judged · 未评判</h2><ul>{told}</ul>" if told else ""


def _listed(rows: list[dict[str, Any]], period: _Period) -> str:
    """The first alarms by time: what, where, from when to when."""
    if not rows:
        return ""
    head = ["raised 触发", "cleared 解除", "level 级别", "rule 规则", "point 测点", "group 组", "value 数值"]
    ordered = sorted(rows, key=lambda row: row["raised_at"])
    told = _table(
        head,
        (
            [
                period.iso(_ms(row["raised_at"])),
                None if row["cleared_at"] is None else period.iso(_ms(row["cleared_at"])),
                row["level"],
                row["rule_id"],
                f"{row['device_id']}/{row['quantity']}",
                row["group"],
                row["value"],
            ]
            for row in ordered[:ROWS_MAX]
        ),
    )
    more = f"<p class='note'>and {len(rows) - ROWS_MAX:,} more · 其余从略</p>" if len(rows) > ROWS_MAX else ""
    return f"<h2>Alarms · 报警清单</h2>{told}{more}"


def _score(score: Mapping[str, Any] | None) -> str:
    if score is None:
        return ""
    rows = [
        ["precision 查准率", score["precision"]],
        ["recall 查全率", score["recall"]],
        ["F1", score["f1"]],
        ["median delay 时延中位数", _delay(score["median_delay_s"])],
        ["p95 delay 时延 95 分位", _delay(score["p95_delay_s"])],
        ["false alarms a day 每日误报", score["false_alarms_per_day"]],
    ]
    whole = _table(["against the truth 对照真值", ""], rows)
    kinds = _table(
        ["kind of fault 故障类型", "faults 数量", "found 检出", "recall 查全率", "median delay 时延", "p95 delay"],
        (
            [kind, f["faults"], f["detected"], f["recall"], _delay(f["median_delay_s"]), _delay(f["p95_delay_s"])]
            for kind, f in score["by_fault"].items()
        ),
    )
    return f"<h2>Score · 评分</h2>{whole}{kinds}"


def _delay(seconds: float | None) -> str | None:
    return None if seconds is None else about(seconds)


def _load(load: Mapping[str, Any]) -> str:
    rate = load["alarms_per_10min"]
    rows: list[list[Any]] = [
        ["alarms in 10 min, mean 平均", rate["mean"], "≈ 1"],
        ["alarms in 10 min, most 最多", rate["max"], "≤ 10"],
        ["share of time in flood 报警泛滥时间占比", load["flood_share"], "< 0.01"],
        ["most standing at once 最多同时未解除", load["standing_max"], ""],
        ["active over a day 超过一天", load["stale"], "< 5"],
        ["share of the ten busiest 前十占比", load["top_ten_share"], "0.01 – 0.05"],
        *([f"level {level}", share, ""] for level, share in load["levels"].items()),
    ]
    return "<h2>Operator load · 操作员负荷</h2>" + _table(["", "found", "acceptable (ISA-18.2)"], rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return escape(f"{value:,}" if isinstance(value, int) else str(value))


def _timeline(rows: list[dict[str, Any]], faults: list[dict[str, Any]], missed: set[str], period: _Period) -> str:
    """One lane a rule, one bar an alarm; above them the labelled faults, those that were missed dark."""
    rules = sorted({row["rule_id"] for row in rows})[:LANES_MAX]
    if not rules and not faults:
        return "<p class='note'>none · 无</p>"
    lanes = [*(["truth 标注 (dark: missed 漏报)"] if faults else []), *rules]
    lane = {name: (k + 1) * LANE - BAR - 2 for k, name in enumerate(lanes)}
    bars = [_fault(fault, missed, period, LANE - BAR - 2, BAR, 0.75) for fault in faults]
    bars += [_bar(row, period, lane[row["rule_id"]], BAR) for row in rows if row["rule_id"] in lane]
    names = [f"<text x='4' y='{(k + 1) * LANE - BAR - 6}'>{escape(name)}</text>" for k, name in enumerate(lanes)]
    return _svg(len(lanes) * LANE, [*bars, *names], period)


def _plot(
    one: Series, rows: list[dict[str, Any]], faults: list[dict[str, Any]], missed: set[str], period: _Period
) -> str:
    """A point's readings, with its alarms behind them and the labelled faults beneath."""
    name, ts, value = one
    start, end = period.start, period.end
    rows = [row for row in rows if f"{row['device_id']}/{row['quantity']}" == name]
    device, _, quantity = name.rpartition("/")
    there = [f for f in faults if f["device_id"] in {None, device} and f["quantity"] in {None, quantity}]
    kept = (ts >= start) & (ts <= end) & ~np.isnan(value)
    ts, value = ts[kept], value[kept]
    marks = [_bar(row, period, 0, PLOT, 0.2) for row in rows]
    marks += [_fault(fault, missed, period, PLOT - 6, 6, 0.75) for fault in there]
    if len(ts):
        low, high = float(value.min()), float(value.max())
        column = ((ts - start) * COLUMNS // max(end - start + 1, 1)).astype(np.int64)
        edges = np.flatnonzero(np.diff(column, prepend=-1))
        scale = (PLOT - 20) / max(high - low, 1e-12)
        points = []
        for at, bottom, top in zip(
            column[edges], np.minimum.reduceat(value, edges), np.maximum.reduceat(value, edges), strict=True
        ):
            x = int(at) * WIDTH / COLUMNS
            points += [f"{x:.1f},{PLOT - 10 - (v - low) * scale:.1f}" for v in (bottom, top)]
        marks.append(f"<polyline points='{' '.join(points)}' fill='none' stroke='#37474f' stroke-width='1'/>")
        marks += [f"<text x='4' y='12'>{high:.4g}</text>", f"<text x='4' y='{PLOT - 9}'>{low:.4g}</text>"]
    return f"<p>{escape(name)} · {len(rows)} alarms</p>" + _svg(PLOT, marks, period)


def _bar(row: Mapping[str, Any], period: _Period, y: float, height: float, opacity: float = 0.45) -> str:
    a = _ms(row["raised_at"])
    b = _ms(row["cleared_at"]) if row["cleared_at"] is not None else period.end
    label = f"{row['rule_id']} {row['device_id']}/{row['quantity']} {period.iso(a)} value {row['value']:.4g}"
    return _rect(period, (a, b), (y, height), COLOURS[row["level"]], opacity, label)


def _fault(fault: Mapping[str, Any], missed: set[str], period: _Period, y: float, height: float, opacity: float) -> str:
    a, b = fault["start"], fault["end"]
    colour = MISSED if fault["fault_id"] in missed else TRUTH
    return _rect(period, (a, b), (y, height), colour, opacity, f"{fault['fault_id']} {fault['kind']} {period.iso(a)}")


def _rect(
    period: _Period, span: tuple[float, float], place: tuple[float, float], colour: str, opacity: float, label: str
) -> str:
    x = period.x(span[0])
    width = max(period.x(span[1]) - x, 1.5)
    return (
        f"<rect x='{x:.1f}' y='{place[0]}' width='{width:.1f}' height='{place[1]}' fill='{colour}' "
        f"fill-opacity='{opacity}'><title>{escape(label)}</title></rect>"
    )


def _svg(height: int, shapes: Iterable[str], period: _Period) -> str:
    start, end = period.start, period.end
    dates = [
        f"<text x='{period.x(at):.0f}' y='{height + 14}' text-anchor='{anchor}'>{period.iso(at)}</text>"
        for at, anchor in ((start, "start"), ((start + end) / 2, "middle"), (end, "end"))
    ]
    return f"<svg viewBox='0 0 {WIDTH} {height + 18}' role='img'>{''.join([*shapes, *dates])}</svg>"


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
