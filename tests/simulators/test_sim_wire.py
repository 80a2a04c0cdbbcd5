"""Packets: judged by an independent parser and by ``json``, and rebuilt by a naive encoder of a few lines."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.faults import FaultSettings
from simulators.fleet import Fleet
from simulators.generator import Generator, Tick
from simulators.kernels.encode import number_size, put_number
from simulators.wire import Encoder, Packets, connect_packet

T0 = 1_795_000_000_000


def parse_publish(data: bytes) -> tuple[str, int, int | None, bytes]:
    """One whole PUBLISH packet by MQTT 3.1.1, 3.3: topic, flags, packet identifier, payload."""
    assert data[0] >> 4 == 3
    flags, length, shift, at = data[0] & 0x0F, 0, 0, 1
    while True:
        byte = data[at]
        length |= (byte & 0x7F) << shift
        shift += 7
        at += 1
        if not byte & 0x80:
            break
    assert byte != 0 or at == 2, "a length must be written in as few bytes as possible"
    assert len(data) == at + length
    (size,) = struct.unpack_from(">H", data, at)
    topic = data[at + 2 : at + 2 + size].decode("utf-8")
    at += 2 + size
    identifier = None
    if flags & 0x06:
        (identifier,) = struct.unpack_from(">H", data, at)
        at += 2
    return topic, flags, identifier, data[at:]


def naive_packet(topic: str, payload: bytes, qos: int, identifier: int) -> bytes:
    body = struct.pack(">H", len(topic)) + topic.encode()
    body += struct.pack(">H", identifier) if qos else b""
    body += payload
    length, left = b"", len(body)
    while True:
        length += bytes([left % 128 | (0x80 if left >= 128 else 0)])
        left //= 128
        if not left:
            return bytes([0x30 | qos << 1]) + length + body


def naive_object(fleet: Fleet, tick: Tick, row: int) -> bytes:
    o = tick.objects
    device = int(o.device[row])
    text = f'{{"id":"{fleet.ids[device]}","seq":{int(o.seq[row])},"ts":{int(o.ts[row])}'
    for i, k in enumerate(range(int(tick.ptr[row]), int(tick.ptr[row + 1]))):
        model = fleet.models[int(fleet.point_model[int(fleet.device_ptr[device]) + i])]
        value = int(tick.scaled[k]) / 10**model.decimals
        text += f',"{model.quantity}":{value:.{model.decimals}f}'
    return (text + "}").encode()


def naive_encode(fleet: Fleet, tick: Tick, shape: str, pack: int, qos: int, first: int) -> list[bytes]:
    rows = range(len(tick.objects))
    groups: list[list[int]] = []
    for row in rows:
        gateway = fleet.device_gateway[tick.objects.device[row]]
        same = groups and fleet.device_gateway[tick.objects.device[groups[-1][0]]] == gateway
        if shape == "gateway" and same and len(groups[-1]) < pack:
            groups[-1].append(row)
        else:
            groups.append([row])
    packets = []
    for i, group in enumerate(groups):
        device = int(tick.objects.device[group[0]])
        texts = [naive_object(fleet, tick, row) for row in group]
        if shape == "gateway":
            topic = f"lifeline/{fleet.utility(device)}/gw/{fleet.gateways[fleet.device_gateway[device]]}"
            payload = b"[" + b",".join(texts) + b"]"
        else:
            topic, payload = f"lifeline/{fleet.utility(device)}/{fleet.ids[device]}", texts[0]
        packets.append(naive_packet(topic, payload, qos, (first + i) % 65535 + 1))
    return packets


def split(packets: Packets) -> list[bytes]:
    return [packets.data[packets.at[i] : packets.at[i + 1]].tobytes() for i in range(len(packets))]


@pytest.mark.parametrize("shape", ["single", "gateway"])
@pytest.mark.parametrize("qos", [0, 1])
def test_encoder_agrees_with_its_twin(small_fleet: Fleet, shape: Any, qos: int) -> None:
    """Three ticks with faults and repeats; packet identifiers run over their end; packs of every length up to 7."""
    generator = Generator(small_fleet, T0, FaultSettings(2000, 60), shape=shape)
    encoder = Encoder(small_fleet, shape, 7, qos)
    for i in range(3):
        tick = generator.tick(4000)
        first = 65_000 + 2000 * i
        packets = encoder.encode(tick.objects, tick.ptr, tick.scaled, first)
        assert split(packets) == naive_encode(small_fleet, tick, shape, 7, qos, first)


@pytest.mark.parametrize("shape", ["single", "gateway"])
def test_every_packet_is_valid_and_holds_exactly_the_values(small_fleet: Fleet, shape: Any) -> None:
    """What an independent reader gets is id, seq, ts and each quantity as the very float that the ledger holds."""
    generator = Generator(small_fleet, T0, FaultSettings(2000, 60), shape=shape)
    tick = generator.tick(10_000)
    packets = Encoder(small_fleet, shape, 20, 1).encode(tick.objects, tick.ptr, tick.scaled)
    points = generator.world.points(tick.objects.device, tick.ptr)
    values = generator.world.decimal(points, tick.scaled)
    row = 0
    for i, data in enumerate(split(packets)):
        topic, flags, identifier, payload = parse_publish(data)
        assert flags == 2
        assert identifier == i + 1
        parsed = json.loads(payload)
        objects = parsed if shape == "gateway" else [parsed]
        assert len(objects) <= 20
        for found in objects:
            device = int(tick.objects.device[row])
            if shape == "single":
                assert topic == f"lifeline/{small_fleet.utility(device)}/{found['id']}"
            else:
                assert topic.endswith("/gw/" + small_fleet.gateways[small_fleet.device_gateway[device]])
            span = slice(int(tick.ptr[row]), int(tick.ptr[row + 1]))
            names = [small_fleet.quantity(int(p)) for p in points[span]]
            expected = {
                "id": small_fleet.ids[device],
                "seq": int(tick.objects.seq[row]),
                "ts": int(tick.objects.ts[row]),
            }
            assert found == expected | dict(zip(names, values[span].tolist(), strict=True))
            row += 1
    assert row == len(tick.objects) > 1900


def test_an_empty_tick_is_no_packet(small_fleet: Fleet) -> None:
    tick = Generator(small_fleet, T0, FaultSettings(0)).tick(10_000)
    objects = tick.objects.take(np.zeros(len(tick.objects), np.bool_))
    empty = Encoder(small_fleet, "gateway", 5, 1).encode(objects, np.zeros(1, np.int64), np.zeros(0, np.int64))

    assert len(empty) == 0
    assert len(empty.data) == 0


@given(st.integers(-(10**17), 10**17), st.integers(0, 6))
@settings(max_examples=200, deadline=None)
def test_numbers_are_json_and_exact(scaled: int, decimals: int) -> None:
    buffer = np.zeros(64, np.uint8)
    size = int(number_size(scaled, decimals))
    end = int(put_number(buffer, 3, scaled, decimals))
    text = buffer[3:end].tobytes().decode()

    assert end - 3 == size
    assert float(json.loads(text)) == float(f"{scaled}e-{decimals}")
    assert text.count(".") == (decimals > 0)


def test_connect_packets_by_hand() -> None:
    """MQTT 3.1.1, 3.1: fixed header, protocol name and level, flags, keep alive, then the texts."""
    assert connect_packet("ab", 60) == b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02ab"
    assert connect_packet("a", 1, "u", "p") == b"\x10\x13\x00\x04MQTT\x04\xc2\x00\x01\x00\x01a\x00\x01u\x00\x01p"
    assert connect_packet("x" * 200, 0)[:3] == b"\x10\xd4\x01"
    with pytest.raises(ValueError, match="user name"):
        connect_packet("a", 1, None, "p")
