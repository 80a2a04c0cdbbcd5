"""The engine's own small endpoint: ``/metrics``, ``/healthz``, ``/readyz``, without credentials, on loopback.

It lives in the engine's process, so that a console that is down takes no metrics with it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

from lifeline.core.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client import CollectorRegistry


class _Quiet(WSGIRequestHandler):
    timeout = 5.0

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Requests are not news."""


class Endpoint:
    """Serves until closed. ``readiness()`` gives (ready, reason).

    Raises:
        UnavailableError: the address is in use or not ours.
    """

    def __init__(
        self, host: str, port: int, registry: CollectorRegistry, readiness: Callable[[], tuple[bool, str | None]]
    ) -> None:
        self._metrics = make_wsgi_app(registry)
        self._readiness = readiness
        try:
            self._server: WSGIServer = make_server(host, port, self._answer, handler_class=_Quiet)
        except OSError as error:
            raise UnavailableError(
                f"{host}:{port} cannot be listened on: {error.strerror or error}; choose another [metrics] listen"
            ) from error
        self.url = f"http://{host}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="endpoint", daemon=True)
        self._thread.start()

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            found: Iterable[bytes] = self._metrics(environ, start_response)
            return found
        if path == "/healthz":
            return _text(start_response, "200 OK", "ok")
        if path == "/readyz":
            ready, reason = self._readiness()
            return _text(start_response, "200 OK" if ready else "503 Service Unavailable", reason or "ready")
        return _text(start_response, "404 Not Found", "there are /metrics, /healthz and /readyz")

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


def _text(start_response: Any, status: str, text: str) -> list[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")])
    return [f"{text}\n".encode()]
