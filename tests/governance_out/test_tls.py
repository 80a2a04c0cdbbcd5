"""Mutual TLS towards receivers (S05): who is told, and who is not; no secret in what is logged."""

from __future__ import annotations

import gc
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lifeline.governance.outgoing.bus import Bus, BusSettings
from lifeline.governance.outgoing.outbox import Message
from lifeline.governance.outgoing.tls import Trust
from lifeline.governance.outgoing.web import WebTransport
from lifeline.governance.outgoing.worker import DeliveryError
from tests.authority import Authority, Certificate, tls_server
from tests.governance_out.conftest import as_cloud_event

MESSAGE = Message(1, "m1", 1_795_000_000_000, "event.opened", "e1", {"event": {"event_id": "e1"}, "action": "open"})
CONNACK, PUBACK = b"\x20\x03\x00\x00\x00", b"\x40\x02\x00\x01"


class House:
    """An authority, a stranger's, and what each has signed."""

    def __init__(self, folder: Path) -> None:
        self.own, self.stranger = Authority(folder / "own", "own"), Authority(folder / "strange", "strange")
        self.servers = {
            "good": self.own.issue("server"),
            "expired": self.own.issue("old-server", days=-1),
            "wrong name": self.own.issue("elsewhere", address="192.0.2.1"),
            "wrong authority": self.stranger.issue("stranger"),
            "revoked": self.own.issue("revoked-server"),
        }
        self.clients: dict[str, Certificate | None] = {
            "good": self.own.issue("client"),
            "none": None,
            "expired": self.own.issue("old-client", days=-1),
            "wrong authority": self.stranger.issue("stranger-client"),
        }
        self.own.revoke(self.servers["revoked"])

    def trust(self, client: str = "good") -> Trust:
        """What a sink is configured with."""
        shown = self.clients[client]
        files = (None, None) if shown is None else (shown.cert_file, shown.key_file)
        return Trust(self.own.ca_file, *files, self.own.crl_file)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(tmp_path_factory.mktemp("authority"))


def web_answer(connection: ssl.SSLSocket) -> None:
    got = b""
    while b"\r\n\r\n" not in got or len(got.partition(b"\r\n\r\n")[2]) < 20:
        got += connection.recv(65536)
    connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")


def bus_answer(connection: ssl.SSLSocket) -> None:
    """As much of a broker as one publish needs."""
    connection.recv(4096)
    connection.sendall(CONNACK)
    connection.recv(65536)
    connection.sendall(PUBACK)
    while connection.recv(4096):
        pass


def by_web(port: int, trust: Trust) -> None:
    transport = WebTransport(
        f"https://127.0.0.1:{port}/hook",
        as_cloud_event,
        lambda: MESSAGE.at,
        allow_private=True,
        trust=trust,
        timeout_s=10,
    )
    transport.send(MESSAGE)


def by_bus(port: int, trust: Trust) -> None:
    bus = Bus(BusSettings("127.0.0.1", port, "test", tls=True, trust=trust, timeout_s=2))
    try:
        bus.publish("a/b", b"x")
    finally:
        bus.close()


WAYS = {"web": (by_web, web_answer), "mqtt": (by_bus, bus_answer)}
way = pytest.mark.parametrize("way", WAYS)
# paho drops the socket of a failed handshake without closing it
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def swept() -> Iterator[None]:
    """What paho leaves behind is collected here, where the warning is expected."""
    yield
    gc.collect()


@way
def test_who_we_know_is_told_and_sees_who_we_are(house: House, way: str) -> None:
    send, answer = WAYS[way]
    seen: list[Any] = []

    def note(connection: ssl.SSLSocket) -> None:
        peer = connection.getpeercert()
        assert peer is not None
        seen.append(dict(item for part in peer["subject"] for item in part)["commonName"])  # type: ignore[union-attr, misc]
        answer(connection)

    with tls_server(house.servers["good"], note, house.own.ca_file) as port:
        send(port, house.trust())
    assert seen == ["client"]


@way
@pytest.mark.parametrize("server", ["expired", "wrong name", "wrong authority", "revoked"])
def test_a_receiver_that_is_not_the_one_is_told_nothing(house: House, way: str, server: str) -> None:
    send, answer = WAYS[way]
    reached: list[bool] = []

    def note(connection: ssl.SSLSocket) -> None:
        reached.append(bool(connection.recv(1)))
        answer(connection)

    with tls_server(house.servers[server], note) as port, pytest.raises(DeliveryError, match=r"(?i)certificate"):
        send(port, house.trust())
    assert not any(reached)


@way
@pytest.mark.parametrize("client", ["none", "expired", "wrong authority"])
def test_a_receiver_that_does_not_know_us_has_not_been_told(house: House, way: str, client: str) -> None:
    send, answer = WAYS[way]
    with tls_server(house.servers["good"], answer, house.own.ca_file) as port, pytest.raises(DeliveryError):
        send(port, house.trust(client))


@way
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
def test_tls_1_1_is_not_spoken(house: House, way: str) -> None:
    send, answer = WAYS[way]
    with tls_server(house.servers["good"], answer, old=True) as port, pytest.raises(DeliveryError):
        send(port, house.trust())


@way
def test_a_list_that_is_none_is_a_sentence(house: House, way: str) -> None:
    """And nothing is sent: without the list nobody knows whom to trust."""
    send, answer = WAYS[way]
    with (
        tls_server(house.servers["good"], answer) as port,
        pytest.raises(DeliveryError, match="no list of revoked certificates"),
    ):
        send(port, Trust(house.own.ca_file, crl_file=house.own.ca_file))
