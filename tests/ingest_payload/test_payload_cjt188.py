"""CJ/T 188: frames that vendors' tools publish, an encoder of our own, and damage of every kind."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.messages import Messages
from ingest.payload.cjt188 import Cjt188
from ingest.payload.faults import Fault
from ingest.payload.judge import Bounds, Candidate
from ingest.payload.routes import PayloadDecoder
from lifeline.core.registry import Registry
from lifeline.core.schema import Flag, Reason

NOW = 1_795_000_000_000
BOUNDS = Bounds(NOW, 0, 2 * NOW)
ZONE = ZoneInfo("Asia/Shanghai")
FAMILY = Cjt188(ZONE)

WATER = "68 10 44 33 22 11 00 33 78 81 16 1F 90 00 00 77 66 55 2C 00 77 66 55 2C 31 01 22 11 05 15 20 21 84 13 16"
WATER_2004 = (
    "FE FE FE FE 68 10 18 02 12 20 20 00 00 81 16 90 1F 00 00 02 00 00 2C 00 02 00 00 2C" + " 00" * 8 + " FF 85 16"
)
UNSET = "FE FE 68 10 45 41 10 05 15 33 78 81 16 90 1F AA 00 59 59 00 2C FF FF FF FF 2C FF FF FF FF FF FF FF 00 00 C2 16"
HEAT = (
    "68 25 12 19 24 18 27 31 00 81 2E 1F 90 03 11 74 02 00 05 88 27 44 05 05 00 00 00 00 17 00 00 00 00 35"
    " 08 56 71 00 2C 79 26 00 64 26 00 66 47 07 11 52 17 03 09 25 20 00 05 2A 16"
)
LOW_BATTERY = (
    "68 20 51 21 31 17 00 11 11 81 2E 1F 90 12 00 00 00 00 05 00 00 00 00 05 00 00 00 00 14 00 00 00 00 35"
    " 19 00 00 00 2C 76 30 00 68 30 00 73 02 00 32 41 11 12 09 07 20 04 00 E9 16"
)
"""Replies of real meters, from the sources of tools and drivers that print them as examples (facts, not code)."""


def parse(payload: bytes | str) -> list[Any]:
    return FAMILY.parse("meters/1", payload.encode() if isinstance(payload, str) else payload, BOUNDS)


def readings(item: Candidate) -> dict[str, tuple[float, str | None]]:
    return {value.quantity: (value.number, value.unit) for value in item.values}


def seal(frame: bytes) -> bytes:
    return frame + bytes([sum(frame) % 256, 0x16])


def test_a_water_meter_says_its_register_clock_and_closed_valve() -> None:
    """The frame that most Chinese introductions explain, with the checksum that its bytes have."""
    (meter,) = parse(WATER)

    assert meter.device == "78330011223344"
    assert meter.ts == int(datetime(2015, 5, 11, 22, 1, 31, tzinfo=ZONE).timestamp() * 1000)
    assert readings(meter) == {
        "volume": (556677.0, "m3"),
        "settled_volume": (556677.0, "m3"),
        "valve": (1.0, None),
        "battery_low": (0.0, None),
    }


def test_the_same_frame_with_the_checksum_that_introductions_print_is_refused() -> None:
    """Many copies on the web end in 08; the bytes add up to 13."""
    (fault,) = parse("FE FE FE FE " + WATER.replace("84 13 16", "84 08 16"))

    assert fault.reason == Reason.malformed_payload
    assert "at byte 4 has checksum 08, its bytes add up to 13" in fault.detail


def test_the_edition_of_2004_sends_the_identifier_high_byte_first_and_a_meter_may_have_no_clock() -> None:
    (meter,) = parse(WATER_2004)

    assert (meter.device, meter.ts, meter.has_time) == ("00002020120218", NOW, False)
    assert readings(meter)["volume"] == (2.0, "m3")


def test_ff_is_no_value_and_no_clock() -> None:
    (meter,) = parse(UNSET)

    assert readings(meter)["volume"] == (5959.0, "m3")
    assert math.isnan(readings(meter)["settled_volume"][0])
    assert not meter.has_time


def test_heat_meters_say_energy_power_flow_and_temperatures() -> None:
    heat, low = parse(bytes.fromhex(HEAT) + b"\xfe\xfe" + bytes.fromhex(LOW_BATTERY))

    assert readings(heat) == {
        "settled_energy": (274.11, "kWh"),
        "energy": (54427.88, "kWh"),
        "heat_power": (0.0, "kW"),
        "flow": (0.0, "m3/h"),
        "volume": (7156.08, "m3"),
        "supply_temp": (26.79, "degC"),
        "return_temp": (26.64, "degC"),
        "working_time": (74766.0, "h"),
        "valve": (0.0, None),
        "battery_low": (0.0, None),
    }
    assert readings(low)["battery_low"] == (1.0, None)
    assert readings(low)["heat_power"] == (0.0, "W")


@pytest.mark.parametrize(
    "wrapped",
    [
        bytes.fromhex(WATER),
        WATER.encode(),
        WATER.replace(" ", "").lower().encode(),
        base64.b64encode(bytes.fromhex(WATER)),
        json.dumps({"dev": "gw-1", "Data": WATER}).encode(),
        json.dumps({"payload": {"APPdata": base64.b64encode(bytes.fromhex(WATER)).decode()}}).encode(),
        json.dumps({"frames": [WATER.replace(" ", "")]}).encode(),
        json.dumps([WATER]).encode(),
    ],
)
def test_frames_come_as_bytes_hexadecimal_base64_and_within_json(wrapped: bytes) -> None:
    assert [item.device for item in parse(wrapped)] == ["78330011223344"]


@pytest.mark.parametrize(
    ("payload", "detail"),
    [
        (b"", "no frame"),
        (b"{}", "no text under any of the keys"),
        (b"[1", "not JSON"),
        (json.dumps({"data": "68 1"}).encode(), "neither hexadecimal nor base64"),
        (WATER[:-6].encode(), "35 bytes long by its length byte, but 33 came"),
        (WATER[:20].encode(), "ends after 7 bytes"),
        (WATER[:-2].encode() + b"17", "ends with 17, not 16"),
        (b"AT+OK", "byte 0 is 41, not 68"),
        (seal(bytes.fromhex("6810 44332211003378 C1 03 1F9000")), "refuses (control code C1"),
        (seal(bytes.fromhex("6810 44332211003378 81 03 20D100")), "data identifier 20D1 is not read"),
        (seal(bytes.fromhex("6840 44332211003378 81 03 1F9000")), "type 40 is none of"),
        (seal(bytes.fromhex("6810 44332211003378 81 09 1F9000 007766552C00")), "has 9 bytes, 22 are known"),
        (seal(bytes.fromhex(WATER)[:-2].replace(b"\x00\x77\x66\x55\x2c", b"\x00\x77\x6a\x55\x2c")), "is no BCD"),
        (seal(bytes.fromhex(WATER)[:-2].replace(b"\x2c", b"\x2d", 1)), "in the unit 2D, which"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(payload: bytes, detail: str) -> None:
    faults = [item for item in parse(payload) if isinstance(item, Fault)]

    assert [fault.reason for fault in faults] == [Reason.malformed_payload]
    assert detail in faults[0].detail


def test_requests_and_other_replies_are_passed_over() -> None:
    """The gateway's question, and the answers to "who are you" and to writing."""
    asked = "FE FE FE FE 68 10 44 33 22 11 00 33 78 01 03 1F 90 00 80 16"
    told = "FE FE FE FE 68 10 18 02 12 20 20 00 00 83 03 81 0A 00 F5 16"

    assert parse(asked) == parse(told) == []


def test_a_broken_frame_does_not_take_its_neighbours_with_it() -> None:
    broken = bytearray(bytes.fromhex(WATER))
    broken[15] ^= 1
    found = parse(bytes.fromhex(WATER) + bytes(broken) + b"\xfe" + bytes.fromhex(UNSET))

    assert [type(item).__name__ for item in found] == ["Candidate", "Fault", "Candidate"]


def test_frames_inside_of_a_broken_one_are_not_taken_for_real() -> None:
    """A whole good frame may lie in the bytes of another: it is read only where a frame can begin."""
    inner = bytes.fromhex(WATER)
    outer = b"\x68\x10" + bytes(7) + b"\x81" + bytes([len(inner) + 4]) + b"\x1f\x90\x00\x05" + inner + b"\x00\x16"

    assert all(isinstance(item, Fault) for item in parse(outer))


def test_more_frames_than_allowed_are_one_fault() -> None:
    few = Bounds(NOW, 0, 2 * NOW, objects_max=2)

    assert [f.reason for f in FAMILY.parse("m", bytes.fromhex(WATER) * 3, few)] == [Reason.oversized]  # type: ignore[union-attr]


# --- an encoder that shares nothing with the reader -----------------------------------------------------------------


def bcd(value: int, digits: int) -> bytes:
    """Decimal digits, two a byte, low byte first."""
    text = str(value).rjust(digits, "0")
    pairs = [text[i : i + 2] for i in range(0, digits, 2)]
    return bytes(int(pair[0]) * 16 + int(pair[1]) for pair in reversed(pairs))


Meter = dict[str, Any]
big = st.integers(0, 99_999_999)
small = st.integers(0, 999_999)
moment = st.datetimes(datetime(2004, 1, 1), datetime(2099, 12, 31)).map(lambda t: t.replace(microsecond=0))  # noqa: DTZ001
flow_meters = st.fixed_dictionaries(
    {
        "kind": st.sampled_from([0x10, 0x11, 0x12, 0x13, 0x30]),
        "number": st.integers(0, 10**14 - 1),
        "volume": big,
        "settled": big,
        "clock": moment,
        "status": st.integers(0, 7),
    }
)
heat_meters = st.fixed_dictionaries(
    {
        "kind": st.sampled_from([0x20, 0x21, 0x22]),
        "number": st.integers(0, 10**14 - 1),
        "fives": st.tuples(big, big, big, big, big),
        "threes": st.tuples(small, small, small),
        "clock": moment,
        "status": st.integers(0, 7),
    }
)
UNIT_OF_HEAT = (0x05, 0x05, 0x17, 0x35, 0x2C)


def encode(meter: Meter, *, low_first: bool = True) -> bytes:
    """A reply as CJ/T 188 has it."""
    data = (b"\x1f\x90" if low_first else b"\x90\x1f") + b"\x01"
    if meter["kind"] // 16 == 2:
        for value, unit in zip(meter["fives"], UNIT_OF_HEAT, strict=True):
            data += bcd(value, 8) + bytes([unit])
        for value in meter["threes"]:
            data += bcd(value, 6)
    else:
        data += bcd(meter["volume"], 8) + b"\x2c" + bcd(meter["settled"], 8) + b"\x2c"
    t: datetime = meter["clock"]
    data += b"".join(bcd(n, 2) for n in (t.second, t.minute, t.hour, t.day, t.month)) + bcd(t.year, 4)
    data += bytes([meter["status"], 0])
    return seal(b"\x68" + bytes([meter["kind"]]) + bcd(meter["number"], 14) + b"\x81" + bytes([len(data)]) + data)


def expected(meter: Meter) -> tuple[str, int, dict[str, float]]:
    if meter["kind"] // 16 == 2:
        names = ("settled_energy", "energy", "heat_power", "flow", "volume")
        decimals = (100, 100, 100, 10_000, 100)
        values = {n: v / d for n, v, d in zip(names, meter["fives"], decimals, strict=True)}
        values |= zip(("supply_temp", "return_temp"), (v / 100 for v in meter["threes"][:2]), strict=True)
        values["working_time"] = float(meter["threes"][2])
    else:
        values = {"volume": meter["volume"] / 100, "settled_volume": meter["settled"] / 100}
    values |= {"valve": float(meter["status"] % 4), "battery_low": float(meter["status"] // 4)}
    ts = int(meter["clock"].replace(tzinfo=ZONE).timestamp()) * 1000
    return str(meter["number"]).rjust(14, "0"), ts, values


def plain(item: Any) -> tuple[str, int, dict[str, float]]:
    return item.device, item.ts, {value.quantity: value.number for value in item.values}


@settings(max_examples=40)
@given(st.lists(st.tuples(flow_meters | heat_meters, st.booleans(), st.integers(0, 4)), min_size=1, max_size=5))
def test_what_was_encoded_is_read_again(sent: list[tuple[Meter, bool, int]]) -> None:
    message = b"".join(b"\xfe" * fe + encode(meter, low_first=low) for meter, low, fe in sent)

    assert [plain(item) for item in parse(message)] == [expected(meter) for meter, _, _ in sent]


@settings(max_examples=60)
@given(flow_meters | heat_meters, st.data(), st.sampled_from(["bytes", "hex", "base64", "json"]))
def test_no_flipped_bit_and_no_cut_ever_gives_another_reading(meter: Meter, data: st.DataObject, form: str) -> None:
    """One wrong bit always changes the sum; what is left is a fault, nothing, or the reading that was sent."""
    whole = b"\xfe\xfe" + encode(meter)
    message = {
        "bytes": whole,
        "hex": whole.hex().encode(),
        "base64": base64.b64encode(whole),
        "json": json.dumps({"data": whole.hex(" ")}).encode(),
    }[form]
    if data.draw(st.booleans()):
        damaged = bytearray(message)
        damaged[data.draw(st.integers(0, len(message) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    else:
        damaged = bytearray(message[: data.draw(st.integers(0, len(message) - 1))])

    found = parse(bytes(damaged))

    assert all(isinstance(item, Fault) or plain(item) == expected(meter) for item in found)


@settings(max_examples=60)
@given(
    st.binary(max_size=80)
    | st.lists(st.sampled_from([b"\x68", b"\xfe", b"\x16", b"\x10\x81", b"{", b"6"])).map(b"".join)
)
def test_no_bytes_break_it(payload: bytes) -> None:
    for item in parse(payload):
        assert isinstance(item, Fault)


# --- through the decoder ------------------------------------------------------------------------------------------


def test_only_what_the_registry_asks_for_is_kept_in_its_unit(
    registry_of: Callable[..., Registry],
    source_of: type,
    messages_of: Callable[..., Messages],
    plain_of_batch: Callable[..., Any],
) -> None:
    """Energy in GJ from kWh; the fields without a point are left out, a meter without any is an unknown device."""
    rows = [
        ("00312718241912", "energy", "GJ", 0.0, 9_999_999.0, 3600.0),
        ("00312718241912", "supply_temp", "degC", 0.0, 150.0, 3600.0),
        ("78331505104145", "volume", "m3", 0.0, 99_999.0, 86_400.0),
    ]
    decoder = PayloadDecoder(source_of(registry_of(rows)), [("#", "cjt188")], too_old_ms=NOW)
    batch = decoder.decode(messages_of([bytes.fromhex(HEAT), UNSET.encode(), WATER.encode()]), NOW, "city")
    _, rejects = plain_of_batch(batch)

    assert batch.readings.point.tolist() == [0, 1, 2]
    assert batch.readings.value.tolist() == pytest.approx([54427.88 * 0.0036, 26.79, 5959.0])
    assert batch.readings.flags[2] & Flag.NO_TIME
    assert [reject["reason"] for reject in rejects] == ["unknown_device"]


def test_an_unknown_meter_is_registered_with_its_main_register_only(
    registry_of: Callable[..., Registry], source_of: type, messages_of: Callable[..., Messages]
) -> None:
    source = source_of(registry_of([("x", "y", None, None, None, None)]))
    decoder = PayloadDecoder(source, [("#", "cjt188")], unknown="register")
    batch = decoder.decode(messages_of([UNSET.encode()], b"city/meters"), NOW, "city")

    assert source.registered == [("78331505104145", "volume", "")]
    assert batch.readings.value.tolist() == [5959.0]
