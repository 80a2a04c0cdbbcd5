"""``unknown = "register"``: names that the registry does not know yet are added to it, within a bound.

Only what is otherwise good is added: a well-formed object of finite numbers within the time bounds. Names must be
plain: a flood of random bytes is not a registry.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ingest.payload import native
from ingest.payload.faults import Fault
from lifeline.core import limits
from lifeline.core.schema import UTILITIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ingest.messages import Messages
    from ingest.payload.families import Family
    from ingest.payload.judge import Bounds, Candidate
    from lifeline.core.registry import Registry, RegistrySource

_QUANTITY: Final = re.compile(rf"[A-Za-z_][A-Za-z0-9_.%/-]{{0,{limits.QUANTITY_BYTES_MAX - 1}}}", re.ASCII)


class Registrar:
    """Adds points through a ``RegistrySource``, at most ``points_max`` of them."""

    def __init__(self, source: RegistrySource, points_max: int) -> None:
        self._source = source
        self._points_max = points_max
        self._added = 0
        self.remedy = (
            f"it cannot be registered by itself (at most {points_max} points, {limits.POINTS_PER_DEVICE_MAX} a device,"
            " plain names, good values): add it to the registry"
        )

    def register(
        self,
        messages: Messages,
        chosen: Mapping[int, Family | None],
        bounds: Bounds,
        parsed: Mapping[int, list[Candidate | Fault]],
    ) -> bool:
        """Register what is new in these messages (None: native family), in their order; whether anything was.

        Those in ``parsed`` have been parsed already.

        Raises:
            UnavailableError: the ledger could not be written; nothing was added.
        """
        registry = self._source.current()
        room = min(self._points_max - self._added, limits.POINTS_MAX - len(registry))
        if room <= 0:
            return False
        points = _Known(registry)
        wanted: list[tuple[str, str, str]] = []
        for message, family in sorted(chosen.items()):
            topic = messages.topic(message).decode("utf-8", "replace")
            found = parsed.get(message)
            if found is None:
                payload = messages.payload(message)
                found = native.parse(payload, bounds) if family is None else family.parse(topic, payload, bounds)
            utility = _utility(topic)
            for item in found:
                if isinstance(item, Fault) or not _good(item, bounds):
                    continue
                new = points.new(item)
                if new and len(wanted) + len(new) <= room:
                    points.add(item.device, new)
                    wanted += [(item.device, quantity, utility) for quantity in new]
        if not wanted:
            return False
        self._source.register(wanted)
        self._added += len(wanted)
        return True


class _Known:
    """Which quantities a device has, with those just wanted."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._device_of: dict[str, int] | None = None
        self._quantities: dict[str, set[str]] = {}

    def new(self, item: Candidate) -> list[str]:
        """The object's quantities that its device has not, or nothing when it would have too many."""
        known = self._of(item.device)
        new = [
            value.quantity
            for value in item.values
            if value.quantity not in known and value.short not in known and not value.optional
        ]
        return new if len(known) + len(new) <= limits.POINTS_PER_DEVICE_MAX else []

    def add(self, device: str, quantities: list[str]) -> None:
        """These are known from now on."""
        self._of(device).update(quantities)

    def _of(self, device: str) -> set[str]:
        if device not in self._quantities:
            if self._device_of is None:
                self._device_of = {name: i for i, name in enumerate(self._registry.devices)}
            self._quantities[device] = self._registered(self._device_of.get(device))
        return self._quantities[device]

    def _registered(self, device: int | None) -> set[str]:
        r = self._registry
        if device is None:
            return set()
        points = r.device_points[r.device_ptr[device] : r.device_ptr[device + 1]]
        return {r.quantities[q] for q in r.point_quantity[points].tolist()}


def _utility(topic: str) -> str:
    """The second level of the topic, when it is a utility."""
    levels = topic.split("/", 2)
    return levels[1] if len(levels) > 1 and levels[1] in UTILITIES else ""


def _good(item: Candidate, bounds: Bounds) -> bool:
    """Whether an object deserves to be registered."""
    return (
        bounds.ts_min <= item.ts <= bounds.ts_max
        and item.device.isprintable()
        and len(item.device.encode()) <= limits.DEVICE_ID_BYTES_MAX
        and all(
            value.optional or (value.wrong is None and _QUANTITY.fullmatch(value.quantity) is not None)
            for value in item.values
        )
    )
