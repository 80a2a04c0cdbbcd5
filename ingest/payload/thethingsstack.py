"""The Things Stack v3 uplinks: ``uplink_message.decoded_payload`` is what was measured.

Topic ``v3/{application}@{tenant}/devices/{device}/up``. Device: ``end_device_ids.device_id``; time: ``received_at`` of
the uplink, else of the message; sequence: ``f_cnt``. The platform leaves out what is zero, so a missing ``f_cnt`` is 0.
Other messages of a device (join, down/…, service/…, location/…) carry no readings and are passed over.
Source: The Things Stack data formats, domain facts section 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest.payload.documents import at, candidate, document, malformed, values_of
from ingest.payload.faults import Fault

if TYPE_CHECKING:
    from ingest.payload.judge import Bounds, Candidate
    from lifeline.core.errors import Problem
    from lifeline.core.registry import Registry


class TheThingsStack:
    """A ``families.Family``."""

    def check(self, registry: Registry) -> list[Problem]:  # noqa: ARG002
        """Nothing to check: uplinks carry no units."""
        return []

    def parse(self, topic: str, payload: bytes, bounds: Bounds) -> list[Candidate | Fault]:
        """The one object of an uplink."""
        levels = topic.split("/")
        if levels[0] == "v3" and levels[4:] != ["up"]:
            return []
        message = document(payload, bounds)
        if isinstance(message, Fault):
            return [message]
        uplink = message.get("uplink_message")
        if not isinstance(uplink, dict):
            return [malformed("no uplink_message; subscribe to v3/+/devices/+/up")]
        decoded = uplink.get("decoded_payload")
        if not isinstance(decoded, dict):
            return [malformed("an uplink without decoded_payload: give the device a payload formatter")]
        time = uplink.get("received_at", message.get("received_at"))
        device = at(message, "end_device_ids", "device_id")
        return [candidate(device, time, values_of(decoded), bounds, uplink.get("f_cnt", 0))]
