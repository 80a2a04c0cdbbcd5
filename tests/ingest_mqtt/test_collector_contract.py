"""What every collector promises, run over the native and the paho one, against a broker by hand and a real one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ingest.mqtt.connection import Connection
from ingest.mqtt.control import ConnectSettings, Subscription, build_publish
from lifeline.core.limits import LOG_QUEUE_BATCHES

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("qos", [0, 1])
def test_messages_of_a_real_broker_reach_the_log(
    flavour: str,
    version: int,
    qos: int,
    mosquitto: Any,
    collect: Callable[..., Any],
    log: Any,
    decoder: Any,
    wait_for: Any,
) -> None:
    """QoS 0 and 1, MQTT 3.1.1 and 5, each message once and in order, a Chinese topic among them."""
    collector = collect(flavour, mosquitto.port, protocol=version)
    items = [(f"lifeline/gas/G{i}" if i % 7 else "lifeline/水/一", str(i)) for i in range(500)]
    mosquitto.publish_many(items, qos)
    wait_for(lambda: len(log.values) >= 500, "500 readings")
    assert [float(i) for i in range(500)] == log.values
    assert [topic.encode() for topic, _ in items] == decoder.topics
    wait_for(lambda: collector.state.unacknowledged == 0, "all acknowledged")
    state = collector.state
    assert (state.messages, state.granted_qos, state.last_error) == (500, {"lifeline/#": 1}, None)
    assert state.connected_since is not None


@pytest.mark.parametrize("version", [4, 5])
def test_nothing_is_acknowledged_before_the_commit_4_3_2_4(
    flavour: str, version: int, raw_broker: Any, collect: Callable[..., Any], log: Any, publish: Any, wait_for: Any
) -> None:
    """PUBACK means accepted ownership: with the log held there is silence, afterwards all, in order."""
    log.go.clear()
    collect(flavour, raw_broker.port, ready=False, protocol=version)
    connect = raw_broker.welcome(version)
    assert connect[9 if connect[1] < 128 else 10] & 0b10 == 0, "Clean Start must be 0: the session survives"
    for i in (3, 1, 2):
        raw_broker.send(publish(b"lifeline/gas/G", b"%d" % i, i, version))
    assert raw_broker.silent(0.3)
    log.go.set()
    assert raw_broker.pubacks(3) == [3, 1, 2]
    assert log.values == [3.0, 1.0, 2.0]


def test_pubacks_leave_in_order_of_arrival_with_good_bad_and_too_long_mixed_4_6_0_2(
    flavour: str, raw_broker: Any, collect: Callable[..., Any], log: Any, publish: Any
) -> None:
    """Whatever becomes of a message, its acknowledgement waits for those before it."""
    collect(flavour, raw_broker.port, ready=False, protocol=4)
    raw_broker.welcome(4)
    ids, packets = [], []
    for i in range(300):
        identifier = (i * 7919) % 65_535 + 1
        topic, payload = b"lifeline/gas/G", b"%d" % i
        if i % 5 == 1:
            payload = b"no number"
        if i % 5 == 2:
            topic = b"lifeline/" + b"x" * 1100
        if i % 50 == 3:
            payload = b"7 " + b"x" * (1 << 20)
        if i % 97 == 4:
            payload = b"explode"
        ids.append(identifier)
        packets.append(publish(topic, payload, identifier, 4))
    for packet in packets:
        raw_broker.send(packet)
    assert ids == raw_broker.pubacks(300)
    reasons = [row["reason"] for row in log.rejects]
    assert {r: reasons.count(r) for r in set(reasons)} == {
        "malformed_payload": 60 + 3,
        "malformed_packet": 60,
        "oversized": 6,
    }
    assert len(log.values) == 300 - 60 - 60 - 6 - 3
    assert all(len(row["payload"]) <= 4096 and row["broker"] == "city" for row in log.rejects)


def test_same_identifier_again_is_acknowledged_again_4_3_2_5(
    flavour: str, raw_broker: Any, collect: Callable[..., Any], log: Any, publish: Any
) -> None:
    """Before and after our PUBACK, with DUP and without: each gets its own; identity is the decoder's business."""
    collect(flavour, raw_broker.port, ready=False)
    raw_broker.welcome()
    raw_broker.send(publish(b"lifeline/a", b"1", 9) + publish(b"lifeline/a", b"1", 9, dup=True))
    assert raw_broker.pubacks(2) == [9, 9]
    raw_broker.send(publish(b"lifeline/a", b"2", 9, dup=True))
    assert raw_broker.pubacks(1) == [9]
    assert log.values == [1.0, 1.0, 2.0]


def test_failed_commit_withholds_the_ack_drops_the_connection_and_forgets_4_4_0_2(
    flavour: str, raw_broker: Any, collect: Callable[..., Any], log: Any, publish: Any, wait_for: Any
) -> None:
    """No PUBACK at all for what is not durable: the broker sends it again after the reconnect."""
    lost: list[int] = []
    log.failures = 1
    collector = collect(flavour, raw_broker.port, ready=False, on_lost=lambda: lost.append(len(log.batches)))
    raw_broker.welcome()
    raw_broker.send(publish(b"lifeline/a", b"1", 1))
    assert raw_broker.packet() == b"", "the connection is dropped without a PUBACK or DISCONNECT"
    raw_broker.welcome(session=True)
    assert lost == [0], "the memory of repeats was told before anything new is decoded"
    raw_broker.send(publish(b"lifeline/a", b"1", 1, dup=True))
    assert raw_broker.pubacks(1) == [1]
    assert log.values == [1.0]
    assert collector.state.reconnects == 1
    wait_for(lambda: collector.state.connected, "connected")
    assert collector.state.last_error is None


def test_redelivery_by_a_real_broker_after_a_failed_commit(
    flavour: str, mosquitto: Any, collect: Callable[..., Any], log: Any, wait_for: Any
) -> None:
    """Nothing is lost over several failures; what was durable may come twice."""
    collector = collect(flavour, mosquitto.port)
    log.failures = 3
    mosquitto.publish_many([("lifeline/a", str(i)) for i in range(200)])
    wait_for(lambda: set(log.values) == {float(i) for i in range(200)}, "all 200")
    wait_for(lambda: collector.state.connected and collector.state.unacknowledged == 0, "settled")
    assert log.failed == 3
    assert collector.state.reconnects >= 1


@pytest.mark.parametrize("version", [4, 5])
def test_broker_killed_and_restarted_m01(
    flavour: str, version: int, mosquitto: Any, collect: Callable[..., Any], log: Any, wait_for: Any
) -> None:
    """The session survives in the broker; what was published while we were away arrives."""
    collector = collect(flavour, mosquitto.port, protocol=version)
    mosquitto.publish("lifeline/a", "1")
    wait_for(lambda: log.values == [1.0], "the first")
    wait_for((mosquitto.folder / "mosquitto.db").exists, "persistence")
    mosquitto.stop()
    wait_for(lambda: not collector.state.connected, "noticed")
    assert collector.state.last_error
    mosquitto.start()
    wait_for(lambda: collector.state.connected, "connected again")
    assert collector.state.session_present is True
    assert collector.state.sessions_lost == 0
    mosquitto.publish("lifeline/a", "2")
    wait_for(lambda: log.values == [1.0, 2.0], "the second")


def test_forgotten_session_is_reported_and_subscribed_anew_m01(
    flavour: str, mosquitto: Any, collect: Callable[..., Any], log: Any, wait_for: Any
) -> None:
    """Session Present 0 after we had one: a gap that nobody may hide."""
    collector = collect(flavour, mosquitto.port)
    mosquitto.stop(kill=True)
    wait_for(lambda: not collector.state.connected, "noticed")
    for file in mosquitto.folder.glob("mosquitto.db*"):
        file.unlink()
    mosquitto.start()
    wait_for(lambda: collector.state.connected, "connected again")
    assert (collector.state.sessions_lost, collector.state.session_present) == (1, False)
    assert "may be missing" in collector.state.warning
    mosquitto.publish("lifeline/a", "5")
    wait_for(lambda: log.values == [5.0], "subscribed anew")


def test_refused_subscription_is_visible_m09(
    flavour: str, raw_broker: Any, collect: Callable[..., Any], wait_for: Any
) -> None:
    """One refused, one granted lower: the connection works and says what is wrong."""
    from ingest.broker import Subscribe

    filters = (Subscribe("lifeline/#"), Subscribe("other/#"), Subscribe("third/#", 0))
    collector = collect(flavour, raw_broker.port, ready=False, subscribe=filters)
    raw_broker.welcome(granted=b"\x00\x87\x00")
    wait_for(lambda: collector.state.connected, "connected")
    state = collector.state
    assert state.granted_qos == {"lifeline/#": 0, "other/#": 0x87, "third/#": 0}
    assert "other/#" in state.warning
    assert "QoS 0 only" in state.warning
    assert "third" not in state.warning


def test_all_subscriptions_refused_is_an_error_and_tried_again(
    flavour: str, raw_broker: Any, collect: Callable[..., Any], wait_for: Any
) -> None:
    collector = collect(flavour, raw_broker.port, ready=False)
    raw_broker.welcome(granted=b"\x87")
    raw_broker.welcome()
    wait_for(lambda: collector.state.connected, "connected at the second try")
    assert collector.state.reconnects == 1


def test_connection_refused_by_the_broker_is_said(
    flavour: str, raw_broker: Any, collect: Callable[..., Any], wait_for: Any
) -> None:
    collector = collect(flavour, raw_broker.port, ready=False)
    raw_broker.accept()
    raw_broker.send(b"\x20\x03\x00\x87\x00")
    wait_for(lambda: collector.state.last_error, "the refusal")
    assert "refuses the connection" in collector.state.last_error
    assert "authorized" in collector.state.last_error.lower().replace("_", " ").replace("not authorized", "authorized")


def test_takeover_waits_long_and_is_loud_m09(
    flavour: str, raw_broker: Any, collect: Callable[..., Any], wait_for: Any
) -> None:
    """DISCONNECT 0x8E: the ousted one says so and waits at least max_s, so the newcomer keeps the session."""
    collector = collect(flavour, raw_broker.port, ready=False, reconnect_max_s=30.0)
    raw_broker.welcome()
    raw_broker.send(b"\xe0\x01\x8e")
    wait_for(lambda: collector.state.taken_over == 1, "taken over")
    assert f"'{collector.settings.client_id}'" in collector.state.last_error
    assert not collector.state.connected
    raw_broker.listener.settimeout(0.5)
    with pytest.raises(TimeoutError):
        raw_broker.accept()


def test_two_collectors_with_one_client_id_do_not_storm_m09(
    flavour: str, mosquitto: Any, collect: Callable[..., Any], wait_for: Any
) -> None:
    """Mosquitto 2.0 gives no reason: the guess is said, and the back-off grows although each connection succeeds."""
    both = [collect(flavour, mosquitto.port, client_id="twice", reconnect_max_s=30.0) for _ in range(2)]
    wait_for(lambda: any("another client" in str(c.state.last_error) for c in both), "the guess")
    assert sum(c.state.reconnects for c in both) < 20


def test_stop_waits_for_commits_acknowledges_and_says_goodbye(
    flavour: str, raw_broker: Any, collect: Callable[..., Any], log: Any, publish: Any, wait_for: Any
) -> None:
    """A clean stop leaves nothing to redeliver."""
    import threading

    log.go.clear()
    collector = collect(flavour, raw_broker.port, ready=False)
    raw_broker.welcome()
    raw_broker.send(publish(b"lifeline/a", b"1", 5))
    wait_for(lambda: collector.state.unacknowledged == 1, "received")
    stopper = threading.Thread(target=collector.stop)
    stopper.start()
    assert raw_broker.silent(0.1)
    log.go.set()
    assert raw_broker.pubacks(1) == [5]
    assert raw_broker.packet() == b"\xe0\x00"
    assert raw_broker.packet() == b""
    stopper.join()
    assert not collector.state.connected


def test_slow_log_stops_the_reading_not_the_collector_m10(
    flavour: str, raw_broker: Any, collect: Callable[..., Any], log: Any, publish: Any, wait_for: Any
) -> None:
    """With the log held, a bounded number of batches is taken; when it goes on, all of it arrives."""
    log.go.clear()
    collector = collect(flavour, raw_broker.port, ready=False)
    raw_broker.welcome()
    for i in range(1, 41):
        raw_broker.send(publish(b"lifeline/a", b"%d" % i, i))
        if i <= LOG_QUEUE_BATCHES:  # one batch each
            wait_for(lambda i=i: collector.state.messages >= i, "taken")
    assert raw_broker.silent(0.2)
    assert collector.state.messages == LOG_QUEUE_BATCHES
    log.go.set()
    assert list(range(1, 41)) == raw_broker.pubacks(40)


def test_metrics_count_what_came(
    flavour: str, raw_broker: Any, collect: Callable[..., Any], metrics: Any, publish: Any
) -> None:
    collect(flavour, raw_broker.port, ready=False)
    raw_broker.welcome()
    raw_broker.send(publish(b"lifeline/a", b"1", 1) + publish(b"lifeline/a", b"x", 2) + publish(b"lifeline/a", b"2", 3))
    raw_broker.pubacks(3)
    value = metrics.registry.get_sample_value
    assert value("lifeline_messages_received_total", {"broker": "city"}) == 3
    assert value("lifeline_log_unacked_readings") == 0
    assert value("lifeline_broker_connected", {"broker": "city"}) == 1


class Question:
    """Asks once."""

    def __init__(self) -> None:
        self.waiting = [("spBv1.0/City/NCMD/Edge-1", b"reborn?")]

    def outgoing(self, now_ms: int) -> list[tuple[str, bytes]]:
        assert now_ms > 0
        out, self.waiting = self.waiting, []
        return out

    def warning(self) -> str:
        return "an edge node is dead"


@pytest.mark.parametrize("version", [4, 5])
def test_what_a_decoder_asks_goes_out_at_qos_0_and_acknowledges_nothing(
    flavour: str, version: int, raw_broker: Any, collect: Callable[..., Any], log: Any, publish: Any
) -> None:
    """Not before the subscription stands; with the log held the question leaves and no PUBACK does."""
    log.go.clear()
    question = Question()
    collector = collect(flavour, raw_broker.port, ready=False, protocol=version, asking=question)
    raw_broker.welcome(version)
    raw_broker.send(publish(b"lifeline/gas/G", b"1", 7, version))
    asked = raw_broker.packet()

    topic = b"spBv1.0/City/NCMD/Edge-1"
    head = len(topic).to_bytes(2, "big") + topic + (b"\0" if version == 5 else b"")
    assert asked == bytes([0x30, len(head) + 7]) + head + b"reborn?"
    assert raw_broker.silent(0.3)
    log.go.set()
    assert raw_broker.pubacks(1) == [7]
    assert collector.state.warning == "an edge node is dead"


def test_a_question_that_the_server_would_refuse_or_cannot_hear_is_not_sent() -> None:
    """Maximum Packet Size is obeyed; before CONNACK and after the end nothing is queued."""
    settings = ConnectSettings(client_id="c")
    connection = Connection(settings, [Subscription("a", 1)])
    assert not connection.publish("t", b"x")
    connection.connect_bytes(0.0)
    connack = b"\x20\x08\x00\x00\x05\x27\x00\x00\x00\x14"  # a Maximum Packet Size of 20 bytes
    connection.receive(np.frombuffer(connack, np.uint8), len(connack), 0.0)
    connection.bytes_to_send(0.0)

    assert connection.publish("t", b"x" * 14)
    assert not connection.publish("t", b"x" * 15)
    assert connection.bytes_to_send(0.0) == b"\x30\x12\x00\x01t\x00" + b"x" * 14
    connection.close()
    assert not connection.publish("t", b"x")


@pytest.mark.parametrize("topic", ["", "a/+", "#"])
def test_wildcards_are_no_topics_to_publish_to_3_3_2_2(topic: str) -> None:
    with pytest.raises(ValueError, match="no topic to publish to"):
        build_publish(topic, b"", 5)
