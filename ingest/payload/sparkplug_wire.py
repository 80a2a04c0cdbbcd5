"""The bytes of a Sparkplug B payload (``sparkplug_b.proto`` of Eclipse Tahu): what a reading needs of them, no more.

    Payload    1 timestamp  2 metrics…  3 seq
    Metric     1 name  2 alias  3 timestamp  4 datatype  5 is_historical  7 is_null  9 properties
               10 int (uint32)  11 long (uint64)  12 float  13 double  14 boolean
               15 string  16 bytes  17 dataset  18 template
    Properties 1 keys…  2 values… {3 int  4 long  8 string}

Rules
- Protocol Buffers' own: unknown fields are skipped, so is a known one of another wire type; the last of a repeated
  single field counts, and the last value of the oneof; integers are cut to 32 or 64 bits. Groups are an error: nobody
  sends them.
- Everything is bounded by the payload: no field is believed longer than the bytes that are there, and nothing recurses.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5

INT, LONG, FLOAT, DOUBLE, BOOLEAN, STRING, BYTES, DATASET, TEMPLATE = range(10, 19)
"""Field numbers of the oneof."""
NUMERIC: Final = frozenset({INT, LONG, FLOAT, DOUBLE, BOOLEAN})
OTHER: Final = {STRING: "a string", BYTES: "bytes", DATASET: "a data set", TEMPLATE: "a template"}

_U32: Final = 0xFFFFFFFF
_U64: Final = 0xFFFFFFFFFFFFFFFF
_FLOAT: Final = struct.Struct("<f")
_DOUBLE: Final = struct.Struct("<d")


class WireError(ValueError):
    """The bytes are no Sparkplug payload; the message says where."""


@dataclass(slots=True)
class Metric:
    """One metric as sent. ``kind`` is the field of its value (0: none); ``text`` of a string value, cut."""

    name: str = ""
    alias: int | None = None
    timestamp: int | None = None
    datatype: int = 0
    historical: bool = False
    null: bool = False
    kind: int = 0
    integer: int = 0
    real: float = 0.0
    unit: str | None = None
    """Property ``engUnit``."""
    quality: int | None = None
    """Property ``Quality``: 0 bad, 192 good, 500 stale."""


@dataclass(slots=True)
class Payload:
    """A payload; ``seq`` and ``timestamp`` are None when they were not sent."""

    timestamp: int | None = None
    seq: int | None = None
    metrics: list[Metric] = field(default_factory=list)


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """(value cut to 64 bits, place behind it)."""
    value = shift = 0
    for place in range(at, min(end, at + 10)):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _U64, place + 1
        shift += 7
    raise WireError(f"the number at byte {at} does not end")


def _next(data: bytes, at: int, end: int) -> tuple[int, int, int, int]:
    """(field number, wire type, number or start of the content, place behind it) of the field that begins here."""
    tag, place = _varint(data, at, end)
    number, kind = tag >> 3 & 0x1FFFFFFF, tag & 7
    if number == 0:
        raise WireError(f"the field at byte {at} has the number 0")
    if kind == VARINT:
        value, place = _varint(data, place, end)
        return number, kind, value, place
    if kind == LENGTH:
        size, place = _varint(data, place, end)
        start, place = place, place + size
    elif kind in (FIXED64, FIXED32):
        start, place = place, place + (8 if kind == FIXED64 else 4)
    else:
        raise WireError(f"the field at byte {at} has the wire type {kind}, which Sparkplug does not use")
    if place > end:
        raise WireError(f"field {number} at byte {at} ends behind byte {end}, where the bytes end")
    return number, kind, start, place


def _text(data: bytes, start: int, end: int, what: str) -> str:
    try:
        return data[start:end].decode("utf-8")
    except UnicodeDecodeError as error:
        raise WireError(f"{what} at byte {start} is not UTF-8") from error


def read(data: bytes, metrics_max: int) -> Payload:
    """The payload.

    Raises:
        WireError: the bytes are none, or hold more than ``metrics_max`` metrics.
    """
    payload = Payload()
    at, end = 0, len(data)
    while at < end:
        number, kind, value, stop = _next(data, at, end)
        if number == 2 and kind == LENGTH:
            if len(payload.metrics) == metrics_max:
                raise WireError(f"more than {metrics_max} metrics")
            payload.metrics.append(_metric(data, value, stop))
        elif number == 1 and kind == VARINT:
            payload.timestamp = value
        elif number == 3 and kind == VARINT:
            payload.seq = value
        at = stop
    return payload


def _metric(data: bytes, at: int, end: int) -> Metric:
    metric = Metric()
    keys: list[str] = []
    values: list[int | str | None] = []
    while at < end:
        number, kind, value, stop = _next(data, at, end)
        if kind == VARINT:
            _number(metric, number, value)
        elif kind == LENGTH and number == 1:
            metric.name = _text(data, value, stop, "a metric's name")
        elif kind == LENGTH and number == 9:
            _properties(data, value, stop, keys, values)
        elif kind == LENGTH and number in OTHER:
            metric.kind = number
        elif kind == FIXED32 and number == FLOAT:
            metric.kind, metric.real = FLOAT, _FLOAT.unpack_from(data, value)[0]
        elif kind == FIXED64 and number == DOUBLE:
            metric.kind, metric.real = DOUBLE, _DOUBLE.unpack_from(data, value)[0]
        at = stop
    if keys:
        _apply(metric, dict(zip(keys, values, strict=False)))
    return metric


def _apply(metric: Metric, properties: dict[str, int | str | None]) -> None:
    unit, quality = properties.get("engUnit"), properties.get("Quality")
    if isinstance(unit, str):
        metric.unit = unit or None
    if isinstance(quality, int):
        metric.quality = quality


def _number(metric: Metric, number: int, value: int) -> None:
    """A field of wire type varint."""
    match number:
        case 2:
            metric.alias = value
        case 3:
            metric.timestamp = value
        case 4:
            metric.datatype = value & _U32
        case 5:
            metric.historical = value != 0
        case 7:
            metric.null = value != 0
        case 10:  # INT
            metric.kind, metric.integer = INT, value & _U32
        case 11:  # LONG
            metric.kind, metric.integer = LONG, value
        case 14:  # BOOLEAN
            metric.kind, metric.integer = BOOLEAN, int(value != 0)


def _properties(data: bytes, at: int, end: int, keys: list[str], values: list[int | str | None]) -> None:
    """Keys and values of a property set, each in its own order."""
    while at < end:
        number, kind, start, stop = _next(data, at, end)
        if number == 1 and kind == LENGTH:
            keys.append(_text(data, start, stop, "a property's name"))
        elif number == 2 and kind == LENGTH:
            values.append(_property(data, start, stop))
        at = stop


def _property(data: bytes, at: int, end: int) -> int | str | None:
    """An integer or text of a property; None for what is neither."""
    found: int | str | None = None
    while at < end:
        number, kind, value, stop = _next(data, at, end)
        if kind == VARINT and number in (3, 4):
            found = value & _U32 if number == 3 else value
        elif kind == LENGTH and number == 8:
            found = _text(data, value, stop, "a property's text")
        elif 3 <= number <= 10:
            found = None
        at = stop
    return found


# --- the one thing that is written ----------------------------------------------------------------------------------


def _written(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def rebirth(now_ms: int) -> bytes:
    """The NCMD payload that asks an edge node to be born again (Sparkplug 3.0, 6.4.24: a timestamp and no seq)."""
    name = b"Node Control/Rebirth"
    stamp = _written(now_ms)
    metric = b"\x0a" + bytes([len(name)]) + name + b"\x18" + stamp + b"\x20\x0b" + b"\x70\x01"
    return b"\x08" + stamp + b"\x12" + bytes([len(metric)]) + metric
