"""M04: the broker of Eclipse's conformance suite, which checks every packet against the standard while we use it.

``LIFELINE_PAHO_TESTING`` names a checkout of github.com/eclipse/paho.mqtt.testing (Python; it needs nothing else). Its
broker is made as narrow as it gets: two messages in flight, packets of 256 bytes, a keep-alive of five seconds.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import free_port, listens

MESSAGES = 100
KEEPALIVE_S = 5

pytestmark = [pytest.mark.slow, pytest.mark.integration, pytest.mark.only_soak]


@pytest.fixture
def strict_broker(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """Its port and what it says."""
    checkout = os.environ.get("LIFELINE_PAHO_TESTING")
    if checkout is None:
        pytest.skip("LIFELINE_PAHO_TESTING names no checkout of github.com/eclipse/paho.mqtt.testing")
    port, words = free_port(), tmp_path / "broker.log"
    config = tmp_path / "broker.conf"
    config.write_text(
        f"receive_maximum 2\nmaximum_packet_size 256\nserver_keep_alive {KEEPALIVE_S}\nlistener {port} 127.0.0.1\n"
    )
    with words.open("wb") as out:
        broker = subprocess.Popen(
            [sys.executable, "startbroker.py", "-c", config],
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


@pytest.mark.parametrize("protocol", [5, 4])
def test_the_strict_broker_of_another_project_raises_nothing_m04(
    protocol: int, strict_broker: tuple[int, Path], collect: Any, log: Any, wait_for: Any
) -> None:
    """Every message arrives, and the connection outlives two of the broker's keep-alives of silence."""
    import paho.mqtt.client as paho

    port, words = strict_broker
    collector = collect("native", port, protocol=protocol, keepalive_s=60 if protocol == 5 else KEEPALIVE_S)
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.max_inflight_messages_set(2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for info in [client.publish("lifeline/gas/D", str(n), 1) for n in range(MESSAGES)]:
        info.wait_for_publish(60)
    wait_for(lambda: sorted(log.values) == list(range(MESSAGES)), "every message")
    time.sleep(2.2 * KEEPALIVE_S)
    state = collector.state
    client.disconnect()
    client.loop_stop()

    assert (state.connected, state.reconnects, state.unacknowledged) == (True, 0, 0), words.read_text()[-3000:]
    assert "Exception" not in words.read_text()
