"""JSON mappings: shapes met in the field, units, times, and what is wrong with a configuration."""

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.payload import units
from ingest.payload.faults import Fault
from ingest.payload.judge import Bounds
from ingest.payload.mapping import compile_mapping
from ingest.payload.paths import MISSING, Path
from lifeline.core.errors import ConfigurationError
from lifeline.core.schema import Reason

NOW = 1_795_000_000_000
BOUNDS = Bounds(NOW, NOW - 10**10, NOW + 10**6, objects_max=50)
BASE = {"name": "m", "device": "$.d", "values": {"p": {"path": "$.p", "unit": "kPa"}}}


def parse(spec: Any, document: Any, topic: Any = "a/b/c") -> Any:
    payload = document if isinstance(document, bytes) else json.dumps(document).encode()
    return compile_mapping(BASE | spec).parse(topic, payload, BOUNDS)


def test_rows_share_what_stands_beside_the_array() -> None:
    spec = {"rows": "$.data[*]", "time": {"path": "$.t", "format": "epoch_s"}, "seq": "$.n"}
    found = parse(
        spec, {"d": "X", "t": 1795000000.25, "n": 3, "data": [{"p": 1}, {"p": None, "d": "Y", "t": 1795000001}]}
    )

    assert [(c.device, c.ts, c.seq, c.has_time) for c in found] == [
        ("X", 1_795_000_000_250, 3, True),
        ("Y", 1_795_000_001_000, 3, True),
    ]
    assert found[0].values[0].number == 1
    assert found[0].values[0].unit == "kPa"
    assert math.isnan(found[1].values[0].number)


def test_a_plain_array_and_a_single_object_are_rows() -> None:
    assert len(parse({}, [{"d": "X", "p": 1}, {"d": "Y", "p": 1}])) == 2
    assert len(parse({}, {"d": "X", "p": 1})) == 1
    assert len(parse({"rows": "$.a"}, {"a": [{"d": "X", "p": 1}]})) == 1


def test_without_a_time_the_receive_time_counts_and_is_flagged() -> None:
    for document in ({"d": "X", "p": 1}, {"d": "X", "p": 1, "t": None}):
        (found,) = parse({"time": {"path": "$.t", "format": "iso8601"}}, document)
        assert (found.ts, found.has_time) == (NOW, False)


@pytest.mark.parametrize(
    ("written", "sent", "ts"),
    [
        ("epoch_ms", 1_795_000_000_123, 1_795_000_000_123),
        ("epoch_s", 1_795_000_000, NOW),
        ("epoch_s", 1_795_000_000.1234, 1_795_000_000_123),
        ("iso8601", "2026-11-18T11:06:40Z", 1_795_000_000_000),
        ("iso8601", "2026-11-18T19:06:40.5+08:00", 1_795_000_000_500),
        ("iso8601", "2026-11-18 11:06:40", 1_795_000_000_000),
        ("%Y%m%dT%H%M%SZ", "20261118T110640Z", 1_795_000_000_000),
    ],
)
def test_time_formats(written: Any, sent: Any, ts: Any) -> None:
    (found,) = parse({"time": {"path": "$.t", "format": written}}, {"d": "X", "p": 1, "t": sent})

    assert (found.ts, found.has_time) == (ts, True)


def test_texts_without_an_offset_take_the_named_zone() -> None:
    spec = {"time": {"path": "$.t", "format": "%Y-%m-%d %H:%M:%S", "timezone": "Asia/Shanghai"}}

    assert parse(spec, {"d": "X", "p": 1, "t": "2026-11-18 19:06:40"})[0].ts == NOW


@pytest.mark.parametrize("sent", ["yesterday", True, [], 1e400, "2026-13-01", "9" * 50])
@pytest.mark.parametrize("written", ["epoch_s", "iso8601", "%Y"])
def test_an_unreadable_time_is_malformed_never_replaced(written: Any, sent: Any) -> None:
    payload = json.dumps({"d": "X", "p": 1, "t": sent}).encode()
    (found,) = parse({"time": {"path": "$.t", "format": written}}, payload)

    assert isinstance(found, Fault)
    assert found.reason == Reason.malformed_payload


def test_the_device_may_be_a_topic_level_or_a_number() -> None:
    assert parse({"device": "topic[1]"}, {"p": 1})[0].device == "b"
    assert parse({}, {"d": 866123, "p": 1})[0].device == "866123"
    assert isinstance(parse({"device": "topic[9]"}, {"p": 1})[0], Fault)


@pytest.mark.parametrize("sent", ["1", True, [], {}, float("nan"), float("inf"), 10**400])
def test_values_that_are_no_numbers(sent: Any) -> None:
    (found,) = parse({}, {"d": "X", "p": sent})

    assert found.values[0].wrong


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"x",
        b"[",
        b"[]",
        b"{}",
        b"7",
        b"null",
        b'{"d":"X"}',
        b'{"d":"","p":1}',
        b'{"p":1}',
        b'{"d":true,"p":1}',
        b'{"d":"X","p":1,"p":2}',
        b'{"d":"X","p":1,"s":-1}',
        b'{"d":"X","p":1,"s":"1"}',
        b'{"d":"X","p":1,"q":9}',
        b"\xff",
        b"[" * 5000,
        b'{"d":"%s","p":1}' % (b"x" * 200),
    ],
)
def test_malformed_messages(payload: Any) -> None:
    (found,) = parse({"seq": "$.s", "quality": "$.q"}, payload)

    assert isinstance(found, Fault)
    assert found.reason == Reason.malformed_payload
    assert found.detail


def test_rows_that_lead_nowhere_and_rows_without_end() -> None:
    assert parse({"rows": "$.x[*]"}, {"d": "X", "p": 1})[0].reason == Reason.malformed_payload
    assert parse({}, [{"d": "X", "p": 1}] * 51)[0].reason == Reason.oversized


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_give_faults_or_candidates(payload: Any) -> None:
    found = parse({"rows": "$[*]", "time": {"path": "$.t", "format": "iso8601"}}, payload)

    assert found


# --- paths -----------------------------------------------------------------------------------------------------

DOCUMENT = {"a": {"b": [{"c": 1}, {"c": 2}]}, "x y": 3, "n": None}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$", DOCUMENT),
        ("$.a.b[0].c", 1),
        ('$["x y"]', 3),
        ("$['a']['b'][1]", {"c": 2}),
        ("$.n", None),
        ("$.n.m", MISSING),
        ("$.a.b[2]", MISSING),
        ("$.a[0]", MISSING),
        ("$.z", MISSING),
    ],
)
def test_paths(text: Any, expected: Any) -> None:
    assert Path.compile(text).get(DOCUMENT) == expected


def test_each_in_the_middle_and_at_the_end() -> None:
    assert Path.compile("$.a.b[*]", rows=True).rows(DOCUMENT) == [{"c": 1}, {"c": 2}]
    assert Path.compile("$.a.b[*].c", rows=True).rows(DOCUMENT) == [1, 2]
    assert Path.compile("$.q[*]", rows=True).rows(DOCUMENT) is None


@pytest.mark.parametrize("text", ["a", "", "$a", "$..a", "$.a[*]", "$.a[-1]", "$[", "$.a b"])
def test_what_is_no_path(text: Any) -> None:
    with pytest.raises(ValueError, match=r"\$|\[\*\]"):
        Path.compile(text)


def test_each_only_once() -> None:
    with pytest.raises(ValueError, match="once"):
        Path.compile("$[*][*]", rows=True)


# --- configuration ---------------------------------------------------------------------------------------------


def test_everything_wrong_is_told_at_once_with_its_key() -> None:
    with pytest.raises(ConfigurationError) as caught:
        compile_mapping(
            {
                "name": "m",
                "kind": "xml",
                "rows": "data",
                "values": {"p": {"path": "$.p", "unit": "furlong"}, "q": {}, "r": {"path": "$[*]"}},
                "time": {"path": "$.t", "format": "unix", "timezone": "Mars/Base"},
                "seq": 5,
                "extra": 1,
            }
        )

    assert {problem.key for problem in caught.value.problems} == {
        f"payload.m.{key}"
        for key in (
            "kind",
            "rows",
            "device",
            "values.p.unit",
            "values.q",
            "values.r.path",
            "time.format",
            "time.timezone",
            "seq",
            "extra",
        )
    }
    assert all(problem.remedy for problem in caught.value.problems)


@pytest.mark.parametrize(
    "spec", [{}, {"name": "m", "device": "$.d"}, BASE | {"time": 5}, BASE | {"time": {"path": "$", "format": "%"}}]
)
def test_other_incomplete_mappings(spec: Any) -> None:
    with pytest.raises(ConfigurationError):
        compile_mapping(spec)


# --- units -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [
        (250.0, "kPa", "MPa", 0.25),
        (0.1, "MPa", "kPa", 100.0),
        (1.5, "bar", "kPa", 150.0),
        (20.0, "degC", "K", 293.15),
        (212.0, "degF", "degC", 100.0),
        (300.0, "K", "Cel", 26.85),
        (20.0, "%LEL", "%VOL", 1.0),
        (10_000.0, "ppm", "%LEL", 20.0),
        (5.0, "%VOL", "%LEL", 100.0),
        (3.6, "m3/h", "L/s", 1.0),
        (2.0, "L/s", "m3/h", 7.2),
        (1.0, "GJ", "kWh", 277.77777777777777),
        (3.3, "mg/L", "mg/L", 3.3),
    ],
)
def test_conversions(value: Any, source: Any, target: Any, expected: Any) -> None:
    assert units.convert(value, source, target) == pytest.approx(expected, rel=1e-15)


def test_units_that_do_not_measure_the_same() -> None:
    assert units.convert(1.0, "kPa", "degC") is None
    assert units.convert(1.0, "furlong", "m") is None
    assert not units.convertible("%", "%LEL")
    assert units.convertible("furlong", "furlong")
    assert units.convertible("furlong", None)


@settings(max_examples=200, deadline=None)
@given(st.floats(-1e6, 1e6), st.sampled_from(sorted(units.UNITS)), st.sampled_from(sorted(units.UNITS)))
def test_there_and_back(value: Any, a: Any, b: Any) -> None:
    there = units.convert(value, a, b)
    if there is not None:
        assert units.convert(there, b, a) == pytest.approx(value, rel=1e-12, abs=1e-9)
        assert units.convert(value, a, a) == value
