"""``/stream``: server-sent events, one a change of an event (WHATWG HTML, 9.2), resumed by ``Last-Event-ID``."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Header, Request
from starlette.responses import Response

from lifeline.console.answers import Who, state_of
from lifeline.console.limits import DIRECT, STREAMS_MAX, STREAMS_PER_NAME
from lifeline.console.problem import ProblemError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from starlette.types import Receive, Scope, Send

router = APIRouter(prefix="/api/v1", tags=["events"])


class Stream(Response):
    """An endless answer; sending waits for the reader, so a slow one costs nothing but its own time."""

    media_type = "text/event-stream"

    def __init__(self, listen: Callable[[Callable[[bytes], bool] | None], AsyncGenerator[bytes, None]]) -> None:
        """``listen``: the frames, given what sends past them where the server can (``DIRECT``)."""
        super().__init__(b"", headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._listen = listen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the viewer has gone or the frames end."""
        write = scope.get("extensions", {}).get(DIRECT)
        stream = asyncio.current_task()
        assert stream is not None

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            stream.cancel()

        watching = asyncio.create_task(watch())
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            async with aclosing(self._listen(write)) as frames:
                async for data in frames:
                    await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except asyncio.CancelledError:
            if not watching.done():  # the server stops: that is not ours to swallow
                raise
        finally:
            watching.cancel()


@router.get(
    "/stream",
    response_class=Response,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "Changes"}},
)
async def stream(
    request: Request,
    who: Who,
    last_event_id: Annotated[
        str | None, Header(max_length=20, pattern=r"^[0-9]*$", description="the last id seen: go on after it")
    ] = None,
) -> Response:
    """Changes of events within the caller's areas and utilities, as they are committed."""
    state = state_of(request)
    if state.feed.listeners >= STREAMS_MAX:
        raise ProblemError("unavailable", "too many streams are open", headers={"Retry-After": "10"})
    if state.feed.listeners_of(who.principal.name) >= STREAMS_PER_NAME:
        what = f"{who.principal.name} has {STREAMS_PER_NAME} streams open; close some, or use another account"
        raise ProblemError("too-many", what, headers={"Retry-After": "10"})
    gate = state.gate

    async def valid() -> bool:
        found = await gate.identify(request)
        return found is not None and found.principal.grants == who.principal.grants

    after = int(last_event_id) if last_event_id else None
    return Stream(lambda write: state.feed.listen(who.principal, after, valid, write))
