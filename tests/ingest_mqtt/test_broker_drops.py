"""What the broker drops it counts itself; the engine shows its count as what it is: never acknowledged here (M10)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lifeline.core.metrics import Metrics

TOPIC = "$SYS/broker/publish/messages/dropped"


def said(metrics: Metrics) -> float | None:
    return metrics.registry.get_sample_value("lifeline_broker_dropped_messages", {"broker": "city"})


def test_the_brokers_count_is_shown_and_is_no_reading(
    flavour: str, collect: Any, raw_broker: Any, publish: Any, log: Any, metrics: Metrics, wait_for: Any
) -> None:
    """From the retained value on; one that falls is a broker that has restarted."""
    collector = collect(flavour, raw_broker.port, ready=False, drops=TOPIC)
    raw_broker.welcome(granted=b"\x01\x00")
    wait_for(lambda: collector.state.connected, "connected")
    assert collector.state.dropped is None
    for count, expected in ((b"5", 0), (b"9", 4), (b"2", 6), (b"many", 6), (b"3", 7)):
        said_now = bytearray(publish(TOPIC.encode(), count))
        said_now[0] |= count == b"5"  # RETAIN
        raw_broker.send(bytes(said_now) + publish(b"x" * len(TOPIC), b"1.5", 7))
        assert raw_broker.pubacks(1) == [7]
        assert collector.state.dropped == expected

    assert log.values == [1.5] * 5
    assert log.rejects == []
    assert said(metrics) == 7
    assert "has dropped 7 messages" in collector.state.warning


def test_a_broker_that_counts_only_once_something_was_dropped(
    collect: Any, raw_broker: Any, publish: Any, wait_for: Any
) -> None:
    """Mosquitto says nothing before its first drop: then its first word counts whole."""
    collector = collect("native", raw_broker.port, ready=False, drops=TOPIC)
    raw_broker.welcome(granted=b"\x01\x00")
    raw_broker.send(publish(TOPIC.encode(), b"17"))
    wait_for(lambda: collector.state.dropped == 17, "all of them")


@pytest.mark.parametrize(("granted", "connected"), [(b"\x01\x87", True), (b"\x87\x00", False)])
def test_a_broker_that_keeps_its_count_to_itself_is_collected_from_all_the_same(
    granted: bytes, connected: bool, flavour: str, collect: Any, raw_broker: Any, wait_for: Any
) -> None:
    """And one that grants nothing but its count is none to collect from."""
    collector = collect(flavour, raw_broker.port, ready=False, drops=TOPIC)
    raw_broker.welcome(granted=granted)
    if connected:
        wait_for(lambda: collector.state.connected, "connected")
        assert TOPIC in collector.state.warning
    else:
        wait_for(lambda: "refuses every subscription" in (collector.state.last_error or ""), "refused")


@pytest.mark.integration
def test_an_engine_that_is_too_slow_reports_what_mosquitto_dropped(
    collect: Any, make_mosquitto: Callable[..., Any], log: Any, wait_for: Any
) -> None:
    broker = make_mosquitto(extra="max_queued_messages 10\nsys_interval 1")
    collector = collect("native", broker.port, drops=TOPIC, receive_maximum=10)
    log.go.clear()  # nothing is committed: nothing is acknowledged, and Mosquitto's queue for us fills up
    broker.publish_many([("lifeline/gas/D", str(n)) for n in range(300)])
    wait_for(lambda: collector.state.dropped, "drops are reported")
    log.go.set()
    wait_for(lambda: len(log.values) + collector.state.dropped == 300, "every message came or is reported")
    assert collector.state.dropped >= 200
