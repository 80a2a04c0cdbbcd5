"""The bundled broker: starts, carries, survives a collector's absence, ends with its parent."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as paho
import pytest

from ingest.embedded import EmbeddedBroker
from lifeline.core.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(name="broker", scope="module")
def _broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker


def publish(port: int, topic: str, count: int) -> None:
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for info in [client.publish(topic, str(i), 1) for i in range(count)]:
        info.wait_for_publish(20)
    client.disconnect()
    client.loop_stop()


def test_messages_arrive_and_are_acknowledged(
    broker: EmbeddedBroker, collect: Callable[..., Any], log: Any, wait_for: Any
) -> None:
    collector = collect(port=broker.port, protocol=4, client_id="embedded-1")
    publish(broker.port, "lifeline/gas/G1", 300)
    wait_for(lambda: len(log.values) == 300, "300 readings")
    assert [float(i) for i in range(300)] == log.values
    wait_for(lambda: collector.state.unacknowledged == 0, "acknowledged")
    assert collector.state.granted_qos == {"lifeline/#": 1}


def test_order_and_every_message_past_full_queues_4_6_0_5(
    broker: EmbeddedBroker, collect: Callable[..., Any], log: Any, wait_for: Any, publish_bytes: Callable[..., bytes]
) -> None:
    """A publisher without a window of its own: more at once than the broker's queue holds."""
    collect(port=broker.port, protocol=4, client_id="embedded-4")
    with socket.create_connection(("127.0.0.1", broker.port)) as publisher:
        publisher.sendall(bytes.fromhex("100d 0004 4d515454 04 02 003c 0001 70"))
        assert publisher.recv(4) == b"\x20\x02\0\0"
        publisher.sendall(b"".join(publish_bytes(b"lifeline/a", b"%d" % i, i + 1, 4) for i in range(3000)))
        wait_for(lambda: len(log.values) >= 3000, "3000 readings", 40)
    assert log.values == [float(i) for i in range(3000)]


def test_messages_of_an_absence_are_kept(
    broker: EmbeddedBroker, collect: Callable[..., Any], log: Any, wait_for: Any
) -> None:
    """Amqtt keeps no session of anonymous clients by itself."""
    first = collect(port=broker.port, protocol=4, client_id="embedded-2")
    assert first.stop()
    publish(broker.port, "lifeline/gas/G1", 50)
    second = collect(port=broker.port, protocol=4, client_id="embedded-2")
    wait_for(lambda: set(log.values) == {float(i) for i in range(50)}, "what was published meanwhile")
    assert second.state.session_present is True


def test_failed_commit_is_delivered_again(
    broker: EmbeddedBroker, collect: Callable[..., Any], log: Any, wait_for: Any
) -> None:
    log.failures = 2
    collect(port=broker.port, protocol=4, client_id="embedded-3")
    publish(broker.port, "lifeline/gas/G1", 50)
    wait_for(lambda: set(log.values) == {float(i) for i in range(50)}, "all, after two failures")
    assert log.failed >= 1


def test_port_taken_is_an_error_with_the_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        broker = EmbeddedBroker(port=taken.getsockname()[1])
        with pytest.raises(UnavailableError, match="did not start"):
            broker.start()
        assert not broker.alive


def test_only_the_loopback() -> None:
    with pytest.raises(ValueError, match="loopback"):
        EmbeddedBroker(host="0.0.0.0")  # noqa: S104 - it is refused


def test_ends_with_a_parent_that_is_killed(wait_for: Any) -> None:
    """Kill -9 of the engine leaves no broker behind."""
    code = (
        "from ingest.embedded import EmbeddedBroker; b = EmbeddedBroker(); b.start(); print(b.pid, flush=True); input()"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    assert parent.stdin is not None
    pid = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdin.close()
    parent.stdout.close()
    wait_for(lambda: not alive(pid), "the broker's end")


def alive(pid: int) -> bool:
    """Not gone and no zombie (an orphan's zombie waits for an init that may not reap)."""
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_restart_on_the_same_port(wait_for: Any) -> None:
    broker = EmbeddedBroker()
    broker.start()
    url = broker.url
    broker.stop()
    assert not broker.alive
    broker.start()
    assert broker.url == url
    assert broker.pid is not None
    os.kill(broker.pid, 0)
    broker.stop()
