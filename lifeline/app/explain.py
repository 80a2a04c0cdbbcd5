"""``lifeline alarms explain``: why an alarm was raised, as text for people and as a picture.

What is told comes from the alarm itself (its rule as it was then, parameters, window, readings with their positions in
the log); the curve around it comes from the lake, so it may lack the last seconds.
"""

from __future__ import annotations

import math
from contextlib import closing
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Any, Final

import orjson

from lifeline.app.queue import open_desk, with_times
from lifeline.app.site import load_site
from lifeline.app.written import written
from lifeline.core.errors import ConfigurationError, Problem
from lifeline.governance.alarm_state import is_historic
from lifeline.lake.query import open_catalog
from rules.rule_set import RuleSet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo
    from pathlib import Path

BEFORE_MS: Final = 3_600_000
AFTER_MS: Final = 900_000
"""The curve shows an hour before the alarm and a quarter of an hour after it."""
ROWS_MAX: Final = 5_000
WIDTH, HEIGHT, EDGE, RIGHT, TOP, BOTTOM = 900, 366, 72, 8, 48, 46
LEGEND: Final = (
    "浅色：报警持续 / light: it stood · 深色：依据时段 / dark: what satisfied the rule · ● 依据读数 / its readings"
    " · 灰点：同组测点 / grey: others of its group"
)
SHORT_MS: Final = 10_000
"""A picture of less than this tells milliseconds."""
MARKS: Final = 5
"""Values on the scale, about so many."""
FAR: Final = 3.0
"""A limit that is further away than so many times the readings' range or size would flatten them to a line."""
LEVEL_COLOURS: Final = {"red": "#c62828", "orange": "#ef6c00", "yellow": "#f9a825", "blue": "#1565c0"}

OF_CAUSE: Final = ("alarm_id", "rule_id", "device_id", "quantity", "event_id", "active")
"""What is told of the alarm that explains another."""
Curve = list[tuple[int, float]]
"""(epoch ms, value) in order of time."""


def explain_alarm(config: Path, alarm_id: str) -> dict[str, Any]:
    """An alarm with ``evidence``, ``rule`` (texts; None when the rule is gone), ``historic``, ``unit``, ``curve``.

    ``explained_by``: of the alarm that explains it (``cause_id``) what ``OF_CAUSE`` names, or None.

    Raises:
        UnknownIdError: there is no such alarm, or several begin so.
        ConfigurationError, UnavailableError: no site, or no engine has run there.
    """
    site = load_site(config)
    with open_desk(config) as desk:
        alarm = desk.get_alarm(alarm_id)
        cause = desk.get_alarm(alarm["cause_id"]) if alarm["cause_id"] else None
    told = orjson.loads(alarm.pop("detail") or b"{}")
    try:
        rule = RuleSet.load(site.config.rule_files).info().get(alarm["rule_id"])
    except ConfigurationError:  # the files may be under the pen; the alarm speaks for itself
        rule = None
    end = alarm["cleared_at"] or max(alarm["detected_at"], alarm["raised_at"])
    unit, curve = _around(site.data, alarm["point"], alarm["raised_at"] - BEFORE_MS, end + AFTER_MS)
    return with_times(alarm) | {
        "historic": is_historic(alarm),
        "explained_by": None if cause is None else {name: cause[name] for name in OF_CAUSE},
        "evidence": told,
        "rule": None if rule is None else {name: getattr(rule, name) for name in rule.__slots__},
        "unit": unit,
        "curve": curve,
        "span": [alarm["raised_at"], alarm["cleared_at"]],
    }


def _around(data: Path, point: int, start: int, end: int) -> tuple[str | None, Curve]:
    """A point's unit and readings of a span; of more than ``ROWS_MAX`` the least and the greatest of each stretch."""
    rows = (
        "FROM readings_raw WHERE point = ? AND value IS NOT NULL "
        "AND ts BETWEEN epoch_ms(?::BIGINT)::TIMESTAMPTZ AND epoch_ms(?::BIGINT)::TIMESTAMPTZ"
    )
    asked = [point, start, end]
    try:
        with closing(open_catalog(data)) as db:
            found = db.execute(f"SELECT epoch_ms(ts), value {rows} ORDER BY ts LIMIT {ROWS_MAX + 1}", asked).fetchall()
            if len(found) > ROWS_MAX:
                stretch = max(1, 2 * (end - start) // ROWS_MAX)
                found = db.execute(
                    "SELECT unnest([epoch_ms(arg_min(ts, value)), epoch_ms(arg_max(ts, value))]), "
                    f"unnest([min(value), max(value)]) {rows} GROUP BY epoch_ms(ts) // {stretch}",
                    asked,
                ).fetchall()
            unit = db.execute("SELECT unit FROM points WHERE point = ?", [point]).fetchone()
            return unit[0] if unit else None, sorted({(int(at), float(value)) for at, value in found})
    except ConfigurationError:  # nothing was published yet
        return None, []


def draw(told: dict[str, Any], path: Path, zone: tzinfo) -> None:
    """Write ``picture`` to a file.

    Raises:
        ConfigurationError: it cannot be written, or ends as another kind of picture does.
    """
    if path.suffix.lower() != ".svg":
        remedy = "end it in .svg"
        raise ConfigurationError([Problem("command line", "--picture", f"{path} is none of ours", remedy)])
    written(path, "--picture", lambda: path.write_text(picture(told, zone), "utf-8"))


def picture(told: dict[str, Any], zone: tzinfo) -> str:
    """The alarm as SVG: the readings, the limit, the window that satisfied the rule, and how long the alarm stood.

    Its times are those of the site's clock, as everything an operator sees.
    """
    evidence: dict[str, Any] = told["evidence"]
    own = [(int(at), float(value)) for _, at, value in evidence.get("readings", ()) if value is not None]
    beside = [
        (int(at), float(value))
        for other in evidence.get("others", ())
        for _, at, value in other["readings"]
        if value is not None and other["quantity"] == told["quantity"]
    ]
    curve: Curve = sorted({*map(tuple, told["curve"]), *own})
    raised, cleared = told["span"]
    times = [at for at, _ in (*curve, *beside)] + [raised, cleared or raised]
    limit = evidence.get("params", {}).get("limit")
    values = [value for _, value in (*curve, *beside)] or [limit or 0.0]
    low, high = min(values), max(values)
    if limit is not None and abs(limit - (low + high) / 2) <= FAR * max(high - low, abs(high), 1e-9):
        low, high = min(low, limit), max(high, limit)
    scale = _Scale(min(times), max(times), low, high, zone)
    colour = LEVEL_COLOURS[told["level"]]
    shapes = [
        scale.band(raised, cleared or scale.end, colour, 0.12),
        scale.band(evidence.get("from", raised), evidence.get("to", raised), colour, 0.35),
        f"<polyline points='{' '.join(scale.at(*one) for one in curve)}' fill='none' stroke='#37474f'/>",
        *(f"<circle cx='{scale.x(at):.1f}' cy='{scale.y(v):.1f}' r='2.5' fill='#90a4ae'/>" for at, v in beside),
        *(f"<circle cx='{scale.x(at):.1f}' cy='{scale.y(v):.1f}' r='3.5' fill='{colour}'/>" for at, v in own),
    ]
    if limit is not None:
        shapes.append(scale.limit(limit, colour))
    rule, clock = told["rule"], scale.clock
    name = f"{rule['title_zh']} / {rule['title_en']}" if rule else told["rule_id"]
    unit = f" ({told['unit']})" if told["unit"] else ""
    about = (
        f"{told['rule_id']} v{told['rule_version']} · {told['level']} · {told['device_id']}/{told['quantity']}{unit}"
    )
    about += f" · {clock(raised)} → {'…' if cleared is None else clock(cleared)} · {zone}"
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' font-family='sans-serif' "
        "font-size='12'>"
        f"<rect width='{WIDTH}' height='{HEIGHT}' fill='white'/>"
        f"<text x='8' y='18' font-size='14'>{escape(name)}</text><text x='8' y='36'>{escape(about)}</text>"
        f"{''.join([*scale.labels(), *shapes])}"
        f"<text x='{EDGE}' y='{HEIGHT - 6}' fill='#607d8b'>{LEGEND}</text></svg>"
    )


class _Scale:
    """Times and values to places in the picture."""

    def __init__(self, start: int, end: int, low: float, high: float, zone: tzinfo) -> None:
        self.zone = zone
        self.start, self.end = start, max(end, start + 1)
        room = (high - low) * 0.08 or max(abs(high), 1.0) * 0.08
        self.low, self.high = low - room, high + room

    def x(self, at: int) -> float:
        return EDGE + (min(max(at, self.start), self.end) - self.start) / (self.end - self.start) * (
            WIDTH - EDGE - RIGHT
        )

    def y(self, value: float) -> float:
        return TOP + (self.high - value) / (self.high - self.low) * (HEIGHT - TOP - BOTTOM)

    def at(self, at: int, value: float) -> str:
        return f"{self.x(at):.1f},{self.y(value):.1f}"

    def band(self, start: int, end: int, colour: str, opacity: float) -> str:
        x = self.x(start)
        width = max(self.x(end) - x, 2.0)
        size = f"x='{x:.1f}' y='{TOP}' width='{width:.1f}' height='{HEIGHT - TOP - BOTTOM}'"
        return f"<rect {size} fill='{colour}' opacity='{opacity}'/>"

    def marks(self) -> Sequence[float]:
        """Round values for people: steps of 1, 2 or 5 times a power of ten."""
        rough = (self.high - self.low) / MARKS
        size = 10.0 ** math.floor(math.log10(rough))
        step = next(size * k for k in (1, 2, 5, 10) if size * k >= rough)
        return [k * step for k in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]

    def limit(self, limit: float, colour: str) -> str:
        """A dashed line where the limit is, or words where it is outside of the picture."""
        if not self.low <= limit <= self.high:
            where = "above" if limit > self.high else "below"
            return f"<text x='{WIDTH - 4}' y='{TOP + 14}' text-anchor='end'>limit {limit:g} ({where})</text>"
        y = self.y(limit)
        line = f"<path d='M{EDGE},{y:.1f}H{WIDTH - RIGHT}' stroke='{colour}' stroke-dasharray='5'/>"
        return f"{line}<text x='{WIDTH - 4}' y='{y - 4:.1f}' text-anchor='end'>limit {limit:g}</text>"

    def labels(self) -> Sequence[str]:
        times = [(self.start, "start"), ((self.start + self.end) // 2, "middle"), (self.end, "end")]
        return [
            *(
                f"<path d='M{EDGE},{self.y(v):.1f}H{WIDTH - RIGHT}' stroke='#cfd8dc' stroke-width='0.5'/>"
                for v in self.marks()
            ),
            *(f"<text x='{EDGE - 6}' y='{self.y(v) + 4:.0f}' text-anchor='end'>{v:.4g}</text>" for v in self.marks()),
            *(
                f"<text x='{self.x(at):.0f}' y='{HEIGHT - 26}' text-anchor='{anchor}'>{self.clock(at)}</text>"
                for at, anchor in times
            ),
        ]

    def clock(self, at: int) -> str:
        """A time on the site's clock."""
        text = f"{datetime.fromtimestamp(at / 1000, self.zone):%m-%d %H:%M:%S.%f}"
        return text[:-3] if self.end - self.start < SHORT_MS else text[:-7]
