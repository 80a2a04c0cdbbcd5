"""A broker's byte stream without blocking: TCP or TLS, the bytes that wait to go out, and a bell other threads ring.

Connecting (name, TCP, TLS handshake) blocks for at most ``CONNECT_TIMEOUT_S``; everything after it never does.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Final

from lifeline.core.errors import ConfigurationError, Problem, UnavailableError

if TYPE_CHECKING:
    from ingest.broker import BrokerSettings

CONNECT_TIMEOUT_S: Final = 10.0


class Bell:
    """Wakes a thread out of ``Link.wait``. Ringing is thread-safe, cheap, and legal after the end."""

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock = threading.Lock()

    def ring(self) -> None:
        """Wake the waiter now or at its next wait."""
        with self._lock:
            if self.fd >= 0:
                os.eventfd_write(self.fd, 1)

    def quiet(self) -> None:
        """Forget earlier rings."""
        try:
            os.eventfd_read(self.fd)
        except BlockingIOError:
            return

    def wait(self, timeout_s: float) -> None:
        """Block until rung, or for ``timeout_s``."""
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        poll.poll(max(0.0, timeout_s) * 1000)
        self.quiet()

    def close(self) -> None:
        """Free the descriptor; later rings do nothing."""
        with self._lock:
            os.close(self.fd)
            self.fd = -1


def tls_context(settings: BrokerSettings) -> ssl.SSLContext:
    """Verifies the broker by ``ca_file`` (or the system's store), its host name and ``crl_file``; TLS 1.2 at least.

    Raises:
        ConfigurationError: a file is missing or no PEM.
    """
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if settings.cert_file is not None:
            context.load_cert_chain(settings.cert_file, settings.key_file)
        if settings.crl_file is not None:
            _refuse_revoked(context, settings.crl_file)
    except (OSError, ssl.SSLError) as error:
        where = f"broker {settings.name}"
        given = (settings.ca_file, settings.cert_file, settings.key_file, settings.crl_file)
        files = ", ".join(filter(None, given))
        keys = "ca_file, cert_file, key_file, crl_file"
        problem = Problem(where, keys, f"{error} ({files})", "give readable PEM files")
        raise ConfigurationError([problem]) from error
    return context


def _refuse_revoked(context: ssl.SSLContext, crl_file: str) -> None:
    context.load_verify_locations(crl_file)
    if not context.cert_store_stats()["crl"]:
        raise OSError("crl_file holds no list of revoked certificates")
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF


class ClosedByBrokerError(UnavailableError):
    """The broker closed the connection and gave no reason."""

    def __init__(self) -> None:
        super().__init__("the broker closed the connection without a reason")


class Link:
    """One connected socket.

    Raises:
        UnavailableError: the broker cannot be reached or its certificate does not verify.
    """

    def __init__(self, settings: BrokerSettings, bell: Bell, context: ssl.SSLContext | None) -> None:
        self._bell = bell
        self._secure = context is not None
        try:
            plain = socket.create_connection((settings.host, settings.port), timeout=CONNECT_TIMEOUT_S)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket: socket.socket = (
                plain if context is None else context.wrap_socket(plain, server_hostname=settings.host)
            )
        except OSError as error:
            raise UnavailableError(f"{settings.host}:{settings.port}: {error}") from error
        self._socket.settimeout(0.0)
        self._out = bytearray()
        self._poll = select.poll()
        self._poll.register(bell.fd, select.POLLIN)
        self._events = 0
        self._least = 1

    def wait(self, reading: bool, timeout_s: float | None, least: int = 1) -> bool:
        """Block until there is something to do; True when the socket may be read (only if ``reading``).

        With ``least`` bytes; fewer are enough where the socket has no room for more, or the broker ends the connection.
        """
        if reading and least != self._least:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, least)
            self._least = least
        events = (select.POLLIN if reading else 0) | (select.POLLOUT if self._out else 0)
        if events != self._events:
            if events:
                self._poll.register(self._socket, events)
            else:
                self._poll.unregister(self._socket)  # a hang-up is reported even to those who ask for nothing
            self._events = events
        if reading and self._secure and isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            timeout_s = 0.0
        readable = False
        for fd, found in self._poll.poll(None if timeout_s is None else max(0.0, timeout_s) * 1000):
            if fd == self._bell.fd:
                self._bell.quiet()
            elif found & ~select.POLLOUT:
                readable = True
        return reading and (readable or timeout_s == 0.0)

    def receive(self, space: memoryview) -> int:
        """Fill ``space`` with what has arrived and no more; 0 when nothing has.

        Raises:
            UnavailableError: the broker closed the connection, or it broke.
        """
        filled = 0
        while filled < len(space):
            try:
                count = self._socket.recv_into(space[filled:])
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            except OSError as error:
                if filled:
                    break
                raise UnavailableError(f"connection lost: {error}") from error
            if count == 0:
                if filled:
                    break
                raise ClosedByBrokerError
            filled += count
            if not self._secure:
                break  # one call took everything that was there; TLS gives at most a 16 KiB record a call
        return filled

    def send(self, data: bytes) -> bool:
        """Queue ``data`` and send what the socket takes; True when nothing is left.

        Raises:
            UnavailableError: the connection broke.
        """
        self._out += data
        while self._out:
            try:
                count = self._socket.send(self._out)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return False
            except OSError as error:
                raise UnavailableError(f"connection lost: {error}") from error
            del self._out[:count]
        return True

    def close(self) -> None:
        """Close without ceremony."""
        self._socket.close()
