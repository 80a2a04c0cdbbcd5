"""CJ/T 188 replies of water, heat and gas meters, as gateways hand them on.

A message is frames as bytes, as hexadecimal digits, as base64, or a JSON document with such texts under a key that
``TEXT_KEYS`` names, at any depth; several frames in one message are several objects.

Device: the address, high byte first as on the meter's plate, fourteen hexadecimal digits (maker's code, then number).
Quantities (the registry says which are wanted; only the meter's main register must be there):

    water, gas   volume, settled_volume
    heat         energy, settled_energy, heat_power, flow, volume, supply_temp, return_temp, working_time
    all          valve (0 open, 1 closed, 3 abnormal), battery_low (0, 1): the lowest three bits of the status word

Time: the meter's clock in the site's zone; where it shows none, the receive time, flagged. No sequence number: SER
counts the questions of the gateway. Requests and replies that carry no reading (addresses, writing) are passed over; a
reply in which the meter refuses is ``malformed_payload``. Layouts and sources: ``cjt188_frames``.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, Final

from ingest.payload.cjt188_frames import (
    FAILED,
    METER_DATA,
    READ_REPLY,
    UNITS,
    Broken,
    Field,
    Frame,
    clock,
    layout_of,
    number,
    split,
)
from ingest.payload.documents import malformed
from ingest.payload.faults import Fault, quote
from ingest.payload.judge import Candidate, Value
from ingest.payload.mapping import load
from lifeline.core.schema import Reason

if TYPE_CHECKING:
    from ingest.payload.cjt188_frames import Layout
    from ingest.payload.judge import Bounds
    from lifeline.core.errors import Problem
    from lifeline.core.registry import Registry

TEXT_KEYS: Final = frozenset(["data", "payload", "frame", "frames", "hex", "raw", "rawdata", "appdata", "frm_payload"])
"""Keys, in lower case, under which texts are frames."""

_HEX: Final = re.compile(r"[0-9A-Fa-f\s,:-]*")
_GAPS: Final = re.compile(r"[\s,:-]+")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)


class Cjt188:
    """A ``families.Family``. ``zone`` is that of the meters' clocks."""

    def __init__(self, zone: tzinfo = UTC) -> None:
        self._zone = zone

    def check(self, registry: Registry) -> list[Problem]:  # noqa: ARG002
        """Nothing to check: units come with the frames and are judged there."""
        return []

    def parse(self, topic: str, payload: bytes, bounds: Bounds) -> list[Candidate | Fault]:  # noqa: ARG002
        """One object a frame with a reading."""
        runs = _runs(payload, bounds)
        if isinstance(runs, Fault):
            return [runs]
        found: list[Candidate | Fault] = []
        frames = 0
        for run in runs:
            if isinstance(run, Fault):
                found.append(run)
                continue
            for frame in split(run):
                frames += 1
                if frames > bounds.objects_max:
                    detail = f"more than {bounds.objects_max} frames in one message; send smaller packs"
                    return [Fault(Reason.oversized, detail)]
                item = malformed(frame.why) if isinstance(frame, Broken) else self._reading(frame, bounds)
                if item is not None:
                    found.append(item)
        if not frames and not found:
            return [malformed("no frame in the message; a frame is 68 T A0…A6 C L data CS 16")]
        return found

    def _reading(self, frame: Frame, bounds: Bounds) -> Candidate | Fault | None:
        """The object of one frame; None when it is no reply with data."""
        who = f"meter {frame.address}"
        if frame.control & FAILED:
            state = frame.data[3:].hex(" ").upper() or "none"
            return malformed(f"{who} refuses (control code {frame.control:02X}, status {state}); look at the meter")
        if frame.control != READ_REPLY:
            return None
        if frame.data[:2] not in METER_DATA:
            sent = frame.data[:2].hex().upper() or "none"
            return malformed(f"{who}: data identifier {sent} is not read, only 901F; let the gateway ask for 901F")
        layout = layout_of(frame.kind)
        if layout is None:
            return malformed(f"{who}: type {frame.kind:02X} is none of water (10), heat (20) and gas (30)")
        if len(frame.data) != layout.length:
            return malformed(
                f"{who}: 901F of type {frame.kind:02X} has {len(frame.data)} bytes, {layout.length} are known; "
                "a maker's own layout needs a mapping in the gateway"
            )
        return self._candidate(frame, layout, who, bounds)

    def _candidate(self, frame: Frame, layout: Layout, who: str, bounds: Bounds) -> Candidate | Fault:
        data = frame.data
        values = []
        for field in layout.fields:
            value = _value(data, field, optional=field.quantity != layout.main)
            if value.wrong is not None and not value.optional:
                return malformed(
                    f"{who}: {quote(value.quantity)} is {value.wrong} and cannot be read; look at the meter"
                )
            values.append(value)
        status = data[layout.status]
        values += [
            Value("valve", float(status & 3), optional=True),
            Value("battery_low", float(status >> 2 & 1), optional=True),
        ]
        moment = clock(data, layout, self._zone)
        if moment is None:
            return Candidate(frame.address, bounds.received_at, values, has_time=False)
        return Candidate(frame.address, (moment - _EPOCH) // _MS, values)


def _value(data: bytes, field: Field, *, optional: bool) -> Value:
    found = number(data, field)
    if isinstance(found, str):
        return Value(field.quantity, math.nan, found, optional=optional)
    if field.unit is not None:
        return Value(field.quantity, found, unit=field.unit, optional=optional)
    code = data[field.at + field.size]
    unit = UNITS.get(code)
    if unit is not None:
        return Value(field.quantity, found * unit[1], unit=unit[0], optional=optional)
    if math.isnan(found):
        return Value(field.quantity, found, optional=optional)
    return Value(field.quantity, math.nan, f"in the unit {code:02X}, which CJ/T 188 does not name,", optional=optional)


def _runs(payload: bytes, bounds: Bounds) -> list[bytes | Fault] | Fault:
    """The runs of bytes of a message, whatever they are wrapped in."""
    if payload.lstrip()[:1] in (b"{", b"[", b'"'):
        document = load(payload, bounds)
        if isinstance(document, Fault):
            return document
        found: list[bytes | Fault] = []
        _gather(document, found, "the message")
        if not found:
            return malformed(
                f"no text under any of the keys {', '.join(sorted(TEXT_KEYS))}; send frames under one of them"
            )
        return found
    try:
        run = _bytes_of(payload.decode("ascii"))
    except UnicodeDecodeError:
        run = None
    return [payload if run is None else run]


def _bytes_of(text: str) -> bytes | None:
    """Hexadecimal digits (with or without gaps) or base64 as bytes; None when it is neither."""
    if _HEX.fullmatch(text):
        digits = _GAPS.sub("", text)
        return bytes.fromhex(digits) if digits and len(digits) % 2 == 0 else None
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None


def _gather(document: Any, found: list[bytes | Fault], key: str | None) -> None:
    """Every text under one of ``TEXT_KEYS`` (``key``, else None) as bytes, or why it is none."""
    if isinstance(document, dict):
        for name, inner in document.items():
            _gather(inner, found, name if name.lower() in TEXT_KEYS else None)
    elif isinstance(document, list):
        for inner in document:
            _gather(inner, found, key)
    elif key is not None and isinstance(document, str):
        run = _bytes_of(document)
        found.append(malformed(f"{quote(key)} is neither hexadecimal nor base64; send frames") if run is None else run)
