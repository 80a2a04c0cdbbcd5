"""A backtest as one HTML page without anything from outside: figures, load, alarms over time, and the readings behind.

Pictures are inline SVG: they scale, print and need no script. Series are drawn through at most ``COLUMNS`` columns of
their least and greatest value, so that a spike of one reading is seen in a year.
"""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

WIDTH, LANE, PLOT = 900, 22, 120
COLUMNS: Final = 450
LANES_MAX: Final = 40
PLOTS_MAX: Final = 12
"""Points whose readings are drawn: those with the most alarms."""
COLOURS: Final = {"red": "#c62828", "orange": "#ef6c00", "yellow": "#f9a825", "blue": "#1565c0"}
STYLE: Final = """body{font:14px/1.45 system-ui,sans-serif;max-width:960px;margin:2rem auto;padding:0 1rem;color:#222}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}table{border-collapse:collapse;width:100%}
th,td{text-align:right;padding:.2rem .5rem;border-bottom:1px solid #ddd}th:first-child,td:first-child{text-align:left}
svg{width:100%;height:auto;background:#fafafa;border:1px solid #eee}text{font:11px system-ui,sans-serif;fill:#444}
.note{color:#666}"""

Series = tuple[str, "NDArray[np.int64]", "NDArray[np.float64]"]
"""A point's name, times (epoch ms) and values."""


def page(report: Mapping[str, Any], alarms: pa.Table, start: int, end: int, series: Sequence[Series]) -> str:
    """The page. ``series`` are the points to draw, in order; ``start`` and ``end`` the reported period, epoch ms."""
    rows = alarms.to_pylist()
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Backtest · 回测报告</title>",
        f"<style>{STYLE}</style></head><body><h1>Backtest · 回测报告</h1>",
        f"<p class='note'>{_iso(start)} – {_iso(end)} · {len(rows)} alarms 条报警</p>",
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
        _timeline(rows, start, end),
        "<h2>Readings behind them · 相关读数</h2>" if series else "",
        *(_plot(one, [r for r in rows if f"{r['device_id']}/{r['quantity']}" == one[0]], start, end) for one in series),
        "</body></html>",
    ]
    return "\n".join(part for part in parts if part)


def busiest(alarms: pa.Table) -> list[int]:
    """Points with the most alarms, most first."""
    counts = alarms["point"].combine_chunks().value_counts().to_pylist()
    ordered = sorted(counts, key=lambda row: (-row["counts"], row["values"]))
    return [row["values"] for row in ordered[:PLOTS_MAX]]


def _score(score: Mapping[str, Any] | None) -> str:
    if score is None:
        return ""
    keys = ("precision", "recall", "f1", "median_delay_s", "p95_delay_s", "false_alarms_per_day")
    whole = _table(["against the truth 对照真值", ""], ([key, score[key]] for key in keys))
    kinds = _table(
        ["kind of fault 故障类型", "faults 数量", "found 检出", "recall", "median delay s", "p95 delay s"],
        (
            [kind, f["faults"], f["detected"], f["recall"], f["median_delay_s"], f["p95_delay_s"]]
            for kind, f in score["by_fault"].items()
        ),
    )
    return f"<h2>Score · 评分</h2>{whole}{kinds}"


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


def _timeline(rows: list[dict[str, Any]], start: int, end: int) -> str:
    """One lane a rule, one bar an alarm."""
    rules = sorted({row["rule_id"] for row in rows})[:LANES_MAX]
    if not rules:
        return "<p class='note'>none · 无</p>"
    bars = []
    for row in rows:
        if row["rule_id"] in rules:
            y = rules.index(row["rule_id"]) * LANE + 4
            bars.append(_bar(row, start, end, y, LANE - 8))
    names = [f"<text x='4' y='{k * LANE + 15}'>{escape(rule)}</text>" for k, rule in enumerate(rules)]
    return _svg(len(rules) * LANE, [*bars, *names], start, end)


def _plot(one: Series, rows: list[dict[str, Any]], start: int, end: int) -> str:
    """A point's readings, with its alarms behind them."""
    name, ts, value = one
    kept = (ts >= start) & (ts <= end) & ~np.isnan(value)
    ts, value = ts[kept], value[kept]
    marks = [_bar(row, start, end, 0, PLOT) for row in rows]
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
        marks += [f"<text x='4' y='12'>{high:.4g}</text>", f"<text x='4' y='{PLOT - 2}'>{low:.4g}</text>"]
    return f"<p>{escape(name)} · {len(rows)} alarms</p>" + _svg(PLOT, marks, start, end)


def _bar(row: Mapping[str, Any], start: int, end: int, y: float, height: float) -> str:
    a = _ms(row["raised_at"])
    b = _ms(row["cleared_at"]) if row["cleared_at"] is not None else end
    x, width = _x(a, start, end), max(_x(b, start, end) - _x(a, start, end), 1.5)
    label = f"{row['rule_id']} {row['device_id']}/{row['quantity']} {_iso(a)} value {row['value']:.4g}"
    return (
        f"<rect x='{x:.1f}' y='{y}' width='{width:.1f}' height='{height}' fill='{COLOURS[row['level']]}' "
        f"fill-opacity='.45'><title>{escape(label)}</title></rect>"
    )


def _svg(height: int, shapes: Iterable[str], start: int, end: int) -> str:
    dates = [
        f"<text x='{_x(at, start, end):.0f}' y='{height + 14}' text-anchor='{anchor}'>{_iso(int(at))}</text>"
        for at, anchor in ((start, "start"), ((start + end) / 2, "middle"), (end, "end"))
    ]
    return f"<svg viewBox='0 0 {WIDTH} {height + 18}' role='img'>{''.join([*shapes, *dates])}</svg>"


def _x(at: float, start: int, end: int) -> float:
    return min(max((at - start) / max(end - start, 1), 0.0), 1.0) * WIDTH


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%MZ")
