"""What the platform families (ChirpStack, The Things Stack, Huawei IoTDA, Alink) have in common: JSON documents.

Rules
- A platform hands on whatever a device's decoder made: numbers beside texts, states and nested objects. Numbers are
  readings; true and false are 1 and 0; nested objects are flattened with a dot (``battery.voltage``).
- Texts and arrays are no readings. They are left out where the registry does not ask for them, and ``not_a_number``
  where it does (``Value.optional``).
- A time that stands there and cannot be read is ``malformed_payload``: it is never replaced in silence.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from ingest.payload.faults import Fault, quote
from ingest.payload.judge import Candidate, Value
from ingest.payload.mapping import load, value_of
from ingest.payload.native import shown
from lifeline.core import limits
from lifeline.core.schema import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ingest.payload.judge import Bounds

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)


class WrongTimeError(ValueError):
    """A time stands there and cannot be read."""


def malformed(detail: str, values: int = 0) -> Fault:
    """The message, or an object of it, is not what its family says."""
    return Fault(Reason.malformed_payload, detail, values)


def document(payload: bytes, bounds: Bounds) -> dict[str, Any] | Fault:
    """The payload as a JSON object, or why not."""
    found = load(payload, bounds)
    if isinstance(found, (Fault, dict)):
        return found
    return malformed(f"the message is {shown(found)}, not an object" if found is not None else "the message is null")


def at(where: object, *keys: str) -> Any:
    """What stands under these keys, one in the other; None when nothing does."""
    for key in keys:
        where = where.get(key) if isinstance(where, dict) else None
    return where


def values_of(fields: Mapping[str, object], prefix: str = "") -> list[Value]:
    """The readings of a decoded object, nested objects flattened."""
    found: list[Value] = []
    for key, sent in fields.items():
        name = f"{prefix}{key}"
        if isinstance(sent, dict):
            found += values_of(sent, f"{name}.")
        elif isinstance(sent, bool):
            found.append(Value(name, float(sent)))
        elif isinstance(sent, (str, list)):
            found.append(Value(name, float("nan"), shown(sent), optional=True))
        else:
            found.append(value_of(name, sent, None))
    return found


def epoch_ms(sent: object) -> int:
    """An ISO 8601 text or epoch milliseconds as epoch ms; a text without an offset is UTC.

    Raises:
        WrongTimeError: it is neither.
    """
    if type(sent) is int:
        return sent
    if isinstance(sent, str):
        try:
            moment = datetime.fromisoformat(sent)
        except ValueError:
            pass
        else:
            return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // _MS
    raise WrongTimeError(f"the time {quote(str(sent))} is neither ISO 8601 nor epoch milliseconds")


def candidate(
    device: object, sent_time: object, values: list[Value], bounds: Bounds, seq: object = None
) -> Candidate | Fault:
    """An object of a platform; without a time the receive time counts, flagged. ``seq``: 0 to 2^32-1, or no number."""
    if not isinstance(device, str) or not device:
        return malformed("no device id; the platform always names one: check the topic filter", len(values))
    if len(device.encode("utf-8", "surrogatepass")) > limits.DEVICE_ID_BYTES_MAX:
        return malformed(f"the device id is longer than {limits.DEVICE_ID_BYTES_MAX} bytes", len(values))
    if all(value.optional for value in values):
        return malformed("no number among the decoded values; check the device's codec", len(values))
    number = seq if type(seq) is int and 0 <= seq <= 0xFFFFFFFF else None
    if sent_time is None:
        return Candidate(device, bounds.received_at, values, number, has_time=False)
    try:
        return Candidate(device, epoch_ms(sent_time), values, number)
    except (WrongTimeError, OverflowError) as error:
        return malformed(f"{error}; correct the device or the platform", len(values))
