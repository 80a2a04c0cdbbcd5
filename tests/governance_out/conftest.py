"""A receiver on a real socket that can be told how to behave, and sinks on both databases."""

from __future__ import annotations

import base64
import http.server
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from lifeline.governance.outgoing.envelope import CONTENT_TYPE, cloud_event, encode
from lifeline.governance.outgoing.outbox import Message
from lifeline.governance.outgoing.web import WebTransport
from lifeline.governance.outgoing.worker import SinkRules, Transport, Worker
from tests.governance.conftest import Hands

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
SOURCE = "/lifeline/test"


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """Answers with the next of ``answers``, then 204. An answer is a status, or a function that handles the request."""

    answers: list[int | Callable[[http.server.BaseHTTPRequestHandler], None]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?x=1"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            made.requests.append(Request(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            answer = made.answers.pop(0) if made.answers else 204
            if callable(answer):
                answer(self)
                return
            self.send_response(answer)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def hands(queue_url: str) -> Iterator[Hands]:
    made = Hands(queue_url)
    yield made
    made.close()


def as_cloud_event(message: Message) -> tuple[str, bytes]:
    return CONTENT_TYPE, encode(cloud_event(message, SOURCE))


def web(hands: Hands, receiver: Receiver, **options: Any) -> WebTransport:
    given: dict[str, Any] = {"keys": [bytes(range(32))], "allow_private": True, "timeout_s": 2.0} | options
    return WebTransport(given.pop("url", receiver.url), as_cloud_event, lambda: hands.now, **given)


def sink(hands: Hands, transport: Transport, name: str = "hook", **rules: Any) -> Worker:
    """A sink that is known to the outbox; tests turn its crank by ``step``."""
    from lifeline.governance.outgoing import outbox

    made = SinkRules(name, rules.pop("target", "there"), **rules)
    with hands.queue._database.write() as connection:
        outbox.register(connection, made.name, made.target)
    return Worker(made, transport, hands.queue._database, lambda: hands.now, random.Random(7))
