"""Sending by HTTP: one POST a message, to the address that the guard has seen, signed, no redirects, a deadline."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import urllib3

from lifeline.core.errors import UnavailableError
from lifeline.governance.outgoing import signing
from lifeline.governance.outgoing.guard import resolve
from lifeline.governance.outgoing.tls import Trust
from lifeline.governance.outgoing.worker import DeliveryError, GoneError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lifeline.core.ports import Clock
    from lifeline.governance.outgoing.outbox import Message

GONE: Final = 410
SYSTEM: Final = Trust()
USER_AGENT: Final = "Lifeline"

Body = tuple[str, bytes]
"""Content type and content."""


class WebTransport:
    """Posts what ``render`` makes of a message. ``keys``: Standard Webhooks secrets, the newest first; none: unsigned.

    ``headers``: sent along, such as a bearer token. ``allow_private``: the receiver may be inside the network.
    ``trust``: of https, both ways.
    """

    def __init__(
        self,
        url: str,
        render: Callable[[Message], Body | None],
        clock: Clock,
        *,
        keys: Sequence[bytes] = (),
        headers: dict[str, str] | None = None,
        allow_private: bool = False,
        trust: Trust = SYSTEM,
        timeout_s: float = 15.0,
    ) -> None:
        parts = urlsplit(url)
        self._tls = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._tls else 80)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._authority = parts.netloc.rpartition("@")[2]
        self._render = render
        self._clock = clock
        self._keys = tuple(keys)
        self._headers = headers or {}
        self._allow_private = allow_private
        self._trust = trust
        self._timeout_s = timeout_s

    def send(self, message: Message) -> None:
        """POST it; any answer of 200 to 299 means that the receiver has it.

        Raises:
            DeliveryError, GoneError: as ``Transport``.
        """
        body = self._render(message)
        if body is None:
            return
        kind, content = body
        headers = {"content-type": kind, "user-agent": USER_AGENT, "host": self._authority} | self._headers
        headers |= signing.headers(self._keys, message.message_id, self._clock() // 1000, content)
        status, after_s = self._post(content, headers)
        if status == GONE:
            raise GoneError(f"{self._authority} answers 410 Gone")
        if not 200 <= status < 300:
            raise DeliveryError(f"{self._authority} answers {status}", after_s)

    def idle(self) -> None:
        """Nothing is kept open between messages."""

    def close(self) -> None:
        """Nothing is kept open between messages."""

    def _post(self, content: bytes, headers: dict[str, str]) -> tuple[int, float]:
        try:
            address = resolve(self._host, self._port, allow_private=self._allow_private)
        except UnavailableError as error:
            raise DeliveryError(str(error)) from None
        options: dict[str, Any] = {"timeout": self._timeout_s}
        if self._tls:
            try:
                context = self._trust.context()
            except OSError as error:
                raise DeliveryError(f"{self._authority}: TLS files: {error}") from None
            options |= {"ssl_context": context, "server_hostname": self._host}
            connection: Any = urllib3.connection.HTTPSConnection(address, self._port, **options)
        else:
            connection = urllib3.connection.HTTPConnection(address, self._port, **options)
        timer = threading.Timer(self._timeout_s, _abort, [connection])  # a receiver that trickles has its end, too
        timer.daemon = True
        timer.start()
        try:
            connection.request("POST", self._path, body=content, headers=headers, preload_content=False)
            response = connection.getresponse()
            return int(response.status), _seconds(response.headers.get("retry-after"))
        except (urllib3.exceptions.HTTPError, HTTPException, OSError, ValueError) as error:
            raise DeliveryError(f"{self._authority}: {type(error).__name__}: {error}"[:500]) from None
        finally:
            timer.cancel()
            connection.close()


def _abort(connection: Any) -> None:
    sock = connection.sock
    if sock is not None:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def _seconds(text: str | None) -> float:
    """``Retry-After`` in seconds; a date is not worth reading, the back-off is enough."""
    return float(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 9 else 0.0
