"""Sparkplug B: bytes against Google's library, aliases through births and deaths, gaps, repeats and restarts."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.messages import Messages
from ingest.payload import sparkplug_wire as wire
from ingest.payload.faults import Fault
from ingest.payload.judge import Bounds
from ingest.payload.routes import PayloadDecoder
from ingest.payload.sparkplug import Sparkplug
from ingest.payload.sparkplug_edges import ASK_MS_MIN, OWNER_MS
from lifeline.core import limits
from lifeline.core.errors import UnavailableError
from lifeline.core.registry import Registry
from lifeline.core.schema import Flag, Quality, Reason
from tests.ingest_payload.sparkplug_proto import Payload, payload

ASYNCAPI = Path(__file__).parents[2] / "docs" / "asyncapi.yaml"
NOW = 1_795_000_000_000
NODE = "spBv1.0/City/{}/Edge-1"
DEVICE = "spBv1.0/City/{}/Edge-1/Pump-1"
BIRTH = (
    {"name": "bdSeq", "datatype": 8, "long_value": 3},
    {"name": "Node Control/Rebirth", "datatype": 11, "boolean_value": False},
    {"name": "uptime", "alias": 1, "datatype": 8, "long_value": 77},
)
PUMP = (
    {"name": "Inlet/pressure", "alias": 10, "datatype": 9, "float_value": 0.5, "properties": {"engUnit": "MPa"}},
    {"name": "temp", "alias": 11, "datatype": 3, "int_value": (1 << 32) - 5},
    {"name": "state", "alias": 12, "datatype": 12, "string_value": "on"},
)


class Memory:
    """A store in memory; refuses on demand."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.fails = False

    def load(self, edge: str) -> bytes | None:
        return self.kept.get(edge)

    def save(self, edge: str, document: bytes) -> None:
        if self.fails:
            raise UnavailableError("the disk is full")
        self.kept[edge] = document


class Host:
    """A family with a clock, and what it told."""

    def __init__(self, store: Memory | None = None, **options: Any) -> None:
        self.told: dict[str, int] = {}
        self.edges: dict[str, int] = {}
        self.now = NOW
        self.family = Sparkplug(store, tell=self._tell, **options)

    def _tell(self, counts: dict[str, int], edges: dict[str, int]) -> None:
        for key, n in counts.items():
            self.told[key] = self.told.get(key, 0) + n
        self.edges = edges

    def send(self, topic: str, data: bytes) -> list[Any]:
        found = self.family.parse(topic, data, Bounds(self.now, 0, 2 * NOW))
        self.family.settle()
        return found

    def born(self, seq: int = 0, ts: int = NOW) -> None:
        self.send(NODE.format("NBIRTH"), payload(seq, ts, *BIRTH))
        self.send(DEVICE.format("DBIRTH"), payload((seq + 1) % 256, ts, *PUMP))

    def data(self, seq: int | None, ts: int, *metrics: dict[str, Any]) -> list[Any]:
        return self.send(DEVICE.format("DDATA"), payload(seq, ts, *metrics))


def plain(found: list[Any]) -> list[Any]:
    return [
        item.reason.name
        if isinstance(item, Fault)
        else (item.device, item.values[0].quantity, item.values[0].number, item.ts - NOW, item.quality)
        for item in found
    ]


PRESSURE = {"alias": 10, "float_value": 1.5}

# --- births, data, deaths ----------------------------------------------------------------------------------------


def test_births_name_aliases_and_carry_readings() -> None:
    host = Host()
    node = host.send(NODE.format("NBIRTH"), payload(0, NOW, *BIRTH))
    device = host.send(DEVICE.format("DBIRTH"), payload(1, NOW + 1, *PUMP))

    assert plain(node) == [("Edge-1", "uptime", 77.0, 0, 0)]
    assert plain(device[:2]) == [("Pump-1", "Inlet/pressure", 0.5, 1, 0), ("Pump-1", "temp", -5.0, 1, 0)]
    assert device[0].values[0].unit == "MPa"
    assert (device[2].values[0].quantity, device[2].values[0].optional) == ("state", True)
    assert host.told == {"births": 2}
    assert host.edges == {"certain": 1, "doubt": 0, "dead": 0}


def test_data_comes_by_alias_with_the_births_name_type_and_unit() -> None:
    host = Host()
    host.born()
    found = host.data(2, NOW + 5, PRESSURE | {"timestamp": NOW + 4}, {"alias": 11, "int_value": 7})

    assert plain(found) == [("Pump-1", "Inlet/pressure", 1.5, 4, 0), ("Pump-1", "temp", 7.0, 5, 0)]
    assert found[0].values[0].unit == "MPa"
    assert found[0].values[0].short == "pressure"


def test_a_device_does_not_know_the_aliases_of_its_node() -> None:
    host = Host()
    host.born()

    assert plain(host.data(2, NOW, {"alias": 1, "long_value": 5})) == ["unknown_quantity"]


def test_an_unknown_alias_is_kept_among_the_rejects_and_makes_the_node_ask() -> None:
    host = Host(asks=True)
    (fault,) = host.data(9, NOW, PRESSURE)

    assert fault.reason == Reason.unknown_quantity
    assert 'alias 10 of "City/Edge-1/Pump-1" is in no birth certificate' in fault.detail
    assert "Node Control/Rebirth" in fault.detail
    ((topic, sent),) = host.family.outgoing(NOW)
    assert topic == "spBv1.0/City/NCMD/Edge-1"
    message = Payload.FromString(sent)
    assert (message.timestamp, message.HasField("seq"), len(message.metrics)) == (NOW, False, 1)
    metric = message.metrics[0]
    assert (metric.name, metric.datatype, metric.boolean_value) == ("Node Control/Rebirth", 11, True)
    assert "City/Edge-1" in (host.family.warning() or "")


def test_the_request_is_as_the_asyncapi_file_says() -> None:
    document = yaml.safe_load(ASYNCAPI.read_text(encoding="utf-8"))
    host = Host(asks=True)
    host.data(9, NOW, PRESSURE)
    ((topic, sent),) = host.family.outgoing(NOW)

    address = document["channels"]["rebirths"]["address"]
    assert topic == address.format(group="City", node="Edge-1")
    told = {
        field.name: value if field.name != "metrics" else [{one.name: it for one, it in m.ListFields()} for m in value]
        for field, value in Payload.FromString(sent).ListFields()
    }
    jsonschema_rs.validate(document["components"]["schemas"]["Rebirth"], told)


def test_rebirths_are_asked_for_ever_more_seldom_until_one_comes() -> None:
    host = Host(asks=True)
    asked = []
    for minute in range(16):
        host.now = NOW + minute * ASK_MS_MIN
        host.data(minute, host.now, PRESSURE)
        asked += [minute] * len(host.family.outgoing(host.now))
    host.now += 3_600_000
    host.born()

    assert asked == [0, 1, 3, 7, 15]
    assert host.family.warning() is None


def test_a_collector_that_may_not_ask_never_does() -> None:
    host = Host()
    host.data(1, NOW, PRESSURE)

    assert host.family.outgoing(NOW) == []


@pytest.mark.parametrize("last", [5, 254, 255])
def test_after_a_gap_aliases_count_with_uncertain_quality_until_a_rebirth(last: int) -> None:
    host = Host(asks=True)
    host.born(last - 1)
    before = host.data((last + 1) % 256, NOW + 1, PRESSURE)
    after = host.data((last + 4) % 256, NOW + 2, PRESSURE, {"name": "temp", "int_value": 3})
    still = host.data((last + 5) % 256, NOW + 3, PRESSURE)
    host.born(0, NOW + 4)
    again = host.data(2, NOW + 5, PRESSURE)

    assert [item.quality for item in (*before, *after, *still, *again)] == [0, Quality.UNCERTAIN, 0, 1, 0]
    assert (host.told["gaps"], host.told["missing"]) == (1, 2)
    assert len(host.family.outgoing(NOW + 9)) == 1


def test_a_repeat_after_a_reconnect_is_no_gap() -> None:
    """The broker delivers again what was not acknowledged: the tail of what came, in its order, then what is new."""
    host = Host()
    host.born()
    sent = [payload(seq, NOW + seq, PRESSURE) for seq in range(2, 9)]
    topic = DEVICE.format("DDATA")
    first = [plain(host.send(topic, one)) for one in sent[:5]]
    again = [plain(host.send(topic, one)) for one in sent[2:]]

    assert again[:3] == first[2:]
    assert "gaps" not in host.told
    assert host.edges["doubt"] == 0


def test_a_death_is_counted_and_data_behind_it_is_in_doubt() -> None:
    host = Host()
    host.born()
    assert host.send(NODE.format("NDEATH"), payload(None, NOW, {"name": "bdSeq", "datatype": 8, "long_value": 3})) == []
    assert host.edges == {"certain": 0, "doubt": 0, "dead": 1}
    assert "1 Sparkplug edge nodes are dead: City/Edge-1" in (host.family.warning() or "")

    assert plain(host.data(2, NOW + 1, PRESSURE)) == [("Pump-1", "Inlet/pressure", 1.5, 1, Quality.UNCERTAIN)]


def test_the_will_of_an_older_connection_kills_nobody() -> None:
    host = Host()
    host.born()
    host.send(NODE.format("NDEATH"), payload(None, NOW, {"name": "bdSeq", "datatype": 8, "long_value": 2}))

    assert host.told["late_deaths"] == 1
    assert host.edges["dead"] == 0
    assert [item.quality for item in host.data(2, NOW + 1, PRESSURE)] == [0]


def test_the_death_of_a_device_is_counted_and_keeps_the_sequence() -> None:
    host = Host()
    host.born()
    host.send(DEVICE.format("DDEATH"), payload(2, NOW + 1))

    assert host.told["deaths"] == 1
    assert host.send(NODE.format("NDATA"), payload(3, NOW + 2, {"alias": 1, "long_value": 78}))[0].quality == 0
    assert "gaps" not in host.told


def test_an_nbirth_forgets_the_devices_until_they_are_born_again() -> None:
    host = Host()
    host.born()
    host.send(NODE.format("NBIRTH"), payload(0, NOW + 9, *BIRTH))

    assert plain(host.data(1, NOW + 10, PRESSURE)) == ["unknown_quantity"]


def test_one_device_id_under_two_living_nodes_is_refused_and_may_move() -> None:
    host = Host()
    host.born()
    other = "spBv1.0/City/DBIRTH/Edge-2/Pump-1"
    (fault,) = host.send(other, payload(1, NOW, *PUMP))
    host.now = NOW + OWNER_MS
    moved = host.send(other, payload(2, NOW + 1, *PUMP))

    assert 'is an id of the edge nodes "City/Edge-1" and "City/Edge-2", which both live' in fault.detail
    assert len(moved) == len(PUMP)


# --- restart and replay ------------------------------------------------------------------------------------------


def test_after_a_restart_aliases_are_known_but_uncertain_and_a_rebirth_is_asked_for() -> None:
    store = Memory()
    Host(store).born()
    host = Host(store, asks=True)
    found = host.data(200, NOW, PRESSURE)

    assert plain(found) == [("Pump-1", "Inlet/pressure", 1.5, 0, Quality.UNCERTAIN)]
    assert found[0].values[0].unit == "MPa"
    assert "gaps" not in host.told
    assert len(host.family.outgoing(NOW)) == 1
    host.born(0, NOW + 1)
    assert [item.quality for item in host.data(2, NOW + 2, PRESSURE)] == [0]


@pytest.mark.parametrize(
    "document", [b"", b"{}", b"nonsense", b'{"version":1,"edge":"City/Edge-1","tables":[]}', b"[1]"]
)
def test_a_kept_birth_that_cannot_be_read_is_as_none(document: bytes) -> None:
    store = Memory()
    store.kept["City/Edge-1"] = document

    assert plain(Host(store).data(3, NOW, PRESSURE)) == ["unknown_quantity"]


def test_a_disk_that_refuses_costs_nothing_but_certainty() -> None:
    store = Memory()
    store.fails = True
    host = Host(store)
    host.born()

    assert [item.quality for item in host.data(2, NOW, PRESSURE)] == [0]
    assert store.kept == {}


def test_rejects_are_judged_again_by_the_births_that_came_since_and_nothing_is_written() -> None:
    store = Memory()
    again = Host(store, replaying=True)
    assert plain(again.data(7, NOW, PRESSURE)) == ["unknown_quantity"]
    Host(store).born()
    kept = dict(store.kept)

    assert plain(again.data(7, NOW, PRESSURE)) == [("Pump-1", "Inlet/pressure", 1.5, 0, Quality.UNCERTAIN)]
    assert plain(again.data(3, NOW, PRESSURE)) == plain(again.data(250, NOW, PRESSURE))
    assert store.kept == kept
    assert "gaps" not in again.told


# --- values ------------------------------------------------------------------------------------------------------


def metric_of(datatype: int, **fields: Any) -> Any:
    (found,) = Host().send(NODE.format("NDATA"), payload(1, NOW, {"name": "x", "datatype": datatype} | fields))
    return found.values[0]


@pytest.mark.parametrize(("datatype", "bits"), [(1, 8), (2, 16), (3, 32), (4, 64)])
@given(data=st.data())
@settings(max_examples=25)
def test_signed_integers_come_as_twos_complement_of_their_own_or_the_fields_width(
    datatype: int, bits: int, data: st.DataObject
) -> None:
    number = data.draw(st.integers(-(1 << (bits - 1)), (1 << (bits - 1)) - 1))
    room = data.draw(st.sampled_from([bits, 32, 64]) if bits < 64 else st.just(64))
    field = "int_value" if room <= 32 else "long_value"
    value = metric_of(datatype, **{field: number % (1 << room)})

    assert (value.number, value.wrong) == (float(number), None)


@pytest.mark.parametrize(
    ("datatype", "fields", "number"),
    [
        (5, {"int_value": 255}, 255.0),
        (6, {"int_value": 65_535}, 65_535.0),
        (7, {"int_value": 0xFFFFFFFF}, 4294967295.0),
        (7, {"long_value": 0xFFFFFFFF}, 4294967295.0),
        (8, {"long_value": 1 << 63}, 2.0**63),
        (9, {"float_value": 1.5}, 1.5),
        (10, {"double_value": 0.1}, 0.1),
        (9, {"double_value": 2.25}, 2.25),
        (11, {"boolean_value": True}, 1.0),
        (11, {"int_value": 0}, 0.0),
        (0, {"double_value": 7.0}, 7.0),
        (4, {"int_value": 12}, 12.0),
    ],
)
def test_every_number_type(datatype: int, fields: dict[str, Any], number: float) -> None:
    value = metric_of(datatype, **fields)

    assert (value.number, value.wrong, value.optional) == (number, None, False)


@pytest.mark.parametrize(
    ("datatype", "fields", "wrong"),
    [
        (1, {"int_value": 200 + 256}, "beyond Int8"),
        (5, {"int_value": 256}, "beyond UInt8"),
        (4, {"int_value": 0xFFFFFFFF}, "negative Int64 in a field of 32 bits"),
        (9, {"int_value": 3}, "an integer for the data type Float"),
        (3, {"float_value": 3.0}, "another kind"),
        (11, {"int_value": 2}, "another kind"),
        (3, {}, "no value, though not null"),
        (0, {"int_value": 3}, "an integer without a data type"),
        (9, {"float_value": math.nan}, "nan"),
        (10, {"double_value": math.inf}, "inf"),
    ],
)
def test_what_is_no_number_is_said(datatype: int, fields: dict[str, Any], wrong: str) -> None:
    value = metric_of(datatype, **fields)

    assert wrong in value.wrong
    assert not value.optional


@pytest.mark.parametrize(
    ("datatype", "fields"),
    [
        (12, {"string_value": "on"}),
        (13, {"long_value": NOW}),
        (17, {"bytes_value": b"\xff"}),
        (16, {"dataset_value": ["a"]}),
        (19, {"template_value": "1"}),
        (22, {"bytes_value": b"\1"}),
        (0, {"string_value": "on"}),
        (12, {"is_null": True}),
    ],
)
def test_texts_dates_and_structures_are_no_readings(datatype: int, fields: dict[str, Any]) -> None:
    value = metric_of(datatype, **fields)

    assert value.optional
    assert value.wrong


def test_null_history_quality_and_missing_times() -> None:
    host = Host()
    found = host.send(
        NODE.format("NDATA"),
        payload(
            1,
            None,
            {"name": "a", "datatype": 10, "is_null": True},
            {"name": "b", "datatype": 10, "double_value": 1.0, "is_historical": True, "timestamp": NOW - 7},
            {"name": "c", "datatype": 10, "double_value": 1.0, "properties": {"Quality": 500, "engUnit": "bar"}},
            {"name": "d", "datatype": 10, "double_value": 1.0, "properties": {"Quality": 0}},
            {"name": "e", "datatype": 10, "double_value": 1.0, "properties": {"Quality": 192}},
        ),
    )

    assert math.isnan(found[0].values[0].number)
    assert found[0].values[0].wrong is None
    assert [(item.has_time, item.late) for item in found[:2]] == [(False, False), (True, True)]
    assert [item.quality for item in found[2:]] == [Quality.UNCERTAIN, Quality.BAD, Quality.GOOD]
    assert found[2].values[0].unit == "bar"


def test_a_metric_that_changes_its_type_is_refused_and_puts_the_node_in_doubt() -> None:
    host = Host()
    host.born()
    (fault,) = host.data(2, NOW, {"alias": 11, "datatype": 10, "double_value": 1.0})

    assert "is of data type 10, but 3 in its birth certificate" in fault.detail
    assert host.family.warning() is not None


# --- shapes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("topic", "data", "detail"),
    [
        ("spAv1.0/City/NDATA/E", b"", "is not spBv1.0/group/NDATA/node"),
        ("spBv1.0/City/NDATA", b"", "is not spBv1.0"),
        ("spBv1.0/City/NDATA/E/D", b"", "is not spBv1.0"),
        ("spBv1.0/City/DDATA/E", b"", "is not spBv1.0"),
        ("spBv1.0/City/DDATA/E/", b"", "is not spBv1.0"),
        ("spBv1.0/City/NOTHING/E", b"", "is not spBv1.0"),
        ("spBv1.0/City/NDATA/" + "E" * 129, b"", "longer than 128 bytes"),
        (NODE.format("NDATA"), b"\x12\x7f", "field 2 at byte 0 ends behind byte 2"),
        (NODE.format("NDATA"), b"\x08\xff", "the number at byte 1 does not end"),
        (NODE.format("NDATA"), b"\x0b", "wire type 3"),
        (NODE.format("NDATA"), b"\x00", "number 0"),
        (NODE.format("NDATA"), b'{"seq":1}', "no Sparkplug B payload"),
        (NODE.format("NDATA"), b"", "NDATA without metrics"),
        (NODE.format("NDATA"), payload(256, NOW, {"name": "a"}), "seq is 256"),
        (NODE.format("NDATA"), payload(1, NOW, {"datatype": 3}), "neither name nor alias"),
        (NODE.format("NBIRTH"), payload(0, NOW, {"alias": 3}), "metric 0 of a birth certificate has no name"),
        (NODE.format("NBIRTH"), payload(0, NOW, {"name": "a", "alias": 3}, {"name": "b", "alias": 3}), "stands twice"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(topic: str, data: bytes, detail: str) -> None:
    (fault,) = Host().send(topic, data)

    assert fault.reason == Reason.malformed_payload
    assert detail in fault.detail


@pytest.mark.parametrize("topic", ["spBv1.0/STATE/scada", "STATE/scada", NODE.format("NCMD"), DEVICE.format("DCMD")])
def test_commands_and_states_of_hosts_are_passed_over(topic: str) -> None:
    assert Host().send(topic, b'{"online":true}') == []


def test_births_and_edge_nodes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SPARKPLUG_METRICS_MAX", 4)
    monkeypatch.setattr(limits, "SPARKPLUG_EDGES_MAX", 1)
    host = Host()
    host.send(NODE.format("NBIRTH"), payload(0, NOW, *BIRTH))

    assert [f.reason for f in host.send(DEVICE.format("DBIRTH"), payload(1, NOW, *PUMP))] == [Reason.oversized]
    assert [f.reason for f in host.send("spBv1.0/City/NDATA/Edge-2", b"")] == [Reason.oversized]
    assert len(host.send(NODE.format("NBIRTH"), payload(0, NOW, *BIRTH))) == 1


# --- the bytes, against the stranger -----------------------------------------------------------------------------

u64 = st.integers(0, 2**64 - 1)
texts = st.text(max_size=6)
metrics = st.fixed_dictionaries(
    {},
    optional={
        "name": texts,
        "alias": u64,
        "timestamp": u64,
        "datatype": st.integers(0, 34),
        "is_historical": st.booleans(),
        "is_null": st.booleans(),
        "properties": st.dictionaries(st.sampled_from(["engUnit", "Quality", "x"]), texts | st.integers(0, 500)),
    },
)
value_fields = st.one_of(
    st.tuples(st.just("int_value"), st.integers(0, 2**32 - 1)),
    st.tuples(st.just("long_value"), u64),
    st.tuples(st.just("float_value"), st.floats(width=32)),
    st.tuples(st.just("double_value"), st.floats()),
    st.tuples(st.just("boolean_value"), st.booleans()),
    st.tuples(st.just("string_value"), texts),
    st.tuples(st.just("bytes_value"), st.binary(max_size=4)),
    st.tuples(st.just("dataset_value"), st.lists(texts, max_size=2)),
    st.none(),
)
payloads = st.builds(
    lambda seq, ts, sent: payload(seq, ts, *(m | ({} if v is None else {v[0]: v[1]}) for m, v in sent)),
    st.none() | u64,
    st.none() | u64,
    st.lists(st.tuples(metrics, value_fields), max_size=4),
)
KINDS = {10: "int_value", 11: "long_value", 12: "float_value", 13: "double_value", 14: "boolean_value"} | {
    15: "string_value",
    16: "bytes_value",
    17: "dataset_value",
    18: "template_value",
}


def bits(number: float) -> bytes:
    return b"nan" if math.isnan(number) else struct.pack("<d", number)


def ours(data: bytes) -> Any:
    read = wire.read(data, 1000)
    return read.timestamp, read.seq, [
        (
            m.name, m.alias, m.timestamp, m.datatype, m.historical, m.null, KINDS.get(m.kind),
            m.integer if m.kind in (10, 11, 14) else None, bits(m.real) if m.kind in (12, 13) else None,
            m.unit, m.quality,
        )
        for m in read.metrics
    ]  # fmt: skip


def theirs(data: bytes) -> Any:
    message = Payload.FromString(data)

    def plain_metric(m: Any) -> Any:
        kind = m.WhichOneof("value")
        properties: dict[str, Any] = {}
        for key, value in zip(m.properties.keys, m.properties.values, strict=False):
            held = value.WhichOneof("value")
            wanted = held in ("int_value", "long_value", "string_value")
            properties[key] = getattr(value, held) if wanted else None
        unit, quality = properties.get("engUnit"), properties.get("Quality")
        number = getattr(m, kind) if kind in ("int_value", "long_value", "boolean_value") else None
        return (
            m.name, m.alias if m.HasField("alias") else None, m.timestamp if m.HasField("timestamp") else None,
            m.datatype, m.is_historical, m.is_null, kind, None if number is None else int(number),
            bits(getattr(m, kind)) if kind in ("float_value", "double_value") else None,
            (unit or None) if isinstance(unit, str) else None, quality if isinstance(quality, int) else None,
        )  # fmt: skip

    return (
        message.timestamp if message.HasField("timestamp") else None,
        message.seq if message.HasField("seq") else None,
        [plain_metric(m) for m in message.metrics],
    )


@pytest.mark.parametrize(
    "data",
    [
        "120b 50 fbffffffffffffffff01",  # int_value: -5 as an encoder of int32 writes it, ten bytes
        "1207 50 03 65 0000803f",  # two values: the last of the oneof counts
        "1206 0a0161 0a0162",  # two names
        "0d00000000 1202 5001",  # timestamp of another wire type
        "f2ff03 00 1800",  # an unknown field
        "08ffffffffffffffffff7f",  # more than 64 bits
    ],
)
def test_corners_of_the_encoding_are_read_as_googles_library_reads_them(data: str) -> None:
    sent = bytes.fromhex(data)
    assert ours(sent) == theirs(sent)


@pytest.mark.parametrize(
    "data",
    [
        "1204 5000 50ff7f",  # a number cut short by the metric's length
        "120a 4a030a0178 4a031201 0a",  # a property cut short by its set
        "08ffffffffffffffffffff01",  # a number that does not end
    ],
)
def test_cut_encodings_are_refused_as_googles_library_refuses_them(data: str) -> None:
    with pytest.raises(wire.WireError):
        ours(bytes.fromhex(data))
    with pytest.raises(Exception, match="Error parsing"):
        theirs(bytes.fromhex(data))


@settings(max_examples=80)
@given(payloads)
def test_we_read_what_googles_library_wrote(data: bytes) -> None:
    assert ours(data) == theirs(data)


@settings(max_examples=150)
@given(payloads, st.data())
def test_damaged_bytes_are_read_as_googles_library_reads_them_or_refused(data: bytes, draw: st.DataObject) -> None:
    """Where both read the bytes they read the same."""
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 3))):
        if damaged:
            damaged[draw.draw(st.integers(0, len(damaged) - 1))] ^= 1 << draw.draw(st.integers(0, 7))
    damaged = damaged[: draw.draw(st.integers(0, len(damaged)))] if draw.draw(st.booleans()) else damaged
    try:
        expected = theirs(bytes(damaged))
    except Exception:  # noqa: BLE001 - the library's own errors have no common base
        expected = None
    try:
        found = ours(bytes(damaged))
    except wire.WireError:
        found = None

    if expected is not None and found is not None:
        assert found == expected


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["NBIRTH", "NDATA", "NDEATH", "DBIRTH", "DDATA", "DDEATH"]),
            payloads | st.binary(max_size=30),
        ),
        max_size=6,
    )
)
def test_no_sequence_of_messages_breaks_it(messages: list[tuple[str, bytes]]) -> None:
    host = Host(Memory(), asks=True)
    for kind, data in messages:
        for item in host.send((NODE if kind[0] == "N" else DEVICE).format(kind), data):
            assert isinstance(item, Fault) or len(item.values) == 1
    host.family.warning()
    host.family.outgoing(NOW)


# --- through the decoder -----------------------------------------------------------------------------------------


def test_readings_take_the_registrys_unit_and_name_and_texts_nobody_asks_for_are_nothing(
    registry_of: Callable[..., Registry],
    source_of: type,
    messages_of: Callable[..., Messages],
    plain_of_batch: Callable[..., Any],
) -> None:
    rows = [
        ("Pump-1", "pressure", "kPa", 0.0, 2500.0, 10.0),
        ("Pump-1", "temp", "degC", -40.0, 85.0, 10.0),
        ("Edge-1", "uptime", None, None, None, 10.0),
    ]
    births = [payload(0, NOW, *BIRTH), payload(1, NOW, *PUMP)]
    data = payload(2, NOW + 1, PRESSURE | {"is_historical": True}, {"alias": 11, "int_value": 900}, {"alias": 99})
    topics = [NODE.format("NBIRTH").encode(), DEVICE.format("DBIRTH").encode(), DEVICE.format("DDATA").encode()]
    decoder = PayloadDecoder(source_of(registry_of(rows)), [("spBv1.0/#", "sparkplug")])
    batch = decoder.decode(messages_of([*births, data], topics), NOW + 1, "city")
    _, rejects = plain_of_batch(batch)

    assert batch.readings.point.tolist() == [2, 0, 1, 0]
    assert batch.readings.value.tolist() == [77.0, 500.0, -5.0, 1500.0]
    assert batch.readings.flags.tolist() == [Flag.NO_SEQ] * 3 + [Flag.NO_SEQ | Flag.LATE]
    assert sorted(reject["reason"] for reject in rejects) == ["out_of_span", "unknown_quantity"]


def test_a_registering_decoder_reads_each_message_once(
    registry_of: Callable[..., Registry], source_of: type, messages_of: Callable[..., Messages]
) -> None:
    """Judging twice must not be two births, nor a gap."""
    told: dict[str, int] = {}
    family = Sparkplug(tell=lambda counts, _: told.update(counts))
    source = source_of(registry_of([("x", "y", None, None, None, None)]))
    routes = [("spBv1.0/+/DBIRTH/#", "sparkplug"), ("spBv1.0/#", "sparkplug")]
    decoder = PayloadDecoder(source, routes, mappings={"sparkplug": family}, unknown="register")
    topics = [NODE.format("NBIRTH").encode(), DEVICE.format("DBIRTH").encode(), DEVICE.format("DDATA").encode()]
    sent = [payload(0, NOW, *BIRTH), payload(1, NOW, *PUMP), payload(2, NOW, PRESSURE)]
    batch = decoder.decode(messages_of(sent, topics), NOW, "city")

    assert told == {"births": 2}
    assert source.registered == [("Edge-1", "uptime", ""), ("Pump-1", "Inlet/pressure", ""), ("Pump-1", "temp", "")]
    assert batch.readings.value.tolist() == [77.0, 0.5, -5.0, 1.5]


def test_a_metric_that_the_registry_knows_by_its_last_part_is_not_registered_again(
    registry_of: Callable[..., Registry], source_of: type, messages_of: Callable[..., Messages]
) -> None:
    """Another metric of the same message is new and makes the decoder look."""
    source = source_of(registry_of([("Pump-1", "pressure", "MPa", None, None, None)]))
    decoder = PayloadDecoder(source, [("spBv1.0/#", "sparkplug")], unknown="register")
    both = [PUMP[0], {"name": "Inlet/flow", "alias": 3, "datatype": 9, "float_value": 2.0}]
    batch = decoder.decode(messages_of([payload(1, NOW, *both)], DEVICE.format("DBIRTH").encode()), NOW, "city")

    assert source.registered == [("Pump-1", "Inlet/flow", "")]
    assert batch.readings.point.tolist() == [0, 1]
