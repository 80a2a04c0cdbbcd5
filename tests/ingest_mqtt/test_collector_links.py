"""Links and loads: TLS, WebSocket, sliced bytes, a stuck log with pings, an absent broker, a poison message."""

from __future__ import annotations

import random
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from ingest.backoff import STABLE_S, Backoff
from ingest.broker import BrokerSettings, Subscribe
from ingest.collector import Collector
from ingest.intake import split
from ingest.link import Bell, Link, tls_context
from ingest.mqtt.connection import Connection
from lifeline.core.batch import IngestBatch, Readings
from lifeline.core.errors import ConfigurationError, UnavailableError
from lifeline.core.limits import LOG_QUEUE_BATCHES
from lifeline.core.schema import REJECTS
from tests.authority import Authority, tls_server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(name="certificates", scope="module")
def _certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, a server for 127.0.0.1 and a client, made by the openssl program."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: apt-get install openssl")
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    for ca in ("ca", "stranger"):
        usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
        openssl(
            "req",
            "-x509",
            *key,
            "-keyout",
            f"{ca}.key",
            "-out",
            f"{ca}.pem",
            "-days",
            "2",
            "-subj",
            f"/CN={ca}",
            *usage,
        )
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1\n")
    for name in ("server", "client"):
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "san")
        openssl("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signing)
    return folder


@pytest.fixture(name="tls_broker")
def _tls_broker(make_mosquitto: Callable[..., Any], certificates: Path) -> tuple[Any, int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    lines = [
        f"listener {port} 127.0.0.1",
        f"cafile {certificates}/ca.pem",
        f"certfile {certificates}/server.pem",
        f"keyfile {certificates}/server.key",
        "require_certificate true",
    ]
    return make_mosquitto(listener="\n".join(lines)), port


def test_mutual_tls_with_our_own_ca(
    flavour: str, tls_broker: tuple[Any, int], certificates: Path, collect: Callable[..., Any], log: Any, wait_for: Any
) -> None:
    """More than one TLS record at a time, and every byte of them."""
    broker, port = tls_broker
    files = {"ca_file": "ca.pem", "cert_file": "client.pem", "key_file": "client.key"}
    collect(flavour, port, scheme="mqtts", **{key: str(certificates / name) for key, name in files.items()})
    broker.publish_many([("lifeline/a", f"{i} {'x' * 2000}") for i in range(200)])
    wait_for(lambda: len(log.values) == 200, "200 readings")
    assert log.values == [float(i) for i in range(200)]


# paho drops the socket of a failed handshake without closing it
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_certificate_of_a_stranger_is_refused(
    flavour: str, tls_broker: tuple[Any, int], certificates: Path, collect: Callable[..., Any], wait_for: Any
) -> None:
    collector = collect(flavour, tls_broker[1], scheme="mqtts", ready=False, ca_file=str(certificates / "stranger.pem"))
    wait_for(lambda: collector.state.last_error, "the refusal")
    assert "certificate verify failed" in collector.state.last_error


@pytest.mark.parametrize("server", ["expired", "wrong name", "wrong authority", "revoked", "TLS 1.1"])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
def test_a_broker_that_is_not_the_one_hears_nothing(tmp_path: Path, server: str) -> None:
    """S05, from our side of the connection: nothing is sent, not even who we are."""
    own = Authority(tmp_path, "own")
    made = {
        "expired": lambda: own.issue("old", days=-1),
        "wrong name": lambda: own.issue("elsewhere", address="192.0.2.1"),
        "wrong authority": lambda: Authority(tmp_path, "strange").issue("stranger"),
    }.get(server, lambda: own.issue("server"))()
    if server == "revoked":
        own.revoke(made)
    heard: list[bytes] = []
    with tls_server(made, lambda connection: heard.append(connection.recv(100)), old=server == "TLS 1.1") as port:
        files = {"ca_file": str(own.ca_file), "crl_file": str(own.crl_file)}
        settings = BrokerSettings("city", f"mqtts://127.0.0.1:{port}", "c", **files)
        bell = Bell()
        with pytest.raises(UnavailableError):
            Link(settings, bell, tls_context(settings))
        bell.close()
    assert not any(heard)


def test_a_broker_whose_certificate_was_taken_back_meanwhile_is_refused_at_the_next_connection(
    tmp_path: Path, log: Any, decoder: Any, wait_for: Any
) -> None:
    own = Authority(tmp_path, "own")
    made = own.issue("server")
    own.revoke()
    heard: list[bytes] = []
    with tls_server(made, lambda connection: heard.append(connection.recv(100))) as port:
        files = {"ca_file": str(own.ca_file), "crl_file": str(own.crl_file)}
        settings = BrokerSettings("city", f"mqtts://127.0.0.1:{port}", "c", **files)
        quick = Backoff(0.01, 0.02, random.Random(1))
        collector = Collector(settings, decoder, log, lambda: 0, None, random.Random(1), backoff=quick)
        collector.start()
        wait_for(lambda: any(heard), "a CONNECT")
        own.revoke(made)
        wait_for(lambda: "revoked" in (collector.state.last_error or ""), "the refusal")
        collector.stop()


def test_a_list_of_revoked_certificates_that_is_none_is_a_configuration_error(tmp_path: Path) -> None:
    own = Authority(tmp_path, "own")
    settings = BrokerSettings("city", "mqtts://127.0.0.1", "c", ca_file=str(own.ca_file), crl_file=str(own.ca_file))
    with pytest.raises(ConfigurationError, match="no list of revoked certificates"):
        tls_context(settings)


def test_unreadable_ca_is_a_configuration_error(tmp_path: Path) -> None:
    settings = BrokerSettings("city", "mqtts://127.0.0.1", "c", ca_file=str(tmp_path / "missing.pem"))
    with pytest.raises(ConfigurationError, match=r"missing\.pem"):
        tls_context(settings)


def test_websocket_goes_through_paho(mosquitto: Any, collect: Callable[..., Any], log: Any, wait_for: Any) -> None:
    collector = collect("paho", mosquitto.ws_port, scheme="ws")
    mosquitto.publish_many([("lifeline/a", str(i)) for i in range(200)])
    wait_for(lambda: len(log.values) == 200, "200 readings over ws")
    wait_for(lambda: collector.state.unacknowledged == 0, "acknowledged")


def test_websocket_is_refused_by_the_native_one_with_the_remedy(log: Any, decoder: Any) -> None:
    settings = BrokerSettings("city", "ws://127.0.0.1:1", "c")
    with pytest.raises(ConfigurationError, match="PahoCollector"):
        Collector(settings, decoder, log, lambda: 0, None, random.Random(1))


def test_bytes_one_by_one_m03(raw_broker: Any, collect: Callable[..., Any], log: Any, publish: Any) -> None:
    """A slicer between broker and collector changes nothing."""
    collect("native", raw_broker.port, ready=False)
    raw_broker.welcome()
    raw_broker.peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    data = b"".join(publish(b"lifeline/a", b"%d" % i, i) for i in range(1, 40))
    for i in range(len(data)):
        raw_broker.send(data[i : i + 1])
    assert raw_broker.pubacks(39) == list(range(1, 40))
    assert log.values == [float(i) for i in range(1, 40)]


def test_pings_go_on_while_the_log_is_stuck_m10(
    raw_broker: Any, collect: Callable[..., Any], log: Any, publish: Any, wait_for: Any
) -> None:
    """The queue full, the appender blocked in append: PINGREQ all the same, and the connection lives."""
    log.go.clear()
    collector = collect("native", raw_broker.port, ready=False, keepalive_s=1)
    raw_broker.welcome()
    for i in range(1, 21):
        raw_broker.send(publish(b"lifeline/a", b"1", i))
        if i <= LOG_QUEUE_BATCHES:  # one batch each
            wait_for(lambda i=i: collector.state.messages >= i, "taken")
    for _ in range(3):
        assert raw_broker.packet() == b"\xc0\x00"
    log.go.set()
    assert raw_broker.pubacks(20) == list(range(1, 21))
    assert collector.state.reconnects == 0


def test_silent_broker_is_noticed_within_one_and_a_half_keep_alive_m03(
    raw_broker: Any, collect: Callable[..., Any], wait_for: Any
) -> None:
    collector = collect("native", raw_broker.port, ready=False, keepalive_s=1)
    raw_broker.welcome()
    began = time.monotonic()
    wait_for(lambda: "PINGREQ" in str(collector.state.last_error), "noticed")
    assert 1.4 < time.monotonic() - began < 2.5


def test_nobody_listens_back_off_and_come_back(
    flavour: str, collect: Callable[..., Any], raw_broker: Any, wait_for: Any
) -> None:
    port = raw_broker.port
    raw_broker.close()
    collector = collect(flavour, port, ready=False)
    wait_for(lambda: collector.state.reconnects >= 3, "three tries")
    assert "refused" in collector.state.last_error.lower()
    raw_broker.listener = socket.create_server(("127.0.0.1", port))
    raw_broker.listener.settimeout(20)
    raw_broker.welcome()
    wait_for(lambda: collector.state.connected, "connected")


def test_a_collector_that_was_busy_itself_blames_no_broker(
    mosquitto: Any, collect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, wait_for: Any
) -> None:
    """As when kernels compile on its thread: what came meanwhile lies in the socket."""
    monkeypatch.setattr("ingest.mqtt.liveness.REPLY_TIMEOUT_S", 0.5)
    receive = Connection.receive

    def slowly(self: Connection, *given: Any) -> Any:
        received = receive(self, *given)
        time.sleep(1.2)
        return received

    monkeypatch.setattr(Connection, "receive", slowly)
    collector = collect("native", mosquitto.port, ready=False)
    wait_for(lambda: collector.state.granted_qos or collector.state.reconnects, "an answer")
    assert collector.state.last_error is None
    assert collector.state.connected


def test_stop_is_prompt_while_waiting_to_reconnect(
    flavour: str, collect: Callable[..., Any], raw_broker: Any, wait_for: Any
) -> None:
    port = raw_broker.port
    raw_broker.close()
    collector = collect(flavour, port, ready=False, reconnect_min_s=30.0, reconnect_max_s=30.0)
    wait_for(lambda: collector.state.reconnects == 1, "the first failure")
    began = time.monotonic()
    assert collector.stop()
    assert time.monotonic() - began < 2


def test_malformed_topic_of_a_device_stops_the_flow_once_only(
    raw_broker: Any, collect: Callable[..., Any], log: Any, publish: Any
) -> None:
    """A broker that lets ill-formed UTF-8 through: closed with 0x81, then set aside, then the flow goes on."""
    collect("native", raw_broker.port, ready=False)
    raw_broker.welcome()
    raw_broker.send(publish(b"lifeline/\xff", b"1", 1))
    assert raw_broker.packet() == b"\xe0\x01\x81"
    assert raw_broker.packet() == b""
    raw_broker.welcome(session=True)
    raw_broker.send(publish(b"lifeline/\xff", b"1", 1, dup=True) + publish(b"lifeline/a", b"2", 2))
    assert raw_broker.pubacks(2) == [1, 2]
    assert log.values == [2.0]
    assert {(row["reason"], row["topic"]) for row in log.rejects} == {("malformed_packet", "lifeline/\\xff")}


def test_shared_subscription_is_spelled_as_the_standard_says(
    collect: Callable[..., Any], mosquitto: Any, log: Any, wait_for: Any
) -> None:
    """Two collectors of one group share the messages; each arrives once."""
    both = [collect(port=mosquitto.port, share="lifeline", client_id=f"share-{i}") for i in range(2)]
    assert both[0].state.granted_qos == {"$share/lifeline/lifeline/#": 1}
    mosquitto.publish_many([("lifeline/a", str(i)) for i in range(200)])
    wait_for(lambda: len(log.values) >= 200, "200 readings")
    assert sorted(log.values) == [float(i) for i in range(200)]
    assert all(collector.state.messages for collector in both)


def test_split_keeps_every_row_and_the_rejects_with_the_last() -> None:
    readings = Readings.empty(10)
    readings.value[:] = range(10)
    rejects = pa.RecordBatch.from_pylist([], schema=REJECTS)
    parts = split(IngestBatch(5, readings, rejects), rows_max=4)
    assert [len(part.readings) for part in parts] == [4, 4, 2]
    assert [float(v) for part in parts for v in part.readings.value] == [float(i) for i in range(10)]
    assert [part.rejects is None for part in parts] == [True, True, False]


def test_backoff_grows_is_capped_jittered_and_forgets() -> None:
    backoff = Backoff(1.0, 30.0, random.Random(3))
    waits = [backoff.failed_s() for _ in range(12)]
    caps = [min(30.0, 2.0**i) for i in range(12)]
    assert all(cap / 2 <= wait <= cap for wait, cap in zip(waits, caps, strict=True))
    assert len(set(waits)) == 12
    backoff.lasted(STABLE_S - 0.1)
    assert backoff.failed_s() >= 15
    backoff.lasted(STABLE_S)
    assert backoff.failed_s() <= 1


def test_takeover_waits_at_least_the_maximum_and_longer_each_time() -> None:
    backoff = Backoff(1.0, 30.0, random.Random(3))
    waits = [backoff.taken_over_s() for _ in range(8)]
    assert all(wait >= 30 for wait in waits)
    assert waits[0] <= 45
    assert 600 <= waits[-1] <= 900


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"url": "http://x"}, "mqtt, mqtts, ws, wss"),
        ({"protocol": 3}, "write 5, or 4"),
        ({"client_id": ""}, "client_id is empty"),
        ({"subscribe": ()}, "at least one filter"),
        ({"subscribe": (Subscribe("a", 2),)}, "qos 0 or 1"),
        ({"receive_maximum": 0}, "1 to 65535"),
        ({"protocol": 4, "password": "x"}, "only with a username"),
        ({"cert_file": "a"}, "belong together"),
    ],
)
def test_settings_refuse_early_what_cannot_work(changes: dict[str, Any], hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        BrokerSettings(**{"name": "city", "url": "mqtt://127.0.0.1", "client_id": "c", **changes})


def test_a_link_waits_for_company_and_for_no_longer_than_the_other_end(raw_broker: Any) -> None:
    """By so many bytes, or the end of the time; the end of the connection and a bell are never waited for."""
    bell = Bell()
    link = Link(BrokerSettings("city", f"mqtt://127.0.0.1:{raw_broker.port}", "c"), bell, None)
    peer, _ = raw_broker.listener.accept()
    peer.sendall(bytes(99))
    assert not link.wait(reading=True, timeout_s=0.05, least=100)
    assert link.wait(reading=True, timeout_s=20.0)
    assert not link.wait(reading=True, timeout_s=0.01, least=100)
    peer.sendall(bytes(1))
    assert link.wait(reading=True, timeout_s=20.0, least=100)
    assert link.receive(memoryview(bytearray(200))) == 100
    bell.ring()
    assert not link.wait(reading=True, timeout_s=20.0, least=100)
    peer.close()
    assert link.wait(reading=True, timeout_s=20.0, least=100)
    link.close()
    bell.close()


def test_a_full_socket_is_read_although_more_was_asked_for(raw_broker: Any) -> None:
    """Else both would wait for each other."""
    bell = Bell()
    link = Link(BrokerSettings("city", f"mqtt://127.0.0.1:{raw_broker.port}", "c"), bell, None)
    peer, _ = raw_broker.listener.accept()
    peer.setblocking(False)  # noqa: FBT003
    filled = False
    while not filled:
        try:
            peer.send(bytes(80))
        except BlockingIOError:
            filled = True
    assert link.wait(reading=True, timeout_s=20.0, least=1 << 30)
    link.close()
    bell.close()
    peer.close()


def test_a_stream_of_small_packets_is_the_same_in_company(
    raw_broker: Any, collect: Callable[..., Any], log: Any, publish: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four thousand messages in pieces that end anywhere: all come once, in order, each acknowledged in its turn."""
    monkeypatch.setattr("ingest.linger.COMPANY_PER_S", 1)  # however slow the machine
    collect("native", raw_broker.port, ready=False)
    raw_broker.welcome()
    raw_broker.peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    count, rng = 4_000, random.Random(3)
    data = b"".join(publish(b"lifeline/a", b"%d" % i, i) for i in range(1, count + 1))
    at = pieces = 0
    while at < len(data):
        size = rng.randrange(1, 90)
        raw_broker.send(data[at : at + size])
        at, pieces = at + size, pieces + 1
    assert raw_broker.pubacks(count) == list(range(1, count + 1))
    assert log.values == [float(i) for i in range(1, count + 1)]
    assert len(log.batches) < pieces / 2


@pytest.mark.parametrize(("qos", "parts"), [(1, 3), (0, 1)])
def test_at_qos_1_a_window_is_taken_by_halves(
    raw_broker: Any,
    collect: Callable[..., Any],
    log: Any,
    publish: Any,
    monkeypatch: pytest.MonkeyPatch,
    wait_for: Any,
    qos: int,
    parts: int,
) -> None:
    """What is left of a read needs no other one; all comes once, in order, and is acknowledged."""
    monkeypatch.setattr("ingest.collector.HALF_WINDOW", 100)
    collect("native", raw_broker.port, ready=False, subscribe=(Subscribe("lifeline/#", qos),))
    raw_broker.welcome(granted=bytes([qos]))
    count = 250
    raw_broker.send(b"".join(publish(b"lifeline/a", b"%d" % i, i * qos) for i in range(1, count + 1)))
    if qos:
        assert raw_broker.pubacks(count) == list(range(1, count + 1))
    wait_for(lambda: len(log.values) == count, "all")
    assert log.values == [float(i) for i in range(1, count + 1)]
    assert len(log.batches) >= parts
    assert max(len(batch.readings) for batch in log.batches) <= (100 if qos else count)
