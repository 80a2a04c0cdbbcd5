"""Where a point is: its device, asset, zone, gateway and area, for grouping alarms and naming events.

Cheap at any size: nothing is copied at construction, one Arrow ``take`` of the points asked for serves a whole batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from lifeline.core.areas import AreaTree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lifeline.core.alarm import RuleInfo
    from lifeline.core.registry import Registry

_COLUMNS: Final = ("device_id", "quantity", "utility", "area_code", "asset_id", "zone", "gateway", "lon", "lat", "kind")
SINGLE_MAX: Final = 8
"""Points that are looked up one by one: a ``take`` of many costs as much as twelve of them."""
_KINDS: Final = {"area": "area_code", "asset": "asset_id", "zone": "zone", "gateway": "gateway"}


class Place(NamedTuple):
    """A point's row of the registry, as far as the queue cares, in the order of ``_COLUMNS``; then the areas around."""

    device_id: str
    quantity: str
    utility: str | None = None
    area_code: str | None = None
    asset_id: str | None = None
    zone: str | None = None
    gateway: str | None = None
    lon: float | None = None
    lat: float | None = None
    asset_kind: str | None = None
    district: str | None = None
    township: str | None = None

    def key(self, kind: str) -> tuple[str, str]:
        """What "one place" is for a rule of place ``kind``: (kind, name).

        Where the registry knows none of that kind, the device: grouping less is safe, grouping strangers is not.
        """
        column = _KINDS.get(kind)
        name: str | None = getattr(self, column) if column else None
        return (kind, name) if name else ("device", self.device_id)


class PlaceLookup:
    """Places by point, from the newest registry: ``PlaceLookup(source.current)``.

    The registry only grows, so it is asked again only when a point lies beyond the one in hand.
    """

    def __init__(self, current: Callable[[], Registry]) -> None:
        self._current = current
        self._registry: Registry | None = None
        self._areas = AreaTree(())

    def of(self, points: Iterable[int]) -> dict[int, Place]:
        """The place of each point. One that no registry knows gets a name made of its number: never dropped."""
        wanted = sorted(set(points))
        if not wanted:
            return {}
        registry = self._reaching(wanted[-1])
        known = [point for point in wanted if 0 <= point < len(registry)]
        if len(known) <= SINGLE_MAX:
            found: Iterable[tuple[Any, ...]] = [registry.row(point, _COLUMNS) for point in known]
        else:
            rows = registry.rows(known, _COLUMNS)
            found = zip(*(rows[name].to_pylist() for name in _COLUMNS), strict=True)
        places = {
            point: Place._make((*row, *self._areas.around(row[3]))) for point, row in zip(known, found, strict=True)
        }
        for point in wanted:
            places.setdefault(point, Place(f"point-{point}", "unknown"))
        return places

    def district(self, area_code: str | None) -> str | None:
        """The district of an area, as the newest registry that was asked knows it."""
        return self._areas.around(area_code)[0]

    def title(self, rule: RuleInfo, place: Place) -> str:
        """``中文 / English · place · area``, in the area's name where the registry has one."""
        parts = [f"{rule.title_zh} / {rule.title_en}", place.key(rule.place)[1]]
        if place.area_code:
            area = self._areas.name(place.area_code)
            parts = [parts[0], area] if parts[1] == place.area_code else [*parts, area]
        return " · ".join(parts)

    def _reaching(self, point: int) -> Registry:
        if self._registry is None or point >= len(self._registry):
            self._registry = self._current()
            areas = self._registry.areas.select(("area_code", "level", "name", "parent_code"))
            self._areas = AreaTree(zip(*(column.to_pylist() for column in areas.columns), strict=True))
        return self._registry
