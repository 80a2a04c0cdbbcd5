"""Frames of CJ/T 188 in a run of bytes, and the fields of a meter's reply.

    FE… 68 T A0…A6 C L  DI DI SER data…  CS 16        CS: the sum of all bytes from 68 on, mod 256

Rules
- Numbers are BCD, low byte first: the hexadecimal digits of the reversed bytes are the decimal digits.
- Every byte belongs to a frame or to a preamble (FE). What does not is named as a fault with its place; the frames
  beside it are read. After a broken frame the search goes on only where a frame can begin: after FE, or after an end
  (16), so that bytes inside of a broken frame are not taken for another one.
- Layouts are those of data identifier 901F: 22 bytes for water and gas meters, 46 for heat meters.

Sources: frames that vendors' tools and drivers publish (the tests have them, with their checksums), in agreement with
each other on order, widths and decimals; the table of unit codes of CJ/T 188. The standard itself is not free.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import tzinfo

START: Final = 0x68
END: Final = 0x16
PREAMBLE: Final = 0xFE
HEAD: Final = 11
"""Bytes before the data: 68, type, seven of address, control code, length."""

READ_REPLY: Final = 0x81
FAILED: Final = 0x40
"""Bit of the control code: the meter could not do what was asked."""
METER_DATA: Final = frozenset({b"\x1f\x90", b"\x90\x1f"})
"""901F: the edition of 2018 sends the low byte first, that of 2004 the high byte; meters of both do either."""

UNITS: Final[dict[int, tuple[str, int]]] = {
    0x01: ("J", 1),
    0x02: ("Wh", 1),
    0x05: ("kWh", 1),
    0x08: ("MWh", 1),
    0x0A: ("MWh", 100),
    0x0B: ("kJ", 1),
    0x0E: ("MJ", 1),
    0x11: ("GJ", 1),
    0x13: ("GJ", 100),
    0x14: ("W", 1),
    0x17: ("kW", 1),
    0x1A: ("MW", 1),
    0x29: ("L", 1),
    0x2C: ("m3", 1),
    0x32: ("L/h", 1),
    0x35: ("m3/h", 1),
}
"""Unit code to (unit, times)."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame whose checksum is right. ``start`` is the place of its 68, ``data`` follows the length byte."""

    start: int
    kind: int
    address: str
    control: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Broken:
    """Bytes from ``start`` that are no frame, and why."""

    start: int
    why: str


@dataclass(frozen=True, slots=True)
class Field:
    """A number of a layout: its place in the data, bytes, decimals, and whether a unit code follows."""

    quantity: str
    at: int
    size: int
    decimals: int
    unit: str | None = None
    """The unit where no code follows; None: a unit code follows the number."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The 901F data of a family of meters; ``main`` is the quantity that every such meter has."""

    length: int
    main: str
    fields: tuple[Field, ...]
    clock: int
    status: int


FLOW_METER: Final = Layout(
    22, "volume", (Field("volume", 3, 4, 2), Field("settled_volume", 8, 4, 2)), clock=13, status=20
)
HEAT_METER: Final = Layout(
    46,
    "energy",
    (
        Field("settled_energy", 3, 4, 2),
        Field("energy", 8, 4, 2),
        Field("heat_power", 13, 4, 2),
        Field("flow", 18, 4, 4),
        Field("volume", 23, 4, 2),
        Field("supply_temp", 28, 3, 2, "degC"),
        Field("return_temp", 31, 3, 2, "degC"),
        Field("working_time", 34, 3, 0, "h"),
    ),
    clock=37,
    status=44,
)


def layout_of(kind: int) -> Layout | None:
    """The layout of a meter type (10 to 19 water, 20 to 29 heat, 30 to 39 gas); None for others."""
    return {1: FLOW_METER, 2: HEAT_METER, 3: FLOW_METER}.get(kind >> 4) if kind & 15 <= 9 else None


def split(data: bytes) -> list[Frame | Broken]:
    """All frames of a run of bytes in order, and what is none."""
    found: list[Frame | Broken] = []
    at, end = 0, len(data)
    while at < end:
        if data[at] == PREAMBLE:
            at += 1
            continue
        frame = _frame(data, at)
        found.append(frame)
        at = at + HEAD + len(frame.data) + 2 if isinstance(frame, Frame) else _resume(data, at)
    return found


def _frame(data: bytes, at: int) -> Frame | Broken:
    """The frame that begins here."""
    if data[at] != START:
        return Broken(
            at, f"byte {at} is {data[at]:02X}, not 68: a frame is 68 T A0…A6 C L data CS 16, after FE at most"
        )
    if len(data) - at < HEAD + 2:
        return Broken(at, f"the frame at byte {at} ends after {len(data) - at} bytes, 13 at least; send whole frames")
    length = data[at + HEAD - 1]
    stop = at + HEAD + length
    if stop + 2 > len(data):
        left = len(data) - at
        return Broken(
            at, f"the frame at byte {at} is {HEAD + length + 2} bytes long by its length byte, but {left} came"
        )
    total = sum(data[at:stop]) & 0xFF
    if data[stop] != total:
        return Broken(
            at,
            f"the frame at byte {at} has checksum {data[stop]:02X}, its bytes add up to {total:02X}: it was damaged on"
            " the way; check cable, baud rate and parity between gateway and meter",
        )
    if data[stop + 1] != END:
        return Broken(at, f"the frame at byte {at} ends with {data[stop + 1]:02X}, not 16")
    return Frame(at, data[at + 1], data[at + 2 : at + 9][::-1].hex().upper(), data[at + 9], data[at + HEAD : stop])


def _resume(data: bytes, at: int) -> int:
    """Where a frame may begin behind a broken one: at a preamble, or at a 68 behind an end."""
    for i in range(at + 1, len(data)):
        if data[i] == PREAMBLE or (data[i] == START and data[i - 1] == END):
            return i
    return len(data)


def number(data: bytes, field: Field) -> float | str:
    """The number of a field (NaN: the meter sends FF, it has none), or what stands there instead."""
    raw = data[field.at : field.at + field.size]
    digits = raw[::-1].hex()
    if digits.isdigit():
        return int(digits) / float(10**field.decimals)
    return math.nan if digits.strip("f") == "" else f"{raw.hex(' ').upper()}, which is no BCD,"


def clock(data: bytes, layout: Layout, zone: tzinfo) -> datetime | None:
    """The meter's clock: seconds, minutes, hours, day, month, year low byte first; None when it shows no time."""
    digits = data[layout.clock : layout.clock + 7][::-1].hex()
    if not digits.isdigit():
        return None
    month, day, hour, minute, second = (int(digits[i : i + 2]) for i in range(4, 14, 2))
    try:
        return datetime(int(digits[:4]), month, day, hour, minute, second, tzinfo=zone)
    except ValueError:
        return None
