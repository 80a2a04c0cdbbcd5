"""The socket to a broker: TCP or TLS, never blocking once connected. All the I/O of the publisher is here.

mqtt://[user:password@]host[:1883]      mqtts://[user:password@]host[:8883]
"""

from __future__ import annotations

import select
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from lifeline.core.errors import ConfigurationError, PeerError, Problem, UnavailableError
from simulators.wire import CONNECT_REFUSALS, connect_packet

if TYPE_CHECKING:
    from pathlib import Path

_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_SEND_BYTES: Final = 1 << 18
_RECEIVE_BYTES: Final = 1 << 18
_REFUSED_FOR_NOW: Final = 3


@dataclass(frozen=True, slots=True)
class Address:
    """Where the broker is and who we are there."""

    host: str
    port: int
    is_tls: bool
    username: str | None
    password: str | None


def parse_url(url: str, username: str | None = None, password: str | None = None) -> Address:
    """The address of a broker URL; an explicit user name or password wins over one in the URL.

    Raises:
        ConfigurationError: not an mqtt or mqtts URL.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigurationError(
            [Problem("simulate", "broker", f"{url!r}: {error}", "write mqtt://host:1883")]
        ) from None
    if parts.scheme not in _PORTS or not parts.hostname:
        problem = Problem(
            "simulate", "broker", f"{url!r} is no mqtt:// or mqtts:// address", "write mqtt://host:1883 or mqtts://host"
        )
        raise ConfigurationError([problem])
    if username is None:
        username = unquote(parts.username) if parts.username else None
    if password is None:
        password = unquote(parts.password) if parts.password else None
    if password is not None and username is None:
        raise ConfigurationError([Problem("simulate", "broker", "a password needs a user name", "give both")])
    return Address(parts.hostname, port or _PORTS[parts.scheme], parts.scheme == "mqtts", username, password)


class Link:
    """One connection, already accepted by the broker."""

    def __init__(
        self, address: Address, client_id: str, keep_alive_s: int, timeout_s: float, ca_file: Path | None
    ) -> None:
        """Connect, and wait for the CONNACK.

        Raises:
            UnavailableError: nobody answers, or the broker says "not now".
            PeerError: what answers is no MQTT broker.
            ConfigurationError: the broker refuses us (name, password, rights), or its certificate is not trusted.
        """
        where = f"{address.host}:{address.port}"
        connect = connect_packet(client_id, keep_alive_s, address.username, address.password)
        try:
            self._socket: socket.socket = socket.create_connection((address.host, address.port), timeout_s)
            try:
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if address.is_tls:
                    context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
                    self._socket = context.wrap_socket(self._socket, server_hostname=address.host)
                self._socket.sendall(connect)
                answer = self._read_exactly(4)
            except BaseException:
                self._socket.close()
                raise
        except ssl.SSLCertVerificationError as error:
            problem = Problem("simulate", "broker", f"{where}: {error.verify_message}", "give the CA that signed it")
            raise ConfigurationError([problem]) from error
        except OSError as error:
            raise UnavailableError(f"no broker at {where}: {error}") from error
        self._judge(where, answer)
        self._socket.settimeout(0)

    def _judge(self, where: str, answer: bytes) -> None:
        """Go on after CONNACK with code 0, else close and raise."""
        if answer[:2] == b"\x20\x02" and answer[3] == 0:
            return
        self._socket.close()
        if answer[:2] != b"\x20\x02":
            raise PeerError(f"{where} answers {answer.hex(' ')} where an MQTT broker sends CONNACK")
        reason = CONNECT_REFUSALS.get(answer[3], f"code {answer[3]}")
        if answer[3] == _REFUSED_FOR_NOW:
            raise UnavailableError(f"broker at {where}: {reason}")
        raise ConfigurationError([Problem("simulate", "broker", f"{where} refuses: {reason}", "check user and rights")])

    def _read_exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self._socket.recv(count - len(data))
            if not part:
                raise ConnectionResetError("closed before its CONNACK")
            data += part
        return data

    def send(self, data: memoryview) -> int:
        """Bytes that the socket took now, 0 when it is full.

        Raises:
            OSError: the connection is gone.
        """
        try:
            return self._socket.send(data[:_SEND_BYTES])
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0

    def receive(self) -> bytes | None:
        """Bytes that have arrived, b"" when there are none now, None at the end of the stream.

        Raises:
            OSError: the connection is gone.
        """
        try:
            return self._socket.recv(_RECEIVE_BYTES) or None
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return b""

    def wait(self, timeout_s: float, *, to_send: bool) -> None:
        """Until something can be read (or sent, when asked), at most so long."""
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return
        select.select([self._socket], [self._socket] if to_send else [], [], max(0.0, timeout_s))

    def close(self) -> None:
        """Close without a word; a second time nothing happens."""
        self._socket.close()
