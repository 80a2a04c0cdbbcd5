"""Topic filters against the table of MQTT 5, section 4.7, and against a naive matcher."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.payload.topics import TopicMatcher, plain_filter

TABLE = [
    ("sport/tennis/player1/#", "sport/tennis/player1", True),
    ("sport/tennis/player1/#", "sport/tennis/player1/ranking", True),
    ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", True),
    ("sport/#", "sport", True),
    ("sport/#", "sports", False),
    ("#", "a/b", True),
    ("#", "/", True),
    ("#", "$SYS/monitor", False),
    ("+/monitor", "$SYS/monitor", False),
    ("$SYS/#", "$SYS/monitor", True),
    ("$SYS/monitor/+", "$SYS/monitor/Clients", True),
    ("sport/tennis/+", "sport/tennis/player1", True),
    ("sport/tennis/+", "sport/tennis/player1/ranking", False),
    ("sport/+", "sport", False),
    ("sport/+", "sport/", True),
    ("+/+", "/finance", True),
    ("/+", "/finance", True),
    ("+", "/finance", False),
    ("+/tennis/#", "sport/tennis", True),
    ("a/+/c", "a//c", True),
    ("a/b", "a/b/", False),
    ("a/b/", "a/b", False),
    ("A", "a", False),
    ("$share/group/lifeline/#", "lifeline/gas/1", True),
    ("$share/group/+/x", "a/x", True),
    ("lifeline/设备/#", "lifeline/设备/1", True),
]


def matched(pattern: Any, topic: Any) -> Any:
    data = np.frombuffer(b"a/" + topic.encode() + b"/z", np.uint8)
    starts, lengths = np.array([2]), np.array([len(topic.encode())], np.int32)
    return TopicMatcher([pattern]).first(data, starts, lengths)[0] == 0


@pytest.mark.parametrize(("pattern", "topic", "expected"), TABLE)
def test_the_standards_examples(pattern: Any, topic: Any, expected: Any) -> None:
    assert matched(pattern, topic) == expected


def naive(pattern: Any, topic: Any) -> Any:
    if topic.startswith("$") and pattern[0] in "+#":
        return False
    p, t = pattern.split("/"), topic.split("/")
    for i, level in enumerate(p):
        if level == "#":
            return True
        if i >= len(t) or level not in ("+", t[i]):
            return False
    return len(p) == len(t)


levels = st.lists(st.sampled_from(["", "a", "b", "ab", "$", "+"]), min_size=1, max_size=4)


@settings(max_examples=300, deadline=None)
@given(levels, levels, st.booleans())
def test_agrees_with_a_naive_matcher(p: Any, t: Any, tail: Any) -> None:
    topic = "/".join("a" if level == "+" else level for level in t)
    pattern = "/".join(p + ["#"] * tail)
    if topic and pattern:
        assert matched(pattern, topic) == naive(pattern, topic)


@pytest.mark.parametrize(
    "wrong", ["", "a/#/b", "a#", "#a", "a+", "+a/b", "$share/g", "$share//a", "$share/g+/a", "a\0b", "x" * 70_000]
)
def test_what_is_no_filter_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"topic filter|shared subscription|stand alone"):
        plain_filter(wrong)


def test_the_first_of_several_counts() -> None:
    data = np.frombuffer(b"a/ba/cx", np.uint8)
    starts, lengths = np.array([0, 3, 6]), np.array([3, 3, 1], np.int32)

    assert TopicMatcher(["a/c", "a/+", "#"]).first(data, starts, lengths).tolist() == [1, 0, 2]
    assert TopicMatcher(["a/c"]).first(data, starts, lengths).tolist() == [-1, 0, -1]
