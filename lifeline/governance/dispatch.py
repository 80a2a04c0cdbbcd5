"""Who handles an event, and why: a responsibility matrix, read by what names most, weighed by load; pure.

    duty = utility × asset kind × area × mode → unit (and co-units); ``*`` means any

    1. duties that fit the event; the most exact ones first: mode, then the smaller area, then asset kind, then utility
    2. among equals the unit with the smallest share of its capacity in use (open events ÷ capacity)
    3. who is full is passed over for the next less exact one; if all are full, the first choice gets it all the same
    4. an event whose alarms lie in several districts or utilities: the unit of most alarms leads, the others join
    5. nobody fits: the next centre up has it on the table. Never nobody.

A route says all that in words, and a person may overrule it; the proposal stays on record.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from lifeline.core.areas import CENTRES, by_digits
from lifeline.core.principal import area_prefixes
from lifeline.governance.actor import covers
from lifeline.governance.deadlines import centre_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Row = dict[str, Any]

ANY: Final = "*"
CAPACITY: Final = 50
"""Open events that a unit without a stated capacity can carry."""
CANDIDATES_SHOWN: Final = 10


class Duty(NamedTuple):
    """One row of the matrix."""

    utility: str
    asset_kind: str
    area_code: str
    unit: str
    co_units: tuple[str, ...] = ()
    mode: str = ANY

    def fits(self, row: Mapping[str, Any]) -> bool:
        """Whether the unit answers for such an event."""
        return (
            self.utility in {ANY, row["utility"]}
            and self.asset_kind in {ANY, row["asset_kind"]}
            and self.mode in {ANY, row["mode"]}
            and (self.area_code == ANY or covers(self.area_code, row))
        )

    @property
    def exactness(self) -> tuple[int, int, int, int]:
        """How much it names; more wins."""
        area = 0 if self.area_code == ANY else len(area_prefixes(self.area_code)[0])
        return int(self.mode != ANY), area, int(self.asset_kind != ANY), int(self.utility != ANY)


@dataclass(frozen=True)
class Matrix:
    """Duties, and how much each unit can carry."""

    duties: tuple[Duty, ...] = ()
    capacity: Mapping[str, int] = field(default_factory=dict)

    def groups(self, row: Mapping[str, Any]) -> list[list[Duty]]:
        """Duties that fit, most exact first, equals together."""
        fitting: dict[tuple[int, ...], list[Duty]] = {}
        for duty in self.duties:
            if duty.fits(row):
                fitting.setdefault(duty.exactness, []).append(duty)
        return [fitting[key] for key in sorted(fitting, reverse=True)]


@dataclass(frozen=True, slots=True)
class Route:
    """A proposal: ``unit`` leads, ``co_units`` join; ``why`` for people, ``routing`` for the record."""

    unit: str
    co_units: tuple[str, ...]
    centre: str | None
    routing: Row


def involved_units(matrix: Matrix, row: Row, places: Iterable[Row], load: Mapping[str, int]) -> list[str]:
    """Units of the other places (rows like the event's, of another district or utility) that an event touches."""
    units = []
    for place in places:
        chosen, _ = choose(matrix, row | place, load)
        if chosen is not None:
            units.append(chosen.unit)
    return units


def choose(matrix: Matrix, row: Mapping[str, Any], load: Mapping[str, int]) -> tuple[Duty | None, str]:
    """The duty that gets an event, and the word why: ``exact``, ``load`` (an equal had more), ``full``, ``none``."""
    first: Duty | None = None
    for group in matrix.groups(row):
        ordered = sorted(group, key=lambda duty: (_share(matrix, duty.unit, load), duty.unit))
        best = ordered[0]
        first = first or best
        if _share(matrix, best.unit, load) < 1:
            if best is not first:
                return best, "full"
            return best, "load" if len({duty.unit for duty in group}) > 1 else "exact"
    return first, "none" if first is None else "all-full"


def route(
    matrix: Matrix,
    row: Row,
    places: Sequence[Row],
    load: Mapping[str, int],
    names: Mapping[str, str],
) -> Route:
    """The proposal for an event.

    ``places``: (district, area_code, utility, alarms) of its alarms, most alarms first; ``load``: open events by unit;
    ``names`` of areas.
    """
    leading = row | {name: value for name, value in places[0].items() if name != "alarms"} if places else row
    chosen, reason = choose(matrix, leading, load)
    seen = [] if chosen is None else [*chosen.co_units, *involved_units(matrix, row, places[1:], load)]
    centre = centre_for(row, "township")
    if chosen is None:
        centre = _next_centre(row)
        unit = _centre_name(centre, names)
        zh, en = f"无责任单位匹配，由上级中心受理：{unit}", f"no duty fits; the next centre up takes it: {unit}"
        return Route(unit, (), centre, {"by": "fallback", "zh": zh, "en": en, "unit": unit})
    unit = chosen.unit
    co_units = tuple(dict.fromkeys(other for other in seen if other != unit))
    zh, en = _words(matrix, chosen, reason, load)
    if len(places) > 1:
        zh += f"；涉及 {len(places)} 处（跨区或跨专业），由报警最多处牵头"
        en += f"; alarms at {len(places)} places (districts or utilities): the one with most leads"
    candidates = list(dict.fromkeys(duty.unit for group in matrix.groups(leading) for duty in group))
    routing: Row = {
        "by": "matrix",
        "zh": zh,
        "en": en,
        "unit": unit,
        "co_units": list(co_units),
        "duty": chosen._asdict(),
        "candidates": [
            {"unit": one, "open": load.get(one, 0), "capacity": matrix.capacity.get(one, CAPACITY)}
            for one in candidates[:CANDIDATES_SHOWN]
        ],
    }
    return Route(unit, co_units, centre, routing)


def _words(matrix: Matrix, duty: Duty, reason: str, load: Mapping[str, int]) -> tuple[str, str]:
    at = f"{duty.utility}/{duty.asset_kind}/{duty.area_code}"
    carried = f"{load.get(duty.unit, 0)}/{matrix.capacity.get(duty.unit, CAPACITY)}"
    zh = {
        "exact": "责任矩阵唯一匹配",
        "load": "同等责任单位中负荷最低",
        "full": "更精确的责任单位已满负荷，由次级责任单位承担",
        "all-full": "责任单位均已满负荷，仍由首选单位承担",
    }[reason]
    en = {
        "exact": "the only unit with the most exact duty",
        "load": "the least loaded of the units with the most exact duty",
        "full": "units with a more exact duty are full",
        "all-full": "every unit is full; the first choice gets it all the same",
    }[reason]
    return f"{zh}（{at}，在办 {carried}）", f"{en} ({at}, open {carried})"


def _share(matrix: Matrix, unit: str, load: Mapping[str, int]) -> float:
    return load.get(unit, 0) / max(matrix.capacity.get(unit, CAPACITY), 1)


def _next_centre(row: Mapping[str, Any]) -> str | None:
    """The lowest centre above the one that has the event, a district's at least."""
    levels = {centre_for(row, level): level for level in reversed(CENTRES)}
    level = levels.get(row["centre"])
    above = CENTRES[min(CENTRES.index(level) + 1, len(CENTRES) - 1)] if level else "district"
    return centre_for(row, above) or by_digits(row["area_code"], "city")


def _centre_name(centre: str | None, names: Mapping[str, str]) -> str:
    if centre is None:
        return "市运行管理中心 / city operation centre"
    name = names.get(centre)
    return f"{name}运行管理中心 / operation centre {centre}" if name else f"运行管理中心 / operation centre {centre}"
