"""The native payload: the kernel and its slow twin give the same rows, reasons and words for any bytes."""

import json
import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.payload import native, wide
from ingest.payload.index import PointIndex
from ingest.payload.judge import Bounds
from ingest.payload.kernels import native as kernel
from ingest.payload.kernels import scan, staging
from lifeline.core import limits
from lifeline.core.schema import Flag, Reason

NOW = 1_795_000_000_000
BOUNDS = Bounds(NOW, NOW - limits.TOO_OLD_MS, NOW + limits.FUTURE_MS_MAX, 4000, 20)
SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

good = b'{"id":"G1","seq":17,"ts":1795000000000,"ch4":1.25,"temp":18.4}'


@pytest.fixture(scope="module")
def index(registry: Any) -> Any:
    return PointIndex(registry)


@pytest.fixture
def both(index: Any, messages_of: Any, plain: Any) -> Any:
    """Decode by both ways, insist that they agree, and give the result."""

    def run(payloads: Any, bounds: Any = BOUNDS, retain: Any = 0) -> Any:
        messages = messages_of(payloads, retain=retain)
        everything = np.arange(len(payloads))
        fast = plain(wide.decode(messages, everything, index, bounds, "REMEDY"))
        slow = plain(wide.decode_slowly(messages, everything.tolist(), index, bounds, "REMEDY"))
        assert slow == fast
        # bytes of every object lie inside its message
        for message, start, length in zip(fast["message"], fast["start"], fast["length"], strict=True):
            low = int(messages.payload_start[message])
            assert low <= start <= start + length <= low + len(payloads[message])
        return fast

    return run


def values(part: Any) -> Any:
    return [struct.unpack("<d", struct.pack("<Q", bits))[0] for bits in part["columns"][2]]


def test_scratch_that_was_used_leaves_no_trace(index: Any, messages_of: Any, plain: Any) -> None:
    """Small and large batches one after the other: as if each had outputs of its own."""
    scratch = wide.Scratch()
    unknown, bad = good.replace(b"G1", b"G?"), b'{"id":"G1","ts":1795000000000,"ch4":"x"}'
    sizes = (3, 200, 1, wide.CAPACITY_MIN + 5, 7, 2)
    batches = [[(good, unknown, bad, b"no")[(i * k) % 4] for i in range(size)] for k, size in enumerate(sizes, 1)]
    for batch in batches:
        messages, everything = messages_of(batch), np.arange(len(batch))
        kept = wide.decode(messages, everything, index, BOUNDS, "REMEDY", scratch)
        alone = wide.decode(messages, everything, index, BOUNDS, "REMEDY")

        assert plain(kept) == plain(alone)


def test_readings_are_their_own_whatever_the_scratch_holds_later(index: Any, messages_of: Any) -> None:
    scratch = wide.Scratch()
    first = wide.decode(messages_of([good]), np.arange(1), index, BOUNDS, "REMEDY", scratch)
    before = [column.tolist() for column in first.columns]

    wide.decode(
        messages_of([good.replace(b"1.25", b"7").replace(b"17", b"18")]), np.arange(1), index, BOUNDS, "", scratch
    )

    assert [column.tolist() for column in first.columns] == before


def test_constants_of_the_kernel_are_those_of_the_schema() -> None:
    assert (Reason.unknown_device, Reason.unknown_quantity) == (kernel.UNKNOWN_DEVICE, kernel.UNKNOWN_QUANTITY)
    assert (Reason.out_of_span, Reason.future_timestamp, Reason.too_old) == (
        kernel.OUT_OF_SPAN,
        kernel.FUTURE_TIMESTAMP,
        kernel.TOO_OLD,
    )
    assert (Flag.LATE, Flag.NO_SEQ, Flag.RETAINED) == (kernel.LATE, kernel.NO_SEQ, kernel.RETAINED)
    assert (limits.DEVICE_ID_BYTES_MAX, limits.POINTS_PER_DEVICE_MAX) == (staging.ID_BYTES_MAX, staging.KEYS_MAX)


def test_a_good_object_gives_a_row_a_quantity(both: Any) -> None:
    part = both([good])

    assert part["columns"][:2] == [[0, 1], [NOW, NOW]]
    assert values(part) == [1.25, 18.4]
    assert part["columns"][3:] == [[17, 17], [0, 0], [0, 0]]
    assert part["reason"] == [-1]


def test_key_order_blanks_null_quality_and_missing_seq(both: Any) -> None:
    part = both([b' \r\n{ "ch4" : null\t, "q":2 ,"ts": 1795000000000, "id":"G2" } '])

    assert part["columns"][0] == [2]
    assert math.isnan(values(part)[0])
    assert part["columns"][3:] == [[0], [2], [Flag.NO_SEQ]]


def test_rows_come_in_the_order_of_points_whatever_the_order_of_keys(both: Any) -> None:
    part = both([b'{"id":"G1","ts":1795000000000,"temp":18.4,"ch4":1.25}'])

    assert part["columns"][0] == [0, 1]
    assert values(part) == [1.25, 18.4]


def test_retained_and_late_flags(both: Any) -> None:
    late = good.replace(b"1795000000000", str(NOW - limits.LATE_MS_MIN - 1).encode())
    edge = good.replace(b"1795000000000", str(NOW - limits.LATE_MS_MIN).encode())
    slow_meter = b'{"id":"W-0000000001","seq":1,"ts":%d,"flow":1}' % (NOW - 600_000)

    part = both([late, edge, slow_meter], retain=[0, 1, 0])

    assert part["columns"][5] == [Flag.LATE] * 2 + [Flag.RETAINED] * 2 + [0]


REASONS = [
    (b"", Reason.malformed_payload),
    (b"   ", Reason.malformed_payload),
    (b"[]", Reason.malformed_payload),
    (b"7", Reason.malformed_payload),
    (b"[1]", Reason.malformed_payload),
    (b"[[" + good + b"]]", Reason.malformed_payload),
    (good + b"x", Reason.malformed_payload),
    (good + good, Reason.malformed_payload),
    (b"\xef\xbb\xbf" + good, Reason.malformed_payload),
    (good[:-1], Reason.malformed_payload),
    (good[:-1] + b",}", Reason.malformed_payload),
    (b"[" + good + b",]", Reason.malformed_payload),
    (b"[" + good + b"}", Reason.malformed_payload),
    (good.replace(b'"id":"G1"', b'"id":""'), Reason.malformed_payload),
    (good.replace(b'"id":"G1"', b'"id":1'), Reason.malformed_payload),
    (good.replace(b'"id":"G1"', b'"id":"' + b"G" * 129 + b'"'), Reason.malformed_payload),
    (good.replace(b'"id":"G1",', b""), Reason.malformed_payload),
    (good.replace(b'"ts":1795000000000,', b""), Reason.malformed_payload),
    (good.replace(b"1795000000000", b"1795000000000.0"), Reason.malformed_payload),
    (good.replace(b"1795000000000", b"1795e9"), Reason.malformed_payload),
    (good.replace(b"1795000000000", b'"1795000000000"'), Reason.malformed_payload),
    (good.replace(b"1795000000000", b"01795000000000"), Reason.malformed_payload),
    (good.replace(b":17,", b":-1,"), Reason.malformed_payload),
    (good.replace(b":17,", b":4294967296,"), Reason.malformed_payload),
    (good.replace(b":17,", b":1.5,"), Reason.malformed_payload),
    (good.replace(b":17,", b":null,"), Reason.malformed_payload),
    (good.replace(b'"temp":18.4', b'"q":3'), Reason.malformed_payload),
    (good.replace(b'"temp":18.4', b'"q":true'), Reason.malformed_payload),
    (good.replace(b',"ch4":1.25,"temp":18.4', b""), Reason.malformed_payload),
    (good.replace(b'"temp"', b'"ch4"'), Reason.malformed_payload),
    (good.replace(b'"temp"', b'"c\\u0068\\u0034"'), Reason.malformed_payload),
    (good.replace(b'"temp":18.4', b'"ts":1795000000000'), Reason.malformed_payload),
    (good.replace(b'"temp":18.4', b'"id":"G1"'), Reason.malformed_payload),
    (good.replace(b"18.4", b"018.4"), Reason.malformed_payload),
    (good.replace(b"18.4", b"18."), Reason.malformed_payload),
    (good.replace(b"18.4", b".4"), Reason.malformed_payload),
    (good.replace(b"18.4", b"+1"), Reason.malformed_payload),
    (good.replace(b"18.4", b"-"), Reason.malformed_payload),
    (good.replace(b"18.4", b"1e"), Reason.malformed_payload),
    (good.replace(b"18.4", b"12,5"), Reason.malformed_payload),
    (good.replace(b"18.4", b"nul"), Reason.malformed_payload),
    (good.replace(b"G1", b"G\x00"), Reason.malformed_payload),
    (good.replace(b"G1", b"G\xff"), Reason.malformed_payload),
    (good.replace(b"G1", b"\xc0\xaf"), Reason.malformed_payload),
    (good.replace(b"temp", b"te\xed\xa0\x80mp"), Reason.malformed_payload),
    (good.replace(b"18.4", b"[" * 100_000)[:3000], Reason.malformed_payload),
    (good.replace(b"18.4", b"[" * 100 + b"]" * 100), Reason.malformed_payload),
    (good.replace(b"G1", b"G9"), Reason.unknown_device),
    (good.replace(b"G1", b"G1 "), Reason.unknown_device),
    (good.replace(b"G1", b"\\u0000"), Reason.unknown_device),
    (good.replace(b"G1", b"\\ud800"), Reason.unknown_device),
    (good.replace(b"G1", "设备2".encode()), Reason.unknown_device),
    (good.replace(b"temp", b"tempo"), Reason.unknown_quantity),
    (good.replace(b"temp", b"pressure"), Reason.unknown_quantity),
    (good.replace(b"temp", b""), Reason.unknown_quantity),
    (good.replace(b"temp", "温度".encode()), Reason.unknown_quantity),
    (good.replace(b"18.4", b'"18.4"'), Reason.not_a_number),
    (good.replace(b"18.4", b'"12,5"'), Reason.not_a_number),
    (good.replace(b"18.4", b"true"), Reason.not_a_number),
    (good.replace(b"18.4", b"NaN"), Reason.not_a_number),
    (good.replace(b"18.4", b"Infinity"), Reason.not_a_number),
    (good.replace(b"18.4", b"-Infinity"), Reason.not_a_number),
    (good.replace(b"18.4", b"1e400"), Reason.not_a_number),
    (good.replace(b"18.4", b"-1" + b"0" * 1000), Reason.not_a_number),
    (good.replace(b"18.4", b'{"v":1,"v":2}'), Reason.not_a_number),
    (good.replace(b"18.4", b"[18.4]"), Reason.not_a_number),
    (good.replace(b"18.4", b"85.1"), Reason.out_of_span),
    (good.replace(b"1.25", b"-0.1"), Reason.out_of_span),
    (good.replace(b"18.4", b"9" * 300), Reason.out_of_span),
    (good.replace(b"1795000000000", str(NOW + limits.FUTURE_MS_MAX + 1).encode()), Reason.future_timestamp),
    (good.replace(b"1795000000000", b"1795000000000000"), Reason.future_timestamp),
    (good.replace(b"1795000000000", b"9" * 30), Reason.future_timestamp),
    (good.replace(b"1795000000000", b"9" * 3900), Reason.future_timestamp),
    (good.replace(b"1795000000000", str(NOW - limits.TOO_OLD_MS - 1).encode()), Reason.too_old),
    (good.replace(b"1795000000000", b"1795000000"), Reason.too_old),
    (good.replace(b"1795000000000", b"-5"), Reason.too_old),
    (good.replace(b"1795000000000", b"-" + b"9" * 30), Reason.too_old),
    (b"[" + b",".join([good] * 21) + b"]", Reason.oversized),
    (good + b" " * 4000, Reason.oversized),
]


@pytest.mark.parametrize(
    ("payload", "reason"), REASONS, ids=lambda v: v.name if isinstance(v, Reason) else repr(v[-30:])
)
def test_every_fault_has_its_reason_and_neighbours_are_kept(both: Any, payload: Any, reason: Any) -> None:
    part = both([good, payload, good])

    assert part["reason"] == [-1, int(reason), -1]
    assert part["message"] == [0, 1, 2]
    assert part["columns"][0] == [0, 1, 0, 1]
    assert part["detail"][1]
    part["detail"][1].encode()  # always valid text
    assert len(part["detail"][1]) < 400


GOOD = [
    (good.replace(b"18.4", b"-0"), -0.0),
    (good.replace(b"18.4", b"-0.0e-0"), -0.0),
    (good.replace(b"18.4", b"1E+1"), 10.0),
    (good.replace(b"18.4", b"0e9999999"), 0.0),
    (good.replace(b"18.4", b"5e-324"), 5e-324),
    (good.replace(b"18.4", b"1e-400"), 0.0),
    (good.replace(b"18.4", b"0.30000000000000004"), 0.30000000000000004),
    (good.replace(b"18.4", b"1." + b"0" * 3000), 1.0),
    (good.replace(b"temp", b"\\u0074emp"), 18.4),
    (good.replace(b"G1", b"G\\u0031"), 18.4),
    (good.replace(b":17,", b":4294967295,"), 18.4),
    (good.replace(b"1795000000000", str(NOW + limits.FUTURE_MS_MAX).encode()), 18.4),
    (good.replace(b"1795000000000", str(NOW - limits.TOO_OLD_MS).encode()), 18.4),
    (good.replace(b"18.4", b"85.0"), 85.0),
]


@pytest.mark.parametrize(("payload", "value"), GOOD, ids=lambda v: repr(v)[-40:])
def test_unusual_but_good_objects_are_kept(both: Any, payload: Any, value: Any) -> None:
    part = both([payload])

    assert part["reason"] == [-1]
    assert struct.pack("<d", values(part)[1]) == struct.pack("<d", value)


def test_known_names_beyond_ascii_stay_on_the_fast_path(both: Any, index: Any, messages_of: Any) -> None:
    payload = '{"id":"设备1","ts":1795000000000,"压力":7}'.encode()

    assert both([payload])["columns"][0] == [5]


def test_objects_of_a_pack_are_judged_one_by_one(both: Any) -> None:
    bad = good.replace(b"18.4", b'"x"')
    unknown = good.replace(b"G1", b"G7")
    pack = b"[" + b", ".join([good, bad, good, unknown, b"3", good]) + b" ]"

    part = both([pack])

    assert part["reason"] == [-1, Reason.not_a_number, -1, Reason.unknown_device, Reason.malformed_payload, -1]
    assert part["values"] == [2, 2, 2, 2, 0, 2]
    assert part["row_object"] == [0, 0, 2, 2, 5, 5]


def test_damage_behind_good_objects_takes_the_whole_message(both: Any) -> None:
    part = both([b"[" + good + b"," + good.replace(b"G1", b"G7") + b"," + good[:-1]])

    assert part["reason"] == [Reason.malformed_payload]
    assert part["columns"][0] == []


def test_reject_slices_are_the_objects_own_bytes(both: Any) -> None:
    bad = '{"id":"设备1","ts":1795000000000,"压力":"é"}'.encode()
    pack = b"[" + '{"id":"设备3","ts":1,"x":1}'.encode() + b" ,\n" + bad + b"]"

    part = both([pack])

    low = part["start"][0] - 1
    start, length = part["start"][1] - low, part["length"][1]
    assert pack[start : start + length] == bad


def test_a_full_pack_is_accepted_and_one_more_refused(both: Any) -> None:
    bounds = Bounds(NOW, BOUNDS.ts_min, BOUNDS.ts_max)
    tiny = b'{"id":"G2","ts":1795000000000,"ch4":1}'

    full = both([b"[" + b",".join([tiny] * limits.PACK_OBJECTS_MAX) + b"]"], bounds)
    over = both([b"[" + b",".join([tiny] * (limits.PACK_OBJECTS_MAX + 1)) + b"]"], bounds)

    assert len(full["columns"][0]) == limits.PACK_OBJECTS_MAX
    assert over["reason"] == [Reason.oversized]


def test_an_object_with_more_quantities_than_the_kernel_holds(both: Any) -> None:
    wide_object = b'{"id":"G1","ts":1795000000000,%s}' % b",".join(b'"k%d":1' % i for i in range(70))

    assert both([wide_object])["reason"] == [Reason.unknown_quantity]


def test_outputs_that_are_too_small_are_taken_in_several_calls(both: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(wide, "CAPACITY_MIN", 1)
    pack = b"[" + b",".join([good] * 19) + b"]"
    payloads = [pack, b"x", good.replace(b"G1", b"G5"), pack, pack] * 3

    part = both(payloads)

    assert len(part["columns"][0]) == 9 * 38
    assert sorted(part["message"]) == part["message"]


# --- any bytes -------------------------------------------------------------------------------------------------

names = st.sampled_from(["G1", "G2", "W-0000000001", "设备1", "H" * 128, "G3", "", "é", 'a"b', "\\", "\x7f"])
quantities = st.sampled_from(
    ["ch4", "temp", "pressure", "flow", "压力", "t_supply", "nope", "id", "ts", "seq", "q", ""]
)
numbers = st.one_of(
    st.integers(-50, 150),
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(-50, 150),
    st.integers(-(10**25), 10**25),
)
anything = st.one_of(numbers, st.none(), st.booleans(), st.text(max_size=3), st.just([]), st.just({"a": 1}))
stamps = st.one_of(st.integers(NOW - 200_000, NOW + 200_000), st.integers(-(2**70), 2**70), anything)


@st.composite
def an_object(draw: Any, ascii_only: Any = True) -> Any:
    pairs = [("id", draw(names)), ("ts", draw(st.one_of(st.just(NOW), stamps)))]
    if draw(st.booleans()):
        pairs.append(("seq", draw(st.one_of(st.integers(0, 2**32), anything))))
    if draw(st.integers(0, 3)) == 0:
        pairs.append(("q", draw(st.one_of(st.integers(0, 3), anything))))
    pairs += [
        (draw(quantities), draw(st.one_of(numbers, numbers, st.none(), anything)))
        for _ in range(draw(st.integers(0, 3)))
    ]
    pairs = draw(st.permutations(pairs))
    escape = draw(st.booleans())
    gap = draw(st.sampled_from(["", " ", "\n\t"]))

    def dump(value: Any) -> Any:
        return json.dumps(value, ensure_ascii=escape)

    return ("{" + f",{gap}".join(f"{dump(k)}{gap}:{dump(v)}" for k, v in pairs) + gap + "}").encode()


@st.composite
def a_payload(draw: Any) -> Any:
    objects = draw(st.lists(an_object(), min_size=1, max_size=4))
    payload = objects[0] if len(objects) == 1 else b"[" + b",".join(objects) + b"]"
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2]))):
        at = draw(st.integers(0, max(len(payload) - 1, 0)))
        kind = draw(st.integers(0, 3))
        byte = bytes([draw(st.one_of(st.integers(0, 255), st.sampled_from(list(b'"\\{}[],:0 -.eE\n'))))])
        payload = {
            0: payload[:at] + byte + payload[at + 1 :],
            1: payload[:at],
            2: payload[:at] + byte + payload[at:],
            3: payload[:at] + payload[at + 1 :],
        }[kind]
    return payload


@SETTINGS
@given(payloads=st.lists(a_payload(), min_size=1, max_size=8))
def test_kernel_and_slow_twin_agree_on_mutated_payloads(both: Any, payloads: Any) -> None:
    part = both(payloads)

    assert sorted(set(part["message"])) == list(range(len(payloads)))  # every message leaves a trace


@SETTINGS
@given(payloads=st.lists(st.binary(max_size=60), min_size=1, max_size=8))
def test_kernel_and_slow_twin_agree_on_any_bytes(both: Any, payloads: Any) -> None:
    assert all(reason >= 0 for reason in both(payloads)["reason"])


@SETTINGS
@given(payload=a_payload())
def test_nan_comes_from_null_only(both: Any, payload: Any) -> None:
    part = both([payload])

    if any(math.isnan(v) for v in values(part)):
        assert b"null" in payload
    assert not any(math.isinf(v) for v in values(part))


def test_every_truncation_and_every_byte_flip_of_a_pack(both: Any) -> None:
    pack = b'[%s,{"ch4":1e0,"id":"G2","ts":1795000000000,"q":1}]' % good
    flips = [pack[:i] + bytes([pack[i] ^ bit]) + pack[i + 1 :] for i in range(len(pack)) for bit in (1, 4, 32, 128)]

    both([pack[:i] for i in range(len(pack))] + flips)


def test_nesting_counts_brackets_outside_strings() -> None:
    def depth(text: Any) -> Any:
        return scan.nesting(np.frombuffer(text, np.uint8))

    assert depth(b'[{"a[[[":"\\"{{"}]') == 2
    assert depth(b"[[][[]]]") == 3
    assert native.NESTING_MAX < 100
