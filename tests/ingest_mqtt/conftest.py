"""A log, a decoder and brokers for collectors: fakes with failure modes, a broker by hand, the real Mosquitto."""

from __future__ import annotations

import os
import queue
import random
import shutil
import socket
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from ingest.broker import BrokerSettings, Subscribe
from ingest.collector import Collector
from ingest.paho_collector import PahoCollector
from lifeline.core.batch import IngestBatch, Readings
from lifeline.core.errors import UnavailableError
from lifeline.core.limits import LOG_QUEUE_BATCHES
from lifeline.core.metrics import Metrics
from lifeline.core.schema import REJECTS
from tests.conftest import free_port, missing
from tests.ingest_mqtt.packets import varint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ingest.messages import Messages
    from lifeline.core.ports import OnCommit

WAIT_S = 20.0


def wait_for(condition: Callable[[], Any], what: str, timeout_s: float = WAIT_S) -> Any:
    """Wait on a condition, not on a guess."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        if result := condition():
            return result
        time.sleep(0.002)
    raise AssertionError(f"not within {timeout_s} s: {what}")


@pytest.fixture(name="wait_for")
def _wait_for() -> Callable[..., Any]:
    return wait_for


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class FakeDecoder:
    """One reading a message, its payload as the value; what is no number is a reject; ``explode`` is a bug."""

    def __init__(self) -> None:
        self.topics: list[bytes] = []
        self.batches = 0

    def decode(self, messages: Messages, received_at: int, broker: str) -> IngestBatch:
        self.batches += 1
        values, rejects = [], []
        for i in range(len(messages)):
            payload, topic = messages.payload(i), messages.topic(i)
            if payload == b"explode":
                raise RuntimeError("a planted bug")
            self.topics.append(topic)
            try:
                values.append(float(payload.split()[0]))
            except (ValueError, IndexError):
                row = (received_at, broker, topic.decode(), payload, "malformed_payload", "no number", 0)
                rejects.append(dict(zip(REJECTS.names, row, strict=True)))
        readings = Readings.empty(len(values))
        readings.value[:] = values
        readings.received_at[:] = received_at
        return IngestBatch(received_at, readings, pa.RecordBatch.from_pylist(rejects, schema=REJECTS))


class FakeLog:
    """Commits on a thread of its own, one batch after the other; can be held, slowed and broken."""

    def __init__(self) -> None:
        self.batches: list[IngestBatch] = []
        self.go = threading.Event()
        self.go.set()
        self.failures = 0
        self.failed = 0
        self._queue: queue.Queue[tuple[IngestBatch, OnCommit] | None] = queue.Queue(LOG_QUEUE_BATCHES)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def append(self, batch: IngestBatch, on_commit: OnCommit) -> None:
        self._queue.put((batch, on_commit))

    def offer(self, batch: IngestBatch, on_commit: OnCommit) -> bool:
        try:
            self._queue.put_nowait((batch, on_commit))
        except queue.Full:
            return False
        return True

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            self.go.wait()
            batch, on_commit = item
            if self.failures:
                self.failures -= 1
                self.failed += 1
                on_commit(UnavailableError("disk full (planted)"))
            else:
                self.batches.append(batch)
                on_commit(None)

    def close(self) -> None:
        self.go.set()
        self._queue.put(None)
        self._thread.join(WAIT_S)

    @property
    def values(self) -> list[float]:
        return [float(v) for batch in self.batches for v in batch.readings.value]

    @property
    def rejects(self) -> list[dict[str, Any]]:
        return [row for b in self.batches if b.rejects is not None for row in b.rejects.to_pylist()]


@pytest.fixture
def log() -> Iterator[FakeLog]:
    fake = FakeLog()
    yield fake
    fake.close()


@pytest.fixture
def decoder() -> FakeDecoder:
    return FakeDecoder()


class Mosquitto:
    """The real broker on a free port, with a data folder that survives ``kill`` and ``start``."""

    def __init__(self, folder: Path, extra: str = "", listener: str = "") -> None:
        self.folder, self.port, self.ws_port = folder, free_port(), free_port()
        self.process: subprocess.Popen[bytes] | None = None
        lines = [
            f"listener {self.port} 127.0.0.1",
            *([listener] if listener else []),
            f"listener {self.ws_port} 127.0.0.1",
            "protocol websockets",
            "allow_anonymous true",
            "persistence true",
            f"persistence_location {folder}/",
            "autosave_interval 1",
            "autosave_on_changes true",
            "max_inflight_messages 0",
            "max_queued_messages 0",
            "user root" if os.geteuid() == 0 else "",
            extra,
        ]
        self.config = folder / "mosquitto.conf"
        self.config.write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        command = [shutil.which("mosquitto") or "/usr/sbin/mosquitto", "-c", str(self.config)]
        with (self.folder / "broker.log").open("ab") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out)
        wait_for(self._accepts, f"mosquitto on {self.port}: {(self.folder / 'broker.log').read_text()[-500:]}")

    def _accepts(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "broker.log").read_text()
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def stop(self, kill: bool = False) -> None:
        if self.process is not None:
            (self.process.kill if kill else self.process.terminate)()
            self.process.wait(WAIT_S)
            self.process = None

    def publish(self, topic: str, payload: str | bytes, qos: int = 1) -> None:
        self.publish_many([(topic, payload)], qos)

    def publish_many(self, items: list[tuple[str, str | bytes]], qos: int = 1) -> None:
        """Through paho, a stranger to our code; returns when the broker has acknowledged."""
        import paho.mqtt.client as paho

        client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        client.max_inflight_messages_set(1000)
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        for info in [client.publish(topic, payload, qos) for topic, payload in items]:
            info.wait_for_publish(WAIT_S)
        client.disconnect()
        client.loop_stop()


def mosquitto_here() -> bool:
    return bool(shutil.which("mosquitto") or Path("/usr/sbin/mosquitto").exists())


@pytest.fixture
def make_mosquitto(tmp_path: Path) -> Iterator[Callable[..., Mosquitto]]:
    if not mosquitto_here():
        missing("mosquitto is not installed: apt-get install mosquitto")
    started: list[Mosquitto] = []

    def make(**options: str) -> Mosquitto:
        folder = tmp_path / f"broker{len(started)}"
        folder.mkdir()
        broker = Mosquitto(folder, **options)
        broker.start()
        started.append(broker)
        return broker

    yield make
    for broker in started:
        broker.stop()


@pytest.fixture
def mosquitto(make_mosquitto: Callable[..., Mosquitto]) -> Mosquitto:
    return make_mosquitto()


def publish_packet(topic: bytes, payload: bytes, packet_id: int = 0, version: int = 5, dup: bool = False) -> bytes:
    """A PUBLISH at QoS 1, or 0 without an identifier."""
    body = len(topic).to_bytes(2, "big") + topic + (packet_id.to_bytes(2, "big") if packet_id else b"")
    body += (b"\0" if version == 5 else b"") + payload
    return bytes([0x30 | (2 if packet_id else 0) | (8 if dup else 0)]) + varint(len(body)) + body


class RawBroker:
    """A broker by hand: a test reads and writes packets, and sees exactly what was sent and when."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(WAIT_S)
        self.port = self.listener.getsockname()[1]
        self.peer: socket.socket | None = None

    def accept(self) -> bytes:
        """A new connection and its CONNECT packet."""
        self.drop()
        self.peer, _ = self.listener.accept()
        self.peer.settimeout(WAIT_S)
        return self.packet()

    def packet(self) -> bytes:
        """One whole packet from the collector; empty when it closed the connection."""
        head = self._exactly(1)
        if not head:
            return b""
        length = shift = 0
        while True:
            byte = self._exactly(1)[0]
            head += bytes([byte])
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return head + self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        assert self.peer is not None
        data = b""
        while len(data) < count:
            try:
                part = self.peer.recv(count - len(data))
            except ConnectionResetError:
                return b""
            if not part:
                return b""
            data += part
        return data

    def send(self, data: bytes) -> None:
        assert self.peer is not None
        self.peer.sendall(data)

    def welcome(self, version: int = 5, session: bool = False, granted: bytes = b"\x01") -> bytes:
        """Accept, answer CONNECT and SUBSCRIBE; returns the CONNECT packet."""
        connect = self.accept()
        assert connect[0] == 0x10
        self.send(bytes([0x20, 3, session, 0, 0]) if version == 5 else bytes([0x20, 2, session, 0]))
        subscribe = self.packet()
        assert subscribe[0] == 0x82
        where = 2 if subscribe[1] < 128 else 3
        body = subscribe[where : where + 2] + (b"\0" if version == 5 else b"") + granted
        self.send(bytes([0x90, len(body)]) + body)
        return connect

    def pubacks(self, count: int) -> list[int]:
        """The identifiers of the next ``count`` packets, which must all be PUBACKs."""
        ids = []
        for _ in range(count):
            packet = self.packet()
            assert packet[:2] == b"\x40\x02", packet
            ids.append(int.from_bytes(packet[2:4], "big"))
        return ids

    def silent(self, seconds: float) -> bool:
        """True when the collector sends nothing for that long."""
        assert self.peer is not None
        self.peer.settimeout(seconds)
        try:
            return self.peer.recv(1) == b"never"
        except TimeoutError:
            return True
        finally:
            self.peer.settimeout(WAIT_S)

    def drop(self) -> None:
        if self.peer is not None:
            self.peer.close()
            self.peer = None

    def close(self) -> None:
        self.drop()
        self.listener.close()


@pytest.fixture
def raw_broker() -> Iterator[RawBroker]:
    broker = RawBroker()
    yield broker
    broker.close()


@pytest.fixture(params=["native", "paho"])
def flavour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def collect(log: FakeLog, decoder: FakeDecoder, metrics: Metrics) -> Iterator[Callable[..., Any]]:
    """Start a collector of the given flavour; keyword arguments go into its settings."""
    running: list[Any] = []

    def start(flavour: str = "native", port: int = 0, scheme: str = "mqtt", ready: bool = True, **changes: Any) -> Any:
        extra = {key: changes.pop(key) for key in ("on_lost", "on_state", "asking") if key in changes}
        options: dict[str, Any] = {
            "name": "city",
            "url": f"{scheme}://127.0.0.1:{port}",
            "client_id": f"test-{flavour}",
            "reconnect_min_s": 0.05,
            "reconnect_max_s": 0.2,
            "subscribe": (Subscribe("lifeline/#", 1),),
        }
        settings = BrokerSettings(**{**options, **changes})
        kind = Collector if flavour == "native" else PahoCollector

        collector = kind(settings, decoder, log, now_ms, metrics, random.Random(7), **extra)
        running.append(collector)
        collector.start()
        if ready:
            wait_for(lambda: collector.state.connected, "connected")
        return collector

    yield start
    log.go.set()
    for collector in running:
        assert collector.stop(WAIT_S)


@pytest.fixture
def publish() -> Callable[..., bytes]:
    return publish_packet


@pytest.fixture
def publish_bytes() -> Callable[..., bytes]:
    return publish_packet
