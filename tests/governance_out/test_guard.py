"""Where the sender does not go: every address that is not of the open internet, however it is written."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from lifeline.core.errors import UnavailableError
from lifeline.governance.outgoing.guard import is_public, resolve
from tests.governance.conftest import T0, Hands, raised
from tests.governance_out.conftest import Receiver, sink, web

PRIVATE = [
    "127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "0.0.0.1", "255.255.255.255", "224.0.0.1", "192.0.2.1", "198.18.0.1", "::1", "::", "fe80::1",
    "fc00::1", "fd12:3456::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",     "2002:7f00:1::", "2002:c0a8:101::", "2001:db8::1",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_inside_a_network_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "0x7f000001", "2130706433", "0177.0.0.1", "[::1]", "127.1"])
def test_no_spelling_of_loopback_gets_through(host: str) -> None:
    with pytest.raises(UnavailableError):
        resolve(host.strip("[]"), 80, allow_private=False)


def test_one_private_address_among_public_ones_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in ("1.1.1.1", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)

    with pytest.raises(UnavailableError, match=r"10\.0\.0\.1"):
        resolve("two.example", 443, allow_private=False)
    assert resolve("two.example", 443, allow_private=True) == "1.1.1.1"


def test_the_name_is_asked_once_and_the_connection_goes_to_that_answer(
    hands: Hands, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that answers otherwise the second time (rebinding) is not asked a second time."""
    real, asked = socket.getaddrinfo, []

    def answer(host: str, port: int, *rest: Any, **more: Any) -> Any:
        if host != "hook.example":
            return real(host, port, *rest, **more)
        asked.append(host)
        return real("127.0.0.1" if len(asked) == 1 else "192.0.2.1", port, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    worker = sink(hands, web(hands, receiver, url=f"http://hook.example:{receiver.port}/"))
    hands.apply(raised("ch4.high", 0, T0))
    worker.step()

    assert asked == ["hook.example"]
    assert receiver.requests[0].headers["host"] == f"hook.example:{receiver.port}"


def test_a_private_receiver_gets_nothing_and_says_why(hands: Hands, receiver: Receiver) -> None:
    worker = sink(hands, web(hands, receiver, allow_private=False))
    hands.apply(raised("ch4.high", 0, T0))
    worker.step()

    assert receiver.requests == []
    with hands.queue._database.read() as connection:
        error = connection.exec_driver_sql("SELECT last_error FROM sinks").scalar()
    assert "127.0.0.1, an address inside a network" in str(error)
