"""Alink-style thing models (Alibaba Cloud IoT, OneNET and their many relatives): posted properties.

    /sys/{product}/{device}/thing/event/property/post        {"params": {NAME: VALUE, …}}
    $sys/{product}/{device}/thing/property/post              the same (OneNET)
    …/property/pack/post (gateway)                           {"params": {"properties": {…}, "subDevices": [{"identity":
                                                              {"deviceName"}, "properties": {…}}]}}
    …/property/history/post                                  {"params": [{"identity", "properties": [{…}, …]}]}
    VALUE                                                    a bare value, or {"value": v, "time": epoch ms}

Device: the device's name; quantity: the key as sent (``module:name`` keeps its module). Values of one time are one
object; values without a time take the receive time, flagged. ``id`` numbers requests, not readings: no sequence.
Source: Alink protocol, domain facts section 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ingest.payload.documents import at, candidate, document, malformed, values_of
from ingest.payload.faults import Fault, quote

if TYPE_CHECKING:
    from ingest.payload.judge import Bounds, Candidate
    from lifeline.core.errors import Problem
    from lifeline.core.registry import Registry

TIMED = frozenset({"value", "time"})


class Alink:
    """A ``families.Family``."""

    def check(self, registry: Registry) -> list[Problem]:  # noqa: ARG002
        """Nothing to check: posts carry no units."""
        return []

    def parse(self, topic: str, payload: bytes, bounds: Bounds) -> list[Candidate | Fault]:
        """One object a device and time."""
        levels = topic.strip("/").split("/")
        if len(levels) < 5 or levels[0] not in {"sys", "$sys"}:
            return [malformed(f"the topic {quote(topic)} is not /sys/product/device/thing/…; correct the filter")]
        if levels[-1] != "post":
            return []  # replies, services, events of other kinds
        message = document(payload, bounds)
        if isinstance(message, Fault):
            return [message]
        params = message.get("params")
        found: list[Candidate | Fault] = []
        for device, properties in _reports(levels[2], params):
            found += _objects(device, properties, bounds)
        return found or [malformed("params carries no properties")]


def _reports(own: str, params: Any) -> list[tuple[object, Any]]:
    """(device, properties) of every device of a post."""
    if isinstance(params, list):  # history: each entry one device with several moments
        return [
            (at(entry, "identity", "deviceName") or own, moment)
            for entry in params
            for moment in (at(entry, "properties") if isinstance(at(entry, "properties"), list) else [None])
        ]
    if not isinstance(params, dict):
        return []
    children = params.get("subDevices")
    if not isinstance(children, list):
        return [(own, params)]
    reports: list[tuple[object, Any]] = [(own, params["properties"])] if params.get("properties") else []
    return reports + [(at(child, "identity", "deviceName"), at(child, "properties")) for child in children]


def _objects(device: object, properties: Any, bounds: Bounds) -> list[Candidate | Fault]:
    """A device's values, one object a time."""
    if not isinstance(properties, dict) or not properties:
        return [malformed("properties must be a non-empty object")]
    moments: dict[Any, dict[str, Any]] = {}
    for name, sent in properties.items():
        timed = isinstance(sent, dict) and "value" in sent and set(sent) <= TIMED
        time = sent.get("time") if timed else None
        if isinstance(time, (dict, list)):
            return [malformed(f"the time of {quote(name)} is no number")]
        moments.setdefault(time, {})[name] = sent["value"] if timed else sent
    return [candidate(device, time, values_of(values), bounds) for time, values in moments.items()]
