"""SenML in JSON (RFC 8428): an array of records with base fields.

Rules
- Base fields (bn, bt, bu, bv, bs) hold from their record on (4.1); ``bver`` above 10, and any unknown label that ends
  in ``_``, refuse the pack (4.4).
- The resolved name is base name + name. With both, the device is the base name without a trailing ``:`` or ``/`` and
  the quantity is the name; with one of them, the last ``:`` or ``/`` parts device and quantity.
- Times below 2^28 are relative to the receive time (4.5.3), in seconds; no time at all is "roughly now": the receive
  time, flagged ``NO_TIME``.
- Numbers only: a record with ``vs``, ``vb`` or ``vd`` is ``not_a_number``; one with nothing but a sum (``s``) too.
- Records of one device and time are one object; a quantity that comes again for the same time (RFC 8428, 5.1.3 has
  such a pack) begins another.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from ingest.payload.faults import Fault, quote
from ingest.payload.judge import Candidate, Value
from ingest.payload.mapping import load, value_of
from lifeline.core import limits
from lifeline.core.schema import Reason

if TYPE_CHECKING:
    from ingest.payload.judge import Bounds
    from lifeline.core.errors import Problem
    from lifeline.core.registry import Registry

VERSION: Final = 10
RELATIVE_S: Final = 2.0**28
"""Times below this are relative to now (RFC 8428, 4.5.3)."""
_NUMBERS: Final = ("bver", "bt", "bv", "bs", "t", "ut", "s")
_TEXTS: Final = ("bn", "bu", "n", "u")
_OTHERS: Final = ("vs", "vb", "vd")


def _malformed(detail: str) -> Fault:
    return Fault(Reason.malformed_payload, detail)


class SenML:
    """A ``families.Family``."""

    def check(self, registry: Registry) -> list[Problem]:  # noqa: ARG002
        """Units come with the records; they are judged there."""
        return []

    def parse(self, topic: str, payload: bytes, bounds: Bounds) -> list[Candidate | Fault]:  # noqa: ARG002, PLR0911
        """All objects of a pack, or its one fault."""
        pack = load(payload, bounds)
        if isinstance(pack, Fault):
            return [pack]
        if not isinstance(pack, list) or not pack:
            return [_malformed("a SenML pack is a non-empty array of records (RFC 8428)")]
        if len(pack) > bounds.objects_max:
            detail = f"more than {bounds.objects_max} records in one pack; send smaller packs"
            return [Fault(Reason.oversized, detail)]
        objects: dict[tuple[tuple[str, int, bool], int], list[Value]] = {}
        times: Counter[tuple[tuple[str, int, bool], str]] = Counter()
        base: dict[str, Any] = {}
        for number, record in enumerate(pack):
            wrong = _wrong(record)
            if wrong:
                return [_malformed(f"record {number}: {wrong}")]
            base |= {key: record[key] for key in ("bn", "bt", "bu", "bv", "bs") if key in record}
            if not any(key in record for key in ("v", "s", *_OTHERS)):
                if "n" in record or "bn" not in record:
                    return [_malformed(f"record {number}: no value; send v")]
                continue  # a record of base fields only
            name = _name(base.get("bn", ""), record.get("n", ""))
            if name is None:
                return [_malformed(f"record {number}: no name of a device and a quantity; send bn and n")]
            try:
                key = (name[0], *_time(base.get("bt"), record.get("t"), bounds.received_at))
            except OverflowError:
                return [_malformed(f"record {number}: the time is beyond any clock")]
            value = _value(name[1], base, record)
            repeat = times[key, value.quantity]
            times[key, value.quantity] += 1
            objects.setdefault((key, repeat), []).append(value)
        return [Candidate(d, ts, values, has_time=told) for ((d, ts, told), _), values in objects.items()]


def _wrong(record: object) -> str | None:
    """What is wrong with the shape of a record."""
    if not isinstance(record, dict):
        return "not an object"
    for key, value in record.items():
        if key in _NUMBERS and (type(value) not in (int, float) or not math.isfinite(_real(value))):
            return f"{key} must be a number"
        if key in _TEXTS and not isinstance(value, str):
            return f"{key} must be a string"
        if key.endswith("_"):
            return f"{quote(key)} must be understood, and is not"
    if record.get("bver", VERSION) > VERSION:
        return f"version {record['bver']!r:.20} is newer than {VERSION}"
    return None


def _real(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _name(base: str, name: str) -> tuple[str, str] | None:
    """(device, quantity)."""
    if base and name:
        device, quantity = base.rstrip(":/"), name
    else:
        whole = base + name
        cut = max(whole.rfind(":"), whole.rfind("/"))
        device, quantity = whole[: max(cut, 0)], whole[cut + 1 :]
    fits = len(device.encode("utf-8", "surrogatepass")) <= limits.DEVICE_ID_BYTES_MAX
    return (device, quantity) if device and quantity and fits else None


def _time(base: float | None, own: float | None, received_at: int) -> tuple[int, bool]:
    """(epoch ms, whether a time was sent)."""
    if base is None and own is None:
        return received_at, False
    seconds = (base or 0) + (own or 0)
    if seconds < RELATIVE_S:
        return received_at + round(seconds * 1000), True
    return round(seconds * 1000), True


def _value(quantity: str, base: dict[str, Any], record: dict[str, Any]) -> Value:
    unit = record.get("u", base.get("bu"))
    if "v" not in record:
        kind = next((key for key in _OTHERS if key in record), "s")
        return Value(quantity, math.nan, f"a record with {kind} and without v", unit)
    value = value_of(quantity, record["v"], unit)
    offset = base.get("bv")
    if offset is None or value.wrong is not None or record["v"] is None:
        return value
    return value_of(quantity, value.number + offset, unit)
