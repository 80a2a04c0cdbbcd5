"""M04: the broker of Eclipse's conformance suite, which checks every packet against the standard while we use it.

``LIFELINE_PAHO_TESTING`` names a checkout of github.com/eclipse/paho.mqtt.testing (Python; it needs nothing else). Its
broker is made as narrow as it gets: two messages in flight on their way in (on their way out it counts each twice and
stops), packets of 256 bytes, a keep-alive of five seconds. What it holds against a client it writes down as an error or
raises. ``docs/durability.md`` says how to run this.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import free_port, listens, missing

MESSAGES = 100
KEEPALIVE_S = 5
START = """
import runpy
import mqtt.brokers.start as start
plain = start.MQTTV5Brokers
def made(options, **rest):
    return plain(options=options | {"serverKeepAlive": options["server_keep_alive"]}, **rest)
start.MQTTV5Brokers = made
runpy.run_path("startbroker.py", run_name="__main__")
"""
"""The broker reads ``server_keep_alive`` and then looks under another name: without this it never demands one."""

pytestmark = [pytest.mark.slow, pytest.mark.integration, pytest.mark.only_soak]


@pytest.fixture
def strict_broker(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """Its port and what it says."""
    checkout = os.environ.get("LIFELINE_PAHO_TESTING")
    if checkout is None:
        missing("LIFELINE_PAHO_TESTING names no checkout of github.com/eclipse/paho.mqtt.testing")
    port, words = free_port(), tmp_path / "broker.log"
    config = tmp_path / "broker.conf"
    config.write_text(
        f"receive_maximum 2\nmaximum_packet_size 256\nserver_keep_alive {KEEPALIVE_S}\nlistener {port} 127.0.0.1\n"
    )
    with words.open("wb") as out:
        broker = subprocess.Popen(
            [sys.executable, "-c", START, "-c", config],
            cwd=Path(checkout) / "interoperability",
            stdout=out,
            stderr=out,
        )
    while not listens(port):
        assert broker.poll() is None, words.read_text()
        time.sleep(0.05)
    yield port, words
    broker.kill()
    broker.wait(10)


def complaints(words: Path) -> list[str]:
    """What the broker says is wrong with a client (its own errors of one line, or a traceback)."""
    return [line for line in words.read_text().splitlines() if line.startswith(("ERROR", "Traceback"))]


@pytest.mark.parametrize("protocol", [5, 4])
def test_the_strict_broker_of_another_project_raises_nothing_m04(
    protocol: int, strict_broker: tuple[int, Path], collect: Any, log: Any, wait_for: Any
) -> None:
    """Every message arrives, and the connection outlives two of the broker's keep-alives of silence."""
    import paho.mqtt.client as paho

    port, words = strict_broker
    keepalive_s = 60 if protocol == 5 else KEEPALIVE_S  # by MQTT 5 the broker has the last word
    collector = collect("native", port, protocol=protocol, keepalive_s=keepalive_s)
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
    client.max_inflight_messages_set(2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for info in [client.publish("lifeline/gas/D", str(n), 1) for n in range(MESSAGES)]:
        info.wait_for_publish(60)
    client.disconnect()
    client.loop_stop()
    wait_for(lambda: sorted(log.values) == list(range(MESSAGES)), "every message")
    time.sleep(2.2 * KEEPALIVE_S)
    state = collector.state

    assert (state.connected, state.reconnects, state.unacknowledged) == (True, 0, 0), words.read_text()[-3000:]
    assert complaints(words) == []
    assert ("client must use server keep alive" in words.read_text()) == (protocol == 5)
    assert "sending pingresp in response to pingreq" in words.read_text(), "no ping in ten seconds of silence"


def test_the_strict_broker_says_what_is_wrong_m04(strict_broker: tuple[int, Path]) -> None:
    """A PUBACK whose reserved bits are set: were it silent about that, its silence above would prove nothing."""
    port, words = strict_broker
    connect = b"\x10\x11\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x04evil"
    with socket.create_connection(("127.0.0.1", port), 10) as link:
        link.sendall(connect)
        assert link.recv(1) == b"\x20"
        link.sendall(b"\x4f\x02\x00\x01")
        while link.recv(4096):
            pass

    assert complaints(words) != []
