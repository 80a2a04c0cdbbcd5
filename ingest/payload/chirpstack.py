"""ChirpStack v4 (and v3) uplinks: the codec's ``object`` is what was measured.

Topic ``application/{id}/device/{devEui}/event/up``. Device: ``deviceInfo.devEui`` in lower case (v3: ``devEUI``);
time: ``time``; sequence: ``fCnt``. v3 may carry the object as a text, ``objectJSON``. The event ``status`` carries
``batteryLevel`` (%) and ``margin`` (dB) as quantities ``battery`` and ``margin``. Other events (join, ack, txack, log,
location, integration) carry no readings and are passed over.
Source: ChirpStack v4 integration events (``UplinkEvent``), domain facts section 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ingest.payload.documents import at, candidate, document, malformed, values_of
from ingest.payload.faults import Fault
from ingest.payload.mapping import value_of

if TYPE_CHECKING:
    from ingest.payload.judge import Bounds, Candidate
    from lifeline.core.errors import Problem
    from lifeline.core.registry import Registry

SILENT: Final = frozenset({"join", "ack", "txack", "log", "location", "integration", "error", "tx"})
"""Events without readings."""
BATTERY_UNKNOWN: Final = 255
"""LoRaWAN 1.0.3, DevStatusAns: the device cannot measure its battery."""


class ChirpStack:
    """A ``families.Family``."""

    def check(self, registry: Registry) -> list[Problem]:  # noqa: ARG002
        """Nothing to check: uplinks carry no units."""
        return []

    def parse(self, topic: str, payload: bytes, bounds: Bounds) -> list[Candidate | Fault]:
        """The one object of an uplink."""
        event = topic.rsplit("/", 1)[-1] if "/event/" in topic else "up"
        if event in SILENT:
            return []
        message = document(payload, bounds)
        if isinstance(message, Fault):
            return [message]
        device = at(message, "deviceInfo", "devEui") or at(message, "devEUI")
        device = device.lower() if isinstance(device, str) else device
        if event == "status":
            return [candidate(device, message.get("time"), _status(message), bounds)]
        decoded: Any = message.get("object")
        if decoded is None and isinstance(message.get("objectJSON"), str):
            decoded = document(message["objectJSON"].encode("utf-8", "surrogatepass"), bounds)
            if isinstance(decoded, Fault):
                return [decoded]
        if not isinstance(decoded, dict):
            return [malformed("an uplink without object: give the device profile a payload codec")]
        return [candidate(device, message.get("time"), values_of(decoded), bounds, message.get("fCnt"))]


def _status(message: dict[str, Any]) -> list[Any]:
    known = message.get("batteryLevel") not in (None, BATTERY_UNKNOWN) and not message.get("batteryLevelUnavailable")
    values = [value_of("battery", message["batteryLevel"], None)] if known else []
    return [*values, value_of("margin", message.get("margin"), None)]
