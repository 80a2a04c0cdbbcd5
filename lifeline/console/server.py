"""Listening: the shell around the console's application.

The socket is bound by us, so that an address in use is a sentence and not a stack trace.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import uvicorn

from lifeline.core.errors import UnavailableError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

CONNECTIONS_MAX: Final = 128
"""Viewers at the same time; beyond it a connection gets 503."""

STOP_S: Final = 3
"""How long answers under way may take once we are told to stop."""


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


def make_server(app: ASGIApp) -> uvicorn.Server:
    """A server that logs warnings only, holds no secrets in headers and bounds what a client may hold open.

    Run it with ``server.run(sockets=[bind(host, port)])``; ``server.should_exit = True`` stops it from another thread.
    """
    return uvicorn.Server(
        uvicorn.Config(
            app,
            access_log=False,
            log_level="warning",
            lifespan="off",
            ws="none",
            server_header=False,
            proxy_headers=False,
            limit_concurrency=CONNECTIONS_MAX,
            h11_max_incomplete_event_size=16 << 10,
            timeout_keep_alive=10,
            timeout_graceful_shutdown=STOP_S,
        )
    )


def serve(host: str, port: int, app: ASGIApp) -> None:
    """Answer until SIGTERM or Ctrl-C.

    Raises:
        UnavailableError: the address is in use or not ours.
    """
    sock = bind(host, port)
    with sock, suppress(KeyboardInterrupt):
        make_server(app).run(sockets=[sock])
