"""The publisher against a real Mosquitto, and against brokers that refuse, vanish or lie."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as paho
import polars as pl
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from lifeline.core.errors import ConfigurationError, PeerError, UnavailableError
from lifeline.core.schema import AREAS, POINTS, TRUTH
from simulators.drive import run
from simulators.drive_settings import DriveSettings
from simulators.link import Link, parse_url

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Start = Callable[..., subprocess.Popen[bytes]]


class Listener:
    """A stranger (paho-mqtt) that collects every message under ``lifeline/#``."""

    def __init__(self, port: int) -> None:
        self.messages: list[tuple[str, bytes, int]] = []
        subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = self._subscribe
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.on_message = lambda _c, _u, m: self.messages.append((m.topic, bytes(m.payload), m.qos))
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert subscribed.wait(10)

    def _subscribe(self, *_: object) -> None:
        self._client.subscribe("lifeline/#", 1)

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + 15
        while len(self.messages) < count and time.monotonic() < deadline:
            time.sleep(0.02)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.mark.integration
@pytest.mark.parametrize("shape", ["single", "gateway"])
def test_a_real_run(mosquitto: Start, free_port: int, tmp_path: Path, shape: Any) -> None:
    """Two seconds of QoS 1: all acknowledged; a stranger got exactly what the ledger holds; files are complete."""
    mosquitto(free_port)
    listener = Listener(free_port)
    statuses: list[Any] = []
    settings = DriveSettings(
        f"mqtt://127.0.0.1:{free_port}",
        sensors=1500,
        interval_s=1.0,
        shape=shape,
        pack=25,
        seconds=2.0,
        faults_per_hour=3600,
        fault_speed=60,
        truth=tmp_path / "truth.parquet",
        registry=tmp_path / "sensors.parquet",
        ledger=tmp_path / "ledger.parquet",
    )
    summary = run(settings, statuses.append)
    listener.wait_for(summary.messages)
    listener.close()
    ledger = pl.read_parquet(tmp_path / "ledger.parquet")

    assert summary.acknowledged_messages == summary.messages == len(listener.messages)
    assert summary.acknowledged_readings == summary.readings == len(ledger)
    assert summary.behind_s == 0
    assert summary.seconds == pytest.approx(2, abs=1)
    assert ledger["acked"].all()
    assert ledger["repeat"].sum() == summary.repeated_readings
    assert 0.95 < len(ledger) / (2 * summary.points) < 1.01
    got: list[tuple[str, str, int, int, float]] = []
    for _, payload, qos in listener.messages:
        assert qos == 1
        parsed = json.loads(payload)
        for found in parsed if shape == "gateway" else [parsed]:
            device, seq, ts = found.pop("id"), found.pop("seq"), found.pop("ts")
            got += [(device, quantity, ts, seq, value) for quantity, value in found.items()]
    columns = [ledger["device_id"].cast(pl.String), ledger["quantity"].cast(pl.String), ledger["ts"].dt.epoch("ms")]
    held = list(zip(*(c.to_list() for c in columns), ledger["seq"].to_list(), ledger["value"].to_list(), strict=True))
    assert sorted(got) == sorted(held)
    assert pl.read_parquet(tmp_path / "sensors.parquet").columns == POINTS.names
    assert pl.read_parquet(tmp_path / "sensors.areas.parquet").columns == AREAS.names
    truth = pl.read_parquet(tmp_path / "truth.parquet")
    assert truth.columns == TRUTH.names
    assert truth.filter(~pl.col("kind").str.starts_with("harmless"))["fault_id"].n_unique() == summary.faults
    assert statuses[-1].messages == summary.messages
    assert list(summary.as_dict())[:10] == [
        "sensors",
        "points",
        "messages",
        "readings",
        "acknowledged_messages",
        "acknowledged_readings",
        "seconds",
        "messages_per_s",
        "behind_s",
        "faults",
    ]


@pytest.mark.integration
@pytest.mark.integration
@pytest.mark.parametrize("file", ["ledger", "truth"])
def test_a_file_that_cannot_be_written_is_told(mosquitto: Start, free_port: int, tmp_path: Path, file: str) -> None:
    mosquitto(free_port)

    with pytest.raises(OSError, match=str(tmp_path)):
        run(DriveSettings(f"mqtt://127.0.0.1:{free_port}", sensors=20, seconds=1, **{file: tmp_path}))


def test_a_broker_that_is_killed_and_comes_back(mosquitto: Start, free_port: int, tmp_path: Path) -> None:
    """The publisher reconnects, catches up, and in the end everything sent is acknowledged: nothing is left out."""
    broker = mosquitto(free_port)
    stop = threading.Event()
    statuses: list[Any] = []
    result: list[Any] = []
    settings = DriveSettings(
        f"mqtt://127.0.0.1:{free_port}", sensors=1000, interval_s=1.0, ledger=tmp_path / "ledger.parquet"
    )
    thread = threading.Thread(target=lambda: result.append(run(settings, statuses.append, stop)))
    thread.start()
    _until(lambda: bool(statuses) and statuses[-1].messages > 500)
    broker.kill()
    broker.wait()
    _until(lambda: not statuses[-1].connected and statuses[-1].problem != "")
    before = statuses[-1].messages
    mosquitto(free_port)
    _until(lambda: statuses[-1].connected and statuses[-1].messages > before + 1500)
    stop.set()
    thread.join(30)
    summary = result[0]
    ledger = pl.read_parquet(tmp_path / "ledger.parquet")

    assert summary.reconnects >= 1
    assert summary.acknowledged_messages == summary.messages
    assert summary.behind_s_max > 0.2
    assert len(ledger.filter("acked")) == summary.acknowledged_readings
    seqs = (
        ledger.filter(~pl.col("repeat"))
        .unique(["device_id", "seq"])
        .group_by("device_id")
        .agg((pl.col("seq").max() - pl.col("seq").min() + 1 - pl.len()).alias("holes"), pl.col("seq").min())
    )
    assert seqs.filter(pl.col("seq") > 10_000)["holes"].sum() <= 15  # one object in a thousand is lost on purpose


def _until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.integration
def test_tls_to_a_broker_with_its_own_ca(mosquitto: Start, free_port: int, tmp_path: Path) -> None:
    """With the CA all is acknowledged over mqtts; without it the certificate is refused, with the remedy."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    mosquitto(free_port, f"certfile {certificate}\nkeyfile {key}\n")
    url = f"mqtts://localhost:{free_port}"
    summary = run(DriveSettings(url, sensors=2000, interval_s=0.5, seconds=1.0, ca_file=certificate))

    assert summary.acknowledged_messages == summary.messages > 3000
    with pytest.raises(ConfigurationError, match="CA that signed it"):
        run(DriveSettings(url, sensors=20, seconds=1.0))


@pytest.mark.integration
def test_qos_0_is_sent_and_never_acknowledged(mosquitto: Start, free_port: int) -> None:
    mosquitto(free_port)
    summary = run(DriveSettings(f"mqtt://127.0.0.1:{free_port}", sensors=300, interval_s=0.5, qos=0, seconds=1.0))

    assert summary.messages > 500
    assert summary.acknowledged_messages == summary.acknowledged_readings == 0


class LyingBroker:
    """Accepts one connection after another, answers CONNECT with given bytes, then never reads again."""

    def __init__(self, answer: bytes) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"mqtt://127.0.0.1:{self._listener.getsockname()[1]}"
        self._answer = answer
        self._open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            connection.recv(1024)
            connection.sendall(self._answer)

    def close(self) -> None:
        self._listener.close()
        for connection in self._open:
            connection.close()


def test_a_receiver_that_never_reads_does_not_slow_the_schedule_but_is_told() -> None:
    """The socket fills up; the run ends in time, says how far it is behind and acknowledges nothing."""
    broker = LyingBroker(b"\x20\x02\x00\x00")
    begin = time.monotonic()
    stop = threading.Event()
    statuses: list[Any] = []

    def watch(status: Any) -> None:
        statuses.append(status)
        if status.behind_s > 1:
            stop.set()

    summary = run(DriveSettings(broker.url, sensors=30_000, interval_s=0.1, ack_idle_s=0.3), watch, stop)
    broker.close()

    assert summary.behind_s > 1
    assert summary.acknowledged_messages == 0
    assert 0 < summary.messages <= 65_535
    assert time.monotonic() - begin < 40


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (b"\x20\x02\x00\x05", ConfigurationError, "not authorized"),
        (b"\x20\x02\x00\x04", ConfigurationError, "bad user name"),
        (b"\x20\x02\x00\x03", UnavailableError, "server unavailable"),
        (b"HTTP", PeerError, "CONNACK"),
    ],
)
def test_refusals_say_why(answer: bytes, error: type[Exception], words: str) -> None:
    broker = LyingBroker(answer)
    with pytest.raises(error, match=words):
        Link(parse_url(broker.url), "x", 60, 5.0, None)
    broker.close()


def test_nobody_there(free_port: int) -> None:
    with pytest.raises(UnavailableError, match=f"127.0.0.1:{free_port}"):
        Link(parse_url(f"mqtt://127.0.0.1:{free_port}"), "x", 60, 1.0, None)


def test_all_wrong_settings_are_told_at_once(tmp_path: Path) -> None:
    shape: Any = "heap"
    truth = tmp_path / "no" / "t.parquet"
    bad = DriveSettings("http://x", sensors=0, shape=shape, qos=2, seconds=0, faults_per_hour=-1, truth=truth)
    with pytest.raises(ConfigurationError) as caught:
        run(bad)

    keys = {problem.key for problem in caught.value.problems}
    assert keys == {"broker", "sensors, interval or pack", "faults", "qos", "shape", "seconds", "truth"}


def test_urls() -> None:
    address = parse_url("mqtts://us%40er:p%3Aw@host.example")

    assert (address.host, address.port, address.is_tls) == ("host.example", 8883, True)
    assert (address.username, address.password) == ("us@er", "p:w")
    assert parse_url("mqtt://h:1").port == 1
    assert parse_url("mqtt://a:b@h", "c", "d").username == "c"
    for url in ("", "host:1883", "ws://h", "mqtt://", "mqtt://h:99999", "mqtt://:secret@h"):
        with pytest.raises(ConfigurationError, match="broker"):
            parse_url(url)
