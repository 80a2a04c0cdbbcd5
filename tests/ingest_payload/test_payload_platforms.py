"""Platform families: the shapes their documentation shows, and no bytes that could break them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.payload.alink import Alink
from ingest.payload.chirpstack import ChirpStack
from ingest.payload.families import Family
from ingest.payload.faults import Fault
from ingest.payload.huawei import Huawei
from ingest.payload.judge import Bounds, Candidate
from ingest.payload.thethingsstack import TheThingsStack
from lifeline.core.schema import Reason

NOW = 1_795_000_000_000
BOUNDS = Bounds(NOW, 0, 2 * NOW)

CHIRPSTACK = "application/1/device/0102030405060708/event/up"
TTS = "v3/city@tenant/devices/well-7/up"
HUAWEI = "$oc/devices/D-1/sys/properties/report"
GATEWAY = "$oc/devices/GW-1/sys/gateway/sub_devices/properties/report"
ALINK = "/sys/a1b2/meter-9/thing/event/property/post"
FAMILIES: list[tuple[Family, str]] = [
    (ChirpStack(), CHIRPSTACK),
    (TheThingsStack(), TTS),
    (Huawei(), HUAWEI),
    (Huawei(), GATEWAY),
    (Alink(), ALINK),
]


def parse(family: Family, topic: str, message: object) -> list[Any]:
    return family.parse(topic, message if isinstance(message, bytes) else json.dumps(message).encode(), BOUNDS)


def plain(found: list[Any]) -> list[Any]:
    return [
        (c.device, c.ts if c.has_time else None, c.seq, {v.quantity: v.number for v in c.values if not v.optional})
        for c in found
    ]


def test_a_chirpstack_4_uplink_with_nanoseconds_texts_states_and_nested_objects() -> None:
    uplink = {
        "deduplicationId": "3ac7e3c4-4401-4b8d-9386-a5c902f9202d",
        "time": "2026-11-18T09:20:53.123456789+00:00",
        "deviceInfo": {"applicationId": "17c8", "devEui": "0102030405060708"},
        "fCnt": 6,
        "fPort": 1,
        "object": {"ch4": 1.25, "open": True, "battery": {"voltage": 3.6}, "state": "ok", "log": [1, 2]},
        "rxInfo": [{"rssi": -48}],
    }
    found = parse(ChirpStack(), CHIRPSTACK, uplink)

    assert plain(found) == [
        ("0102030405060708", 1_794_993_653_123, 6, {"ch4": 1.25, "open": 1, "battery.voltage": 3.6})
    ]
    assert [v.quantity for v in found[0].values if v.optional] == ["state", "log"]


def test_a_chirpstack_3_uplink_carries_its_object_as_text() -> None:
    uplink = {"applicationID": "1", "devEUI": "0102030405060708", "fCnt": 6, "objectJSON": '{"temp": 18.5}'}

    assert plain(parse(ChirpStack(), CHIRPSTACK, uplink)) == [("0102030405060708", None, 6, {"temp": 18.5})]


def test_a_chirpstack_status_is_a_reading_and_a_join_is_none() -> None:
    status = {"deviceInfo": {"devEui": "AA"}, "time": "2026-11-18T09:20:53Z", "margin": 10, "batteryLevel": 87.5}
    unknown = {**status, "batteryLevelUnavailable": True}
    topic = CHIRPSTACK.replace("/up", "/status")

    assert plain(parse(ChirpStack(), topic, status)) == [
        ("aa", 1_794_993_653_000, None, {"battery": 87.5, "margin": 10})
    ]
    assert plain(parse(ChirpStack(), topic, unknown)) == [("aa", 1_794_993_653_000, None, {"margin": 10})]
    assert parse(ChirpStack(), CHIRPSTACK.replace("/up", "/join"), b"anything") == []


def test_a_things_stack_uplink_whose_missing_counter_is_zero() -> None:
    uplink = {
        "end_device_ids": {"device_id": "well-7", "dev_eui": "0004A30B001C0530"},
        "received_at": "2026-11-18T09:20:54.000000001Z",
        "uplink_message": {
            "f_port": 1,
            "received_at": "2026-11-18T09:20:53.900Z",
            "frm_payload": "AQ==",
            "decoded_payload": {"level": 0, "ok": False},
        },
    }

    assert plain(parse(TheThingsStack(), TTS, uplink)) == [("well-7", 1_794_993_653_900, 0, {"level": 0, "ok": 0})]
    assert parse(TheThingsStack(), TTS.replace("/up", "/down/ack"), b"{}") == []


@pytest.mark.parametrize("time", ["20261118T092053Z", "2026-11-18T09:20:53.000Z"])
def test_a_huawei_report_in_both_written_times(time: str) -> None:
    report = {
        "services": [
            {"service_id": "Gas", "properties": {"ch4": 1.5, "temp": 18}, "event_time": time},
            {"service_id": "Temperature", "properties": {"value": 57}},
        ]
    }

    assert plain(parse(Huawei(), HUAWEI, report)) == [
        ("D-1", 1_794_993_653_000, None, {"ch4": 1.5, "temp": 18}),
        ("D-1", None, None, {"Temperature": 57}),
    ]


def test_a_huawei_gateway_speaks_for_its_children() -> None:
    service = {"service_id": "Meter", "properties": {"flow": 2.0}}
    children = {"devices": [{"device_id": "C-1", "services": [service]}, {"device_id": "C-2", "services": []}]}
    first, second = parse(Huawei(), GATEWAY, children)

    assert plain([first]) == [("C-1", None, None, {"flow": 2.0})]
    assert second.reason is Reason.malformed_payload


def test_alink_values_bare_and_timed_one_object_a_time() -> None:
    post = {
        "id": "123",
        "version": "1.0",
        "params": {"WF": {"value": 23.6, "time": NOW}, "P": {"value": 0.31, "time": NOW - 1000}, "meter:flow": 5},
        "method": "thing.event.property.post",
    }

    assert plain(parse(Alink(), ALINK, post)) == [
        ("meter-9", NOW, None, {"WF": 23.6}),
        ("meter-9", NOW - 1000, None, {"P": 0.31}),
        ("meter-9", None, None, {"meter:flow": 5}),
    ]
    assert plain(parse(Alink(), "$sys/p1/meter-9/thing/property/post", {"params": {"p": {"value": 1}}})) == [
        ("meter-9", None, None, {"p": 1})
    ]
    assert parse(Alink(), f"{ALINK}_reply", b"?") == []


def test_alink_packs_and_history() -> None:
    pack = {
        "params": {
            "properties": {"signal": -70},
            "subDevices": [{"identity": {"productKey": "p", "deviceName": "c1"}, "properties": {"p": 0.3}}],
        }
    }
    history = {
        "params": [{"identity": {"deviceName": "c1"}, "properties": [{"p": {"value": 1, "time": NOW}}, {"p": 2}]}]
    }

    assert plain(parse(Alink(), "/sys/a/gw/thing/event/property/pack/post", pack)) == [
        ("gw", None, None, {"signal": -70}),
        ("c1", None, None, {"p": 0.3}),
    ]
    assert plain(parse(Alink(), "/sys/a/gw/thing/event/property/history/post", history)) == [
        ("c1", NOW, None, {"p": 1}),
        ("c1", None, None, {"p": 2}),
    ]


@pytest.mark.parametrize(
    ("family", "topic", "message", "says"),
    [
        (ChirpStack(), CHIRPSTACK, {"deviceInfo": {"devEui": "aa"}}, "codec"),
        (ChirpStack(), CHIRPSTACK, {"object": {"a": 1}}, "no device id"),
        (ChirpStack(), CHIRPSTACK, {"deviceInfo": {"devEui": "aa"}, "object": {"a": 1}, "time": "soon"}, "soon"),
        (ChirpStack(), CHIRPSTACK, {"deviceInfo": {"devEui": "aa"}, "object": {"a": "x"}}, "no number"),
        (TheThingsStack(), TTS, {}, "uplink_message"),
        (TheThingsStack(), TTS, {"uplink_message": {}}, "formatter"),
        (Huawei(), HUAWEI, {}, "services"),
        (Huawei(), HUAWEI, {"services": [{"service_id": "x"}]}, "properties"),
        (Alink(), ALINK, {"params": {}}, "properties"),
        (Alink(), "lifeline/gas/x", {"params": {"a": 1}}, "topic"),
        (Alink(), ALINK, [1], "not an object"),
        (Alink(), ALINK, b"{", "not JSON"),
    ],
)
def test_what_is_wrong_is_said_with_a_remedy(family: Family, topic: str, message: object, says: str) -> None:
    (fault,) = parse(family, topic, message)

    assert fault.reason is Reason.malformed_payload
    assert says in fault.detail


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = """
    deviceInfo devEui devEUI object objectJSON time fCnt margin batteryLevel end_device_ids device_id uplink_message
    decoded_payload received_at f_cnt services devices service_id properties value event_time params subDevices identity
    deviceName
"""
KEYS = st.sampled_from(NAMES.split())
SHAPED = st.recursive(
    JSON,
    lambda inner: st.dictionaries(KEYS, inner, max_size=5) | st.lists(inner, max_size=3),
    max_leaves=20,
)


@given(SHAPED | st.binary(max_size=40), st.sampled_from(FAMILIES))
def test_any_message_gives_objects_or_faults_and_never_an_exception(
    message: object, family: tuple[Family, str]
) -> None:
    for item in parse(*family, message if isinstance(message, bytes) else json.dumps(message).encode()):
        assert isinstance(item, (Candidate, Fault))
        if isinstance(item, Candidate):
            assert item.values
            assert item.device
