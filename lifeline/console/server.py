"""Listening: the shell around the console's application.

The socket is bound by us, so that an address in use is a sentence and not a stack trace. A connection that takes too
long to say what it wants is closed: it holds a place that a viewer could have.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from lifeline.console.limits import CONNECTIONS_MAX, DIRECT, HEAD_BYTES_MAX, HEAD_S
from lifeline.console.tls import Renewed
from lifeline.core.errors import UnavailableError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from starlette.types import ASGIApp

    from lifeline.console.tls import Tls

STOP_S: Final = 3
"""How long answers under way may take once we are told to stop."""


class Impatient(H11Protocol):
    """HTTP/1.1 that gives a request's head ``HEAD_S`` seconds, from the connection or from its first byte."""

    _patience: asyncio.TimerHandle | None = None

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._plain, self.app = self.app, self._extended

    async def _extended(self, scope: Any, receive: Any, send: Any) -> None:
        """The application, told of what this server can do beyond ASGI (its `extensions`)."""
        if scope["type"] == "http" and scope["http_version"] == "1.1":
            scope["extensions"] = {DIRECT: self._send_now}
        await self._plain(scope, receive, send)

    def _send_now(self, data: bytes) -> bool:
        """A chunk of the body under way, at once; False: not now, something is still to be sent.

        A stream's answer has no length, so HTTP/1.1 sends it in chunks (RFC 9112, 7.1); h11 would frame each anew.
        """
        if self.conn.our_state is not h11.SEND_BODY or self.transport.is_closing():
            return False
        if self.transport.get_write_buffer_size():
            return False
        self.transport.write(_chunk(data))
        return True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The first head is awaited."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """A head may be complete, or the next one has begun."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self._await_head()
        else:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is awaited any more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        if self._patience is None:
            self._patience = self.loop.call_later(HEAD_S, self._give_up)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        self._patience = None
        if self.conn.their_state is h11.IDLE:
            self.transport.abort()


@lru_cache(maxsize=64)
def _chunk(data: bytes) -> bytes:
    """Framed, once for all viewers who are sent the same."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class Server(uvicorn.Server):
    """Ends what would never end by itself before it waits for answers under way."""

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stop = on_stop

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        self._on_stop()
        await super().shutdown(sockets)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any free one.

    Raises:
        UnavailableError: the address is in use or not ours.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=CONNECTIONS_MAX)
    except OSError as error:
        raise UnavailableError(
            f"{host}:{port} cannot be listened on: {error.strerror or error}; choose another [http] listen"
        ) from error


def make_server(app: ASGIApp, tls: Tls | None = None, on_stop: Callable[[], None] = lambda: None) -> uvicorn.Server:
    """A server that logs warnings only, holds no secrets in headers and bounds what a client may hold open.

    ``on_stop`` is called on the event loop when it is told to stop: streams end by it.

    Run it with ``server.run(sockets=[bind(host, port)])``; ``server.should_exit = True`` stops it from another thread.

    Raises:
        UnavailableError: certificate or key cannot be read.
    """
    config = uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        lifespan="off",
        ws="none",
        http=Impatient,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS_MAX,
        h11_max_incomplete_event_size=HEAD_BYTES_MAX,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=STOP_S,
    )
    config.load()
    if tls is not None:
        try:
            config.ssl = Renewed(tls)
        except OSError as error:
            raise UnavailableError(f"[http] {error}") from error
    return Server(config, on_stop)


def serve(
    host: str, port: int, app: ASGIApp, tls: Tls | None = None, on_stop: Callable[[], None] = lambda: None
) -> None:
    """Answer until SIGTERM or Ctrl-C.

    Raises:
        UnavailableError: the address is in use or not ours, or the certificate cannot be used.
    """
    server = make_server(app, tls, on_stop)
    sock = bind(host, port)
    with sock, suppress(KeyboardInterrupt):
        server.run(sockets=[sock])
