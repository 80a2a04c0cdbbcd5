"""A real console server on a free port, over sources that a test can change."""

import http.client
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from lifeline.console.app import create_app
from lifeline.console.server import bind, make_server
from lifeline.core.errors import UnavailableError

NOW_MS = 1_795_000_000_000


@dataclass
class Sources:
    """What the fake engine says; ``None`` means that it says nothing."""

    status: dict[str, Any] | None = field(default_factory=lambda: {"ready": True, "reason": None, "at": NOW_MS})
    events: list[dict[str, Any]] | None = field(default_factory=list)
    metrics: bytes | None = b"lifeline_readings_received_total 7.0\n"
    limits: list[int] = field(default_factory=list)
    now_ms: int = NOW_MS

    def read_status(self) -> dict[str, Any]:
        if self.status is None:
            raise UnavailableError("the engine has not run yet: no status file")
        return self.status

    def read_events(self, *, limit: int) -> dict[str, Any]:
        self.limits.append(limit)
        if self.events is None:
            raise UnavailableError("governance.db: disk I/O error")
        return {"events": self.events[:limit], "next": None}

    def clock(self) -> int:
        """Each call a second later, so that nothing is answered from a cache."""
        self.now_ms += 1000
        return self.now_ms


@dataclass
class Answer:
    """One HTTP answer."""

    code: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Client:
    """Asks the running console."""

    port: int
    sources: Sources

    def get(self, path: str, *, host: str | None = None, method: str = "GET") -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, path, headers={"Host": host or f"127.0.0.1:{self.port}"})
        answer = connection.getresponse()
        try:
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()


@pytest.fixture
def client() -> Iterator[Client]:
    """The console of the site ``<b>"City"</b>`` in Shanghai's time."""
    sources = Sources()
    app = create_app(
        sources.read_status,
        sources.read_events,
        lambda: sources.metrics,
        site='<b>"City"</b> {{script}}',
        timezone="Asia/Shanghai",
        clock=sources.clock,
    )
    sock = bind("127.0.0.1", 0)
    server = make_server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    try:
        yield Client(sock.getsockname()[1], sources)
    finally:
        server.should_exit = True
        thread.join(20)
        sock.close()
