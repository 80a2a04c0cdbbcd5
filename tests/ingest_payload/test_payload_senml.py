"""SenML: the resolution rules of RFC 8428, and its own examples where the standard's files are at hand."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ingest.payload.faults import Fault
from ingest.payload.judge import Bounds
from ingest.payload.senml import SenML
from lifeline.core.schema import Reason

NOW = 1_795_000_000_000
BOUNDS = Bounds(NOW, 0, 2 * NOW, objects_max=100)


def parse(pack: Any) -> Any:
    return SenML().parse("t", pack if isinstance(pack, bytes) else json.dumps(pack).encode(), BOUNDS)


def plain(found: Any) -> Any:
    return [(c.device, c.ts, c.has_time, [(v.quantity, v.number, v.unit) for v in c.values]) for c in found]


def test_base_fields_hold_until_they_change() -> None:
    pack = [
        {"bn": "urn:dev:ow:10e2:", "bt": 1_795_000_000, "bu": "Cel", "n": "t_supply", "v": 80},
        {"n": "t_return", "v": 45.5},
        {"n": "flow", "v": 1, "u": "m3/s"},
        {"n": "t_supply", "t": 1.5, "v": 81},
        {"bn": "urn:dev:ow:77/", "n": "p", "v": 3, "u": "Pa"},
    ]

    assert plain(parse(pack)) == [
        (
            "urn:dev:ow:10e2",
            NOW,
            True,
            [("t_supply", 80, "Cel"), ("t_return", 45.5, "Cel"), ("flow", 1, "m3/s")],
        ),
        ("urn:dev:ow:10e2", NOW + 1500, True, [("t_supply", 81, "Cel")]),
        ("urn:dev:ow:77", NOW, True, [("p", 3, "Pa")]),
    ]


def test_times_below_2_to_28_are_relative_to_now_and_none_is_flagged() -> None:
    found = parse([{"bn": "d:", "n": "a", "v": 1, "t": -5}, {"n": "b", "v": 1}])

    assert plain(found) == [("d", NOW - 5000, True, [("a", 1, None)]), ("d", NOW, False, [("b", 1, None)])]


def test_a_whole_name_is_parted_at_its_last_separator_and_base_values_add() -> None:
    assert plain(parse([{"bv": 20, "n": "a:b/temp", "v": 1.5}])) == [("a:b", NOW, False, [("temp", 21.5, None)])]


def test_a_record_of_base_fields_only() -> None:
    assert len(parse([{"bn": "d:", "bt": 1_795_000_000}, {"n": "a", "v": 1}])) == 1


@pytest.mark.parametrize("record", [{"vs": "x"}, {"vb": True}, {"vd": "AA"}, {"s": 5}, {"v": "1"}, {"v": True}])
def test_other_values_are_not_numbers(record: Any) -> None:
    (found,) = parse([{"bn": "d:", "n": "a", **record}])

    assert found.values[0].wrong


@pytest.mark.parametrize(
    "pack",
    [
        b"",
        b"{}",
        b"[]",
        b"[1]",
        b'[{"n":"a:b","v":1,"v":2}]',
        [{"n": "a:b"}],
        [{"v": 1}],
        [{"n": "ab", "v": 1}],
        [{"bn": "d:", "n": "a", "v": 1, "bver": 11}],
        [{"bn": "d:", "n": "a", "v": 1, "x_": 1}],
        [{"bn": 5, "n": "a", "v": 1}],
        [{"bn": "d:", "n": "a", "v": 1, "t": "now"}],
        [{"bn": "d:", "n": "a", "v": 1, "t": 10**400}],
    ],
)
def test_malformed_packs(pack: Any) -> None:
    (found,) = parse(pack)

    assert isinstance(found, Fault)
    assert found.reason == Reason.malformed_payload


def test_a_quantity_that_comes_again_for_the_same_time_begins_another_object() -> None:
    found = parse([{"bn": "d:", "n": "a", "v": 1}, {"n": "b", "v": 2}, {"n": "a", "v": 3}])

    assert [[(v.quantity, v.number) for v in c.values] for c in found] == [[("a", 1), ("b", 2)], [("a", 3)]]


def test_too_many_records() -> None:
    assert parse([{"bn": "d:", "n": "a", "v": 1}] * 101)[0].reason == Reason.oversized


EXAMPLES = os.environ.get("LIFELINE_SENML_EXAMPLES")
"""A folder with the examples of RFC 8428 and their resolved forms, where somebody has one."""

if EXAMPLES:

    def test_the_standards_examples() -> None:
        """Every numeric record of RFC 8428's resolved examples comes out with its name, time and value."""
        compared = 0
        for resolved in sorted(Path(EXAMPLES).glob("*.gen.resolved.json")):
            source = resolved.with_name(resolved.name.replace(".gen.resolved", ""))
            records = json.loads(resolved.read_text())
            absolute = any(record.get("bt", 0) >= 2**28 for record in json.loads(source.read_text()))
            now = round(records[0]["t"] * 1000)  # "now" of whoever resolved a pack without absolute times
            got = SenML().parse("t", source.read_bytes(), Bounds(now, 0, 2 * now))
            assert not any(isinstance(c, Fault) for c in got), (source.name, got)
            flat = sorted(
                ((c.device + v.quantity).replace(":", "").replace("/", ""), c.ts, v.number)
                for c in got
                for v in c.values
                if v.wrong is None
            )
            wanted = sorted(
                (r["n"].replace(":", "").replace("/", ""), round(r["t"] * 1000), r["v"]) for r in records if "v" in r
            )
            assert [n for n, _, _ in wanted] == [n for n, _, _ in flat], source.name
            assert [v for _, _, v in wanted] == pytest.approx([v for _, _, v in flat]), source.name
            assert not absolute or [t for _, t, _ in wanted] == [t for _, t, _ in flat], source.name
            compared += len(flat)
        assert compared > 10
