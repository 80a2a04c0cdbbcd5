"""What every request passes before any route: our name, a rate, a bounded body; and what every answer carries.

Plain ASGI, so that a stream costs nothing here. A request whose Host is not ours is refused: a foreign page that points
its own name at 127.0.0.1 must not read the queue.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from typing import TYPE_CHECKING, Final

from lifeline.console.limits import BODY_BYTES_MAX, BODY_S
from lifeline.console.problem import ProblemError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOG: Final = logging.getLogger(__name__)
LOCAL_HOSTS: Final = ("127.0.0.1", "localhost", "::1")

HEADERS: Final = {
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
}
SECURE_HEADERS: Final = {b"strict-transport-security": b"max-age=31536000"}


class Guard:
    """ASGI middleware. ``take(address)`` gives seconds to wait, 0 for go on."""

    def __init__(
        self, app: ASGIApp, *, hosts: Sequence[str] | None, secure: bool, take: Callable[[str], float]
    ) -> None:
        self._app = app
        self._hosts = None if hosts is None else frozenset(host.lower() for host in hosts)
        self._headers = HEADERS | (SECURE_HEADERS if secure else {})
        self._take = take

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                there = {name.lower() for name, _ in message["headers"]}
                extra = [pair for pair in self._headers.items() if pair[0] not in there]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        try:
            self._check(scope)
            receive = await _whole_body(scope, receive)
            await self._app(scope, receive, guarded)
        except ProblemError as problem:
            await problem.response()(scope, receive, guarded)
        except Exception:
            LOG.exception("%s %s failed", scope["method"], scope["path"])
            if started:
                raise
            await ProblemError("internal", "the reason is in the console's log").response()(scope, receive, guarded)

    def _check(self, scope: Scope) -> None:
        if self._hosts is not None:
            host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
            if host_name(host) not in self._hosts:
                raise ProblemError("not-our-name", "open the console under the address it listens on")
        wait = self._take(address_of(scope))
        if wait:
            raise too_many(wait)


def too_many(wait_s: float) -> ProblemError:
    """429 with the seconds to wait."""
    seconds = str(max(1, round(wait_s + 0.5)))
    return ProblemError(
        "too-many", f"请稍后再试 / slow down: try again in {seconds} s", headers={"Retry-After": seconds}
    )


def address_of(scope: Scope) -> str:
    """The peer's address; an IPv6 network of 64 bits counts as one."""
    client = scope.get("client")
    if client is None:
        return "local"
    try:
        address = ipaddress.ip_address(client[0])
    except ValueError:
        return str(client[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def host_name(host: str) -> str:
    """The name or address in a Host header, without port and brackets, in lower case."""
    name = host.rpartition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.lower()


async def _whole_body(scope: Scope, receive: Receive) -> Receive:
    """The request's body, read within its bounds; GET has none that we would look at."""
    if scope["method"] in {"GET", "HEAD", "OPTIONS", "DELETE"}:
        return receive
    declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    if declared.isdigit() and int(declared[:12]) > BODY_BYTES_MAX:
        raise ProblemError(
            "too-large", f"a request has at most {BODY_BYTES_MAX} bytes", headers={"Connection": "close"}
        )
    body, more = bytearray(), True
    try:
        async with asyncio.timeout(BODY_S):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    more = False
                    continue
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > BODY_BYTES_MAX:
                    raise ProblemError("too-large", f"a request has at most {BODY_BYTES_MAX} bytes")
    except TimeoutError:
        raise ProblemError("invalid", "the body did not come in time", status=408) from None
    given: Message | None = {"type": "http.request", "body": bytes(body), "more_body": False}

    async def replay() -> Message:
        nonlocal given
        if given is not None:
            message, given = given, None
            return message
        return await receive()

    return replay
