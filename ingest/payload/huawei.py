"""Huawei Cloud IoTDA property reports, of a device or of a gateway's children.

    $oc/devices/{id}/sys/properties/report                       {"services": [SERVICE, …]}
    $oc/devices/{id}/sys/gateway/sub_devices/properties/report   {"devices": [{"device_id", "services": [SERVICE, …]}]}
    SERVICE                                                      {"service_id", "properties": {…}, "event_time"}

Quantity: the property's name; a property called ``value`` takes the name of its service. ``event_time`` is
``yyyyMMdd'T'HHmmss'Z'`` or ISO 8601 with milliseconds, in UTC; missing: the receive time, flagged. No sequence number.
Source: IoTDA device API (topics and body of ``properties/report``), domain facts section 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ingest.payload.documents import candidate, document, malformed, values_of
from ingest.payload.faults import Fault

if TYPE_CHECKING:
    from ingest.payload.judge import Bounds, Candidate
    from lifeline.core.errors import Problem
    from lifeline.core.registry import Registry


class Huawei:
    """A ``families.Family``."""

    def check(self, registry: Registry) -> list[Problem]:  # noqa: ARG002
        """Nothing to check: reports carry no units."""
        return []

    def parse(self, topic: str, payload: bytes, bounds: Bounds) -> list[Candidate | Fault]:
        """One object a service of a device."""
        message = document(payload, bounds)
        if isinstance(message, Fault):
            return [message]
        levels = topic.split("/")
        device = levels[2] if levels[:2] == ["$oc", "devices"] and len(levels) > 3 else message.get("device_id")
        children = message.get("devices")
        reports = (
            children
            if isinstance(children, list)
            else [{"device_id": device, "services": message["services"]}]
            if "services" in message
            else None
        )
        if reports is None:
            return [malformed("neither services nor devices; subscribe to …/properties/report")]
        return [found for report in reports for found in _services(report, bounds)]


def _services(report: Any, bounds: Bounds) -> list[Candidate | Fault]:
    """The objects of one device."""
    services = report.get("services") if isinstance(report, dict) else None
    if not isinstance(services, list) or not services:
        return [malformed("a report without services")]
    return [_service(report.get("device_id"), service, bounds) for service in services]


def _service(device: object, service: Any, bounds: Bounds) -> Candidate | Fault:
    properties = service.get("properties") if isinstance(service, dict) else None
    if not isinstance(properties, dict):
        return malformed("a service without properties")
    named = {str(service.get("service_id")) if name == "value" else name: sent for name, sent in properties.items()}
    return candidate(device, service.get("event_time"), values_of(named), bounds)
