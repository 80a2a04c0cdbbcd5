"""The decoder of a collector: routing, grouping, retained messages, repeats, registering, rejects."""

import itertools
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.identity import IdentityWindow
from ingest.messages import Decoder
from ingest.payload.mapping import compile_mapping
from ingest.payload.routes import PayloadDecoder
from lifeline.core import limits
from lifeline.core.errors import ConfigurationError, UnavailableError
from lifeline.core.schema import REJECTS, Flag

NOW = 1_795_000_000_000
ROUTES = [("lifeline/#", "lifeline")]
ACME = compile_mapping(
    {
        "name": "acme",
        "kind": "json",
        "rows": "$.data[*]",
        "device": "$.dev",
        "time": {"path": "$.t", "format": "epoch_s"},
        "values": {"pressure": {"path": "$.p", "unit": "kPa"}},
        "seq": "$.n",
    }
)


def good(device: Any = "G1", seq: Any = 1, ts: Any = NOW, **values: Any) -> Any:
    return json.dumps({"id": device, "seq": seq, "ts": ts, **(values or {"ch4": 1.0})}).encode()


def test_it_is_a_decoder(source: Any) -> None:
    decoder: Decoder = PayloadDecoder(source, ROUTES)
    assert decoder.decode


def test_rejects_are_in_the_schema_with_topic_payload_and_broker(source: Any, messages_of: Any) -> None:
    messages = messages_of([good(), b"nonsense", good("G9")], [b"lifeline/gas/G1", b"lifeline/x", b"lifeline/gas/G9"])

    batch = PayloadDecoder(source, ROUTES).decode(messages, NOW, "city")

    assert batch.rejects.schema == REJECTS
    batch.rejects.validate(full=True)
    rows = batch.rejects.to_pylist()
    assert [r["reason"] for r in rows] == ["malformed_payload", "unknown_device"]
    assert [r["topic"] for r in rows] == ["lifeline/x", "lifeline/gas/G9"]
    assert [r["payload"] for r in rows] == [b"nonsense", good("G9")]
    assert {r["broker"] for r in rows} == {"city"}
    assert [r["readings"] for r in rows] == [0, 1]
    assert pa.compute.unique(batch.rejects["received_at"].cast(pa.int64())).to_pylist() == [NOW]
    assert batch.readings.received_at.tolist() == [NOW]
    assert batch.received_at == NOW


def test_no_messages_and_no_rejects(source: Any, messages_of: Any) -> None:
    batch = PayloadDecoder(source, ROUTES).decode(messages_of([]), NOW, "city")

    assert (len(batch.readings), batch.rejects) == (0, None)


def test_the_batch_owns_its_memory(source: Any, messages_of: Any) -> None:
    messages = messages_of([good(), b"nonsense"])
    buffer = messages.buffer.copy()
    messages = type(messages)(
        buffer,
        messages.payload_start,
        messages.payload_len,
        buffer,
        *(getattr(messages, n) for n in ("topic_start", "topic_len", "retain")),
    )
    batch = PayloadDecoder(source, ROUTES).decode(messages, NOW, "city")
    buffer[:] = 0

    assert batch.rejects["payload"].to_pylist() == [b"nonsense"]
    assert batch.rejects["topic"].to_pylist() == ["lifeline/gas/G1"]
    assert batch.readings.value.tolist() == [1.0]


def test_long_payloads_and_foreign_topics_are_cut_and_made_text(source: Any, messages_of: Any) -> None:
    messages = messages_of([b"x" * 10_000], [b"lifeline/\xff"])

    row = PayloadDecoder(source, ROUTES).decode(messages, NOW, "city").rejects.to_pylist()[0]

    assert row["payload"] == b"x" * limits.REJECT_PAYLOAD_BYTES
    assert row["topic"] == "lifeline/\ufffd"


def test_routes_keep_message_order_and_the_first_match_counts(
    source: Any, messages_of: Any, plain_of_batch: Any
) -> None:
    routes = [("$share/g/acme/+/up", "acme"), ("lifeline/#", "lifeline"), ("acme/#", "lifeline")]
    decoder = PayloadDecoder(source, routes, mappings={"acme": ACME})
    foreign = b'{"dev":"W-0000000001","t":1795000000,"data":[{"p":250},{"p":300}]}'
    topics = [b"lifeline/gas/G1", b"acme/7/up", b"acme/7/down", b"other", b"lifeline/gas/G2", b"acme/8/up"]
    payloads = [good(), foreign, good("G2"), good(), good("G2", 2), b"{}"]

    rows, rejects = plain_of_batch(decoder.decode(messages_of(payloads, topics), NOW, "city"))

    assert [row[0] for row in rows] == [0, 3, 3, 2, 2]
    assert np.array([row[2] for row in rows], np.uint64).view(np.float64).tolist() == [1.0, 0.25, 0.3, 1.0, 1.0]
    assert [(r["topic"], r["reason"]) for r in rejects] == [
        ("other", "malformed_payload"),
        ("acme/8/up", "malformed_payload"),
    ]


def test_repeats_stay_as_flagged_rows_and_are_rejects_too(source: Any, messages_of: Any) -> None:
    decoder = PayloadDecoder(source, ROUTES, mark=IdentityWindow(1000).mark)
    pack = b"[" + good(seq=1, ch4=1, temp=2) + b"," + good("G2", 1) + b"]"

    first = decoder.decode(messages_of([pack, good("G2", 2)]), NOW, "city")
    second = decoder.decode(messages_of([good("G2", 3), pack, b"x"]), NOW + 5, "city")

    assert first.rejects is None
    assert second.readings.flags.tolist() == [0, Flag.DUPLICATE, Flag.DUPLICATE, Flag.DUPLICATE]
    assert len(second.readings.unique()) == 1
    rows = second.rejects.to_pylist()
    assert [(r["reason"], r["readings"]) for r in rows] == [
        ("duplicate", 2),
        ("duplicate", 1),
        ("malformed_payload", 0),
    ]
    assert rows[1]["payload"] == good("G2", 1)


def test_a_redelivery_inside_one_batch(source: Any, messages_of: Any) -> None:
    decoder = PayloadDecoder(source, ROUTES, mark=IdentityWindow(1000).mark)

    batch = decoder.decode(messages_of([good(), good(), good(ch4=2.0)]), NOW, "city")

    assert batch.readings.flags.tolist() == [0, Flag.DUPLICATE, 0]
    assert batch.rejects["reason"].to_pylist() == ["duplicate"]


def test_time_bounds_are_parameters(source: Any, messages_of: Any) -> None:
    decoder = PayloadDecoder(source, ROUTES, future_ms_max=5, too_old_ms=10)
    payloads = [good(ts=NOW + d) for d in (5, 6, -10, -11)]

    batch = decoder.decode(messages_of(payloads), NOW, "city")

    assert len(batch.readings) == 2
    assert batch.rejects["reason"].to_pylist() == ["future_timestamp", "too_old"]


# --- registering -----------------------------------------------------------------------------------------------


def test_unknown_names_are_registered_once_and_decoded(source: Any, messages_of: Any) -> None:
    decoder = PayloadDecoder(source, ROUTES, unknown="register")
    payloads = [good("N1", 1, co=5.0), good("N1", 2, co=6.0, temp=1.0), good("G1", 1, co=7.0), good("N2", 1, co="x")]
    topics = [b"lifeline/gas/N1", b"lifeline/water/N1", b"lifeline/oil/G1", b"lifeline/gas/N2"]

    batch = decoder.decode(messages_of(payloads, topics), NOW, "city")

    assert source.registered == [("N1", "co", "gas"), ("N1", "temp", "water"), ("G1", "co", "")]
    assert batch.readings.point.tolist() == [7, 7, 8, 9]
    assert batch.rejects["reason"].to_pylist() == ["unknown_device"]
    again = decoder.decode(messages_of(payloads[:3], topics[:3]), NOW, "city")
    assert again.rejects is None
    assert len(source.registered) == 3


def test_registering_stops_at_its_bound(source: Any, messages_of: Any) -> None:
    decoder = PayloadDecoder(source, ROUTES, unknown="register", registered_max=3)

    batch = decoder.decode(messages_of([good(f"N{i}") for i in range(5)]), NOW, "city")
    more = decoder.decode(messages_of([good("N7")]), NOW, "city")

    assert len(source.registered) == 3
    assert len(batch.readings) == 3
    assert batch.rejects["reason"].to_pylist() == ["unknown_device"] * 2
    assert "at most 3 points" in more.rejects["detail"][0].as_py()


@pytest.mark.parametrize("bad", [good("N\x07"), good("N1", **{"ch 4": 1}), good("N1", ts=5), good("N" * 200)])
def test_what_is_not_good_otherwise_is_not_registered(source: Any, messages_of: Any, bad: Any) -> None:
    batch = PayloadDecoder(source, ROUTES, unknown="register").decode(messages_of([bad]), NOW, "city")

    assert source.registered == []
    assert batch.rejects.num_rows == 1


def test_a_ledger_that_fails_stops_the_batch_before_anything_is_marked(source: Any, messages_of: Any) -> None:
    window = IdentityWindow(100)
    decoder = PayloadDecoder(source, ROUTES, unknown="register", mark=window.mark)
    messages = messages_of([good(), good("N1")])
    source.fails = True
    with pytest.raises(UnavailableError):
        decoder.decode(messages, NOW, "city")
    source.fails = False

    assert decoder.decode(messages, NOW, "city").readings.flags.tolist() == [0, 0]


def test_a_newer_registry_is_noticed(source: Any, messages_of: Any) -> None:
    decoder = PayloadDecoder(source, ROUTES)
    assert len(decoder.decode(messages_of([good("N1")]), NOW, "city").readings) == 0

    source.register([("N1", "ch4", "gas")])

    assert len(decoder.decode(messages_of([good("N1")]), NOW, "city").readings) == 1


# --- configuration ---------------------------------------------------------------------------------------------


def test_wrong_routes_are_told_all_at_once(source: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        PayloadDecoder(source, [("a/#/b", "lifeline"), ("a+", "acme"), ("ok/+", "nope")])

    assert len(caught.value.problems) == 4
    with pytest.raises(ConfigurationError, match="no subscription"):
        PayloadDecoder(source, [])


def test_a_unit_that_does_not_fit_the_registry_is_a_configuration_error(source: Any) -> None:
    wrong = compile_mapping({"name": "w", "device": "$.d", "values": {"pressure": {"path": "$.p", "unit": "degC"}}})

    with pytest.raises(ConfigurationError, match="cannot be converted to 'MPa'"):
        PayloadDecoder(source, [("w/#", "w")], mappings={"w": wrong})


# --- grouping --------------------------------------------------------------------------------------------------

pieces = st.sampled_from(
    [
        good(),
        good("G2", 2),
        good("G1", 3, ch4=1.5, temp=3),
        good("N1", 1, co=1),
        good("N2", 1, co=1, temp=2),
        good("G1", 1, ch4="x"),
        b"[" + good("G2", 5) + b"," + good("N3", 1) + b"," + good("G1", 7, ch4=999) + b"]",
        b'{"id":"G\\u0031","ts":1795000000000,"ch4":4}',
        b"\xff",
        b"",
    ]
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(payloads=st.lists(pieces, min_size=1, max_size=14), cuts=st.lists(st.integers(0, 14), max_size=5))
@pytest.mark.parametrize("unknown", ["reject", "register"])
def test_any_grouping_gives_the_same(
    registry: Any, source_of: Any, messages_of: Any, plain_of_batch: Any, payloads: Any, cuts: Any, unknown: Any
) -> None:
    def run(edges: Any) -> Any:
        decoder = PayloadDecoder(
            source_of(registry), ROUTES, mark=IdentityWindow(50).mark, unknown=unknown, registered_max=4
        )
        rows, rejects = [], []
        for a, b in itertools.pairwise(edges):
            more = plain_of_batch(decoder.decode(messages_of(payloads[a:b]), NOW, "city"))
            rows += more[0]
            rejects += more[1]
        return rows, rejects

    n = len(payloads)

    assert run([0, n]) == run(list(range(n + 1))) == run([0, *sorted(min(c, n) for c in cuts), n])


def test_a_text_beside_the_numbers_of_a_platform_counts_only_where_the_registry_asks_for_it(
    source: Any, messages_of: Any
) -> None:
    decoder = PayloadDecoder(source, [("application/#", "chirpstack")])
    topic = b"application/1/device/g1/event/up"

    def uplink(**fields: Any) -> bytes:
        return json.dumps({"devEUI": "G1", "fCnt": 1, "object": fields}).encode()

    source.register([("g1", "ch4", ""), ("g1", "temp", "")])
    batch = decoder.decode(messages_of([uplink(ch4=1.5, state="ok"), uplink(ch4=1.5, temp="warm")], topic), NOW, "b")

    assert batch.readings.value.tolist() == [1.5]
    assert [row["reason"] for row in batch.rejects.to_pylist()] == ["not_a_number"]
    assert "the string" in batch.rejects.to_pylist()[0]["detail"]
