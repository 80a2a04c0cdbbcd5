"""Broker URLs and listen addresses: text to parts.

Rules of this file: pure. Messages never repeat the text of a URL, because people put passwords there.
"""

from __future__ import annotations

import ipaddress
from typing import Final, NamedTuple
from urllib.parse import urlsplit

PORTS: Final = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
"""Schemes that a broker URL may have, each with its usual port."""

EMBEDDED: Final = "embedded"


class Listen(NamedTuple):
    """Where a server listens."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Only this machine can reach it."""
        return is_loopback(self.host)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class BrokerUrl(NamedTuple):
    """Where a broker is and how to speak to it."""

    scheme: str
    """mqtt, mqtts, ws, wss, or ``embedded``."""
    host: str
    port: int
    path: str
    """Of the WebSocket, such as ``/mqtt``; empty for the others."""

    @property
    def embedded(self) -> bool:
        """The bundled broker is to be started."""
        return self.scheme == EMBEDDED

    @property
    def tls(self) -> bool:
        """Encrypted."""
        return self.scheme in {"mqtts", "wss"}

    @property
    def websocket(self) -> bool:
        """MQTT inside a WebSocket."""
        return self.scheme in {"ws", "wss"}


def parse_url(text: str, listen: str = "127.0.0.1:1883") -> BrokerUrl:
    """The parts of a broker URL; ``listen`` is where the embedded broker is.

    Raises:
        ValueError: with what is wrong, without the text.
    """
    if text == EMBEDDED:
        here = parse_listen(listen)
        return BrokerUrl(EMBEDDED, here.host, here.port, "")
    parts = urlsplit(text)
    if parts.scheme not in PORTS:
        raise ValueError(f"has the scheme {parts.scheme!r}, which is none of {', '.join(PORTS)}")
    if "@" in parts.netloc:
        raise ValueError("holds a user name or password; use username and password_file or password_env")
    if not parts.hostname:
        raise ValueError("has no host")
    try:
        port = parts.port
    except ValueError:
        raise ValueError("has a port that is no number from 1 to 65535") from None
    if port == 0:
        raise ValueError("has a port that is no number from 1 to 65535")
    websocket = parts.scheme in {"ws", "wss"}
    if parts.query or parts.fragment or (not websocket and parts.path not in {"", "/"}):
        raise ValueError("has something after host and port")
    path = (parts.path or "/mqtt") if websocket else ""
    return BrokerUrl(parts.scheme, parts.hostname, port or PORTS[parts.scheme], path)


def parse_listen(text: str) -> Listen:
    """Host and port of ``host:port`` or ``[v6]:port``.

    Raises:
        ValueError: with what is wrong.
    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{text!r} is ambiguous; write an IPv6 address as [::1]:8600")
    if not colon or not host:
        raise ValueError(f"{text!r} has no host:port")
    if not (port.isascii() and port.isdigit() and int(port) <= 65_535):
        raise ValueError(f"{port!r} is no port from 0 (any free one) to 65535")
    return Listen(host, int(port))


def is_loopback(host: str) -> bool:
    """Whether ``host`` means this machine only; a name other than localhost does not."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
