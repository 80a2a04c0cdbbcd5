"""The judgement of one parsed object: rows, or the reason why not. The slow twin of the kernel's third step.

Order (contract, section 4; the first that applies is the reason): malformed payload (found by the parsers), unknown
device, unknown quantity, not a number, out of span, future timestamp, too old. Within one reason the first key counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ingest.payload import faults, units
from ingest.payload.faults import Fault
from lifeline.core import limits
from lifeline.core.schema import Flag, Quality, Reason

if TYPE_CHECKING:
    from ingest.payload.index import PointIndex


@dataclass(frozen=True, slots=True)
class Value:
    """One value of an object as it was sent."""

    quantity: str
    number: float
    """NaN for null; unused when ``wrong`` is set."""
    wrong: str | None = None
    """What stands there when it is not a finite number, for the detail."""
    unit: str | None = None
    """The unit it is sent in; None: the registry's."""
    optional: bool = False
    """Left out where the registry does not know the quantity (a text beside the numbers of a foreign device)."""
    short: str | None = None
    """Another name, for a registry that does not know the first."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One well-formed object: who, when, what."""

    device: str
    ts: int
    values: list[Value]
    seq: int | None = None
    quality: int = Quality.GOOD
    has_time: bool = True
    late: bool = False
    """The sender says that it comes late, however old it is."""
    start: int = 0
    length: int | None = None
    """Its bytes within the payload, as in ``Fault``."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits of one batch: event times from ``ts_min`` to ``ts_max`` (epoch ms), sizes in bytes and objects."""

    received_at: int
    ts_min: int
    ts_max: int
    payload_bytes_max: int = limits.PACKET_BYTES_MAX
    objects_max: int = limits.PACK_OBJECTS_MAX


@dataclass(frozen=True, slots=True)
class Row:
    """One accepted reading."""

    point: int
    ts: int
    value: float
    seq: int
    quality: int
    flags: int


def judge(candidate: Candidate, index: PointIndex, bounds: Bounds, remedy: str, *, retained: bool) -> list[Row] | Fault:
    """The rows of an object in the order of points, or the one reason against it.

    The order of its keys means nothing (RFC 8259, 4), so rules must not depend on it.

    Args:
        candidate: what a parser made of the bytes.
        index: the registry's names.
        bounds: limits of this batch.
        remedy: what to do about an unknown name (depends on the registry's policy).
        retained: whether the broker sent it from its retained store.
    """
    if any(value.optional for value in candidate.values):
        candidate = _asked(candidate, index)
        if not candidate.values:
            return []
    rows = _resolve(candidate, index, remedy)
    if isinstance(rows, Fault):
        return rows
    numbers = _numbers(candidate, index, rows)
    if isinstance(numbers, Fault):
        return numbers
    ts = candidate.ts
    if ts > bounds.ts_max:
        return _fault(candidate, Reason.future_timestamp, faults.future_timestamp(ts, bounds.ts_max))
    if ts < bounds.ts_min:
        return _fault(candidate, Reason.too_old, faults.too_old(ts, bounds.ts_min))
    flags = (Flag.RETAINED if retained else 0) | (Flag.NO_SEQ if candidate.seq is None else 0)
    flags |= 0 if candidate.has_time else Flag.NO_TIME
    age = bounds.received_at - ts
    judged = [
        Row(
            index.point(row),
            ts,
            number,
            candidate.seq or 0,
            candidate.quality,
            int(flags | (Flag.LATE if candidate.late or age > index.late_ms(row) else 0)),
        )
        for row, number in zip(rows, numbers, strict=True)
    ]
    return sorted(judged, key=lambda row: row.point)


def _fault(candidate: Candidate, reason: Reason, detail: str) -> Fault:
    return Fault(reason, detail, len(candidate.values), candidate.start, candidate.length)


def _asked(candidate: Candidate, index: PointIndex) -> Candidate:
    """Without the optional values that the registry does not ask for; an unknown device asks for none."""
    device = index.device(candidate.device)
    if device is None:
        return candidate if any(not v.optional for v in candidate.values) else replace(candidate, values=[])
    kept = [v for v in candidate.values if not v.optional or _row(v, device, index) is not None]
    return replace(candidate, values=kept)


def _row(value: Value, device: int, index: PointIndex) -> int | None:
    """The index's row of a value, by its name or by its other name."""
    row = index.row(device, value.quantity)
    return index.row(device, value.short) if row is None and value.short is not None else row


def _resolve(candidate: Candidate, index: PointIndex, remedy: str) -> list[int] | Fault:
    """The index's row of every value."""
    device = index.device(candidate.device)
    if device is None:
        return _fault(candidate, Reason.unknown_device, faults.unknown_device(candidate.device, remedy))
    rows: list[int] = []
    for value in candidate.values:
        row = _row(value, device, index)
        if row is None:
            detail = faults.unknown_quantity(candidate.device, value.quantity, remedy)
            return _fault(candidate, Reason.unknown_quantity, detail)
        rows.append(row)
    return rows


def _numbers(candidate: Candidate, index: PointIndex, rows: list[int]) -> list[float] | Fault:
    """Every value in its point's unit and within its span."""
    for value in candidate.values:
        if value.wrong is not None:
            return _fault(candidate, Reason.not_a_number, faults.not_a_number(value.quantity, value.wrong))
    numbers: list[float] = []
    for row, value in zip(rows, candidate.values, strict=True):
        number = value.number
        if value.unit is not None:
            target = index.unit(row)
            converted = units.convert(number, value.unit, target)
            if converted is None:
                detail = faults.no_conversion(value.quantity, value.unit, target)
                return _fault(candidate, Reason.malformed_payload, detail)
            if not math.isfinite(converted) and not math.isnan(number):
                found = f"{number!r} {faults.quote(value.unit)}"
                return _fault(candidate, Reason.not_a_number, faults.not_a_number(value.quantity, found))
            number = converted
        low, high = index.span(row)
        if number < low or number > high:
            detail = faults.out_of_span(value.quantity, number, (low, high))
            return _fault(candidate, Reason.out_of_span, detail)
        numbers.append(number)
    return numbers
