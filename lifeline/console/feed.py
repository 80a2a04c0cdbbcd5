"""The live stream: one poller reads the event log's new entries, every viewer is shown the same bytes.

    event_log ──(one query for all)──► ring of the newest frames ──┬─ straight to the connection of who waits for news
                                                                    └─ wake who is behind: it writes what is new for it

Nothing is queued for a viewer: a stream holds a number, the last entry it has seen. A slow one, or one that comes back
with Last-Event-ID, is served from the log itself until it has reached the ring, so memory has a bound whatever viewers
do. The database is asked only while somebody listens; what it is asked each turn is one number.

Whoever has seen everything and has nothing left to send is written to by the poller itself: the news of all who hold
the same grants is put together once, and nobody's task is woken for it (a thousand wake-ups cost ten times the sends).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import orjson
from starlette.concurrency import run_in_threadpool

from lifeline.console.masking import masked_event
from lifeline.core.errors import LifelineError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from lifeline.console.ports import QueuePort, Row
    from lifeline.core.principal import Grant, Principal

LOG: Final = logging.getLogger(__name__)
POLL_S: Final = 0.05
"""Half of what a commit may take to a screen beside the query itself (200 ms in all)."""
RING: Final = 4_096
"""Frames kept: a flood of 10,000 alarms makes a few hundred events."""
READ_MAX: Final = 1_000
HEARTBEAT_S: Final = 15.0
"""A comment line now and then, so that proxies and browsers know the stream lives; rights are checked as often."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One change, ready to be sent, and whom it concerns."""

    entry: int
    places: tuple[tuple[str | None, str | None], ...]
    """(area, utility) of everything that the event touches."""
    data: bytes
    judged: dict[tuple[Grant, ...], bool] = field(default_factory=dict)
    """Whose grants see it, where it touches much: a thousand viewers have few grants that differ."""

    def is_for(self, principal: Principal) -> bool:
        """Whether one of its places lies within the viewer's reach."""
        if len(self.places) == 1:
            return principal.sees(*self.places[0])
        known = self.judged.get(principal.grants)
        if known is None:
            known = self.judged[principal.grants] = any(principal.sees(*place) for place in self.places)
        return known


class Viewer:
    """A stream: what it has seen, and whether it waits for news."""

    __slots__ = ("principal", "seen", "waits", "wake", "write")

    def __init__(self, principal: Principal, write: Callable[[bytes], bool] | None) -> None:
        self.principal = principal
        self.write = write
        self.seen = -1
        self.waits = False
        self.wake = asyncio.Event()


class Feed:
    """The changes of the queue for any number of streams. Used on the event loop only."""

    def __init__(self, queue: QueuePort) -> None:
        self._queue = queue
        self._ring: deque[Frame] = deque(maxlen=RING)
        self._newest = -1
        self._viewers: set[Viewer] = set()
        self._poller: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._closed = False

    def close(self) -> None:
        """End every stream: the server stops, and viewers come back with their Last-Event-ID."""
        self._closed = True
        for viewer in self._viewers:
            viewer.wake.set()

    @property
    def listeners(self) -> int:
        """Streams open now."""
        return len(self._viewers)

    def listeners_of(self, name: str) -> int:
        """Streams of one account open now."""
        return sum(viewer.principal.name == name for viewer in self._viewers)

    async def listen(
        self,
        principal: Principal,
        after: int | None,
        valid: Callable[[], Awaitable[bool]],
        write: Callable[[bytes], bool] | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """Frames after entry ``after`` (None: from now on), for as long as ``valid()`` (asked now and then) holds.

        ``write``: sends bytes at once, past this generator, unless something is still on its way (False then).
        """
        viewer = Viewer(principal, write)
        self._viewers.add(viewer)
        try:
            await self._start()
            viewer.seen = self._newest if after is None or after > self._newest else after
            yield f": lifeline\nretry: 2000\nid: {viewer.seen}\n\n".encode()
            checked = asyncio.get_running_loop().time()
            while not self._closed:
                viewer.wake.clear()
                frames = await self._after(viewer.seen)
                if frames:
                    viewer.seen = frames[-1].entry
                    if data := _seen_by(principal, frames):
                        yield data
                    continue
                wait = checked + HEARTBEAT_S - asyncio.get_running_loop().time()
                viewer.waits = True
                try:
                    async with asyncio.timeout(max(wait, 0.0)):
                        await viewer.wake.wait()
                except TimeoutError:
                    viewer.waits = False
                    checked = asyncio.get_running_loop().time()
                    if not await valid():
                        return
                    yield b": alive\n\n"
                finally:
                    viewer.waits = False
        finally:
            self._viewers.discard(viewer)

    def _tell(self, frames: list[Frame], before: int) -> None:
        """News for everybody: straight to those who had seen all ``before`` it, the others are woken."""
        told: dict[tuple[Grant, ...], bytes] = {}
        for viewer in self._viewers:
            if viewer.waits and viewer.seen == before and viewer.write is not None:
                grants = viewer.principal.grants
                data = told.get(grants)
                if data is None:
                    data = told[grants] = _seen_by(viewer.principal, frames)
                if not data or viewer.write(data):
                    viewer.seen = frames[-1].entry
                    continue
            viewer.wake.set()

    async def _after(self, seen: int) -> list[Frame]:
        if seen >= self._newest:
            return []
        if self._ring and self._ring[0].entry <= seen + 1:
            # newest first until what was seen: a wake-up looks at the new frames only
            found: list[Frame] = []
            for frame in reversed(self._ring):
                if frame.entry <= seen:
                    break
                found.append(frame)
            return found[::-1]
        rows = await run_in_threadpool(self._queue.changes, seen, READ_MAX)
        return [_frame(row) for row in rows]

    async def _start(self) -> None:
        # one at a time: the number of who asked later would skip what the poller has yet to tell
        async with self._starting:
            if self._poller is None or self._poller.done():
                self._ring.clear()
                self._newest = await run_in_threadpool(self._queue.newest_change)
                self._poller = asyncio.create_task(self._poll())

    async def _poll(self) -> None:
        said = False
        while self._viewers and not self._closed:
            try:
                newest = await run_in_threadpool(self._queue.newest_change)
                while newest > self._newest:
                    rows = await run_in_threadpool(self._queue.changes, self._newest, READ_MAX)
                    if not rows:
                        break
                    frames = [_frame(row) for row in rows]
                    self._ring.extend(frames)
                    before, self._newest = self._newest, frames[-1].entry
                    self._tell(frames, before)
                said = False
            except (LifelineError, OSError) as error:
                if not said:
                    LOG.warning("stream: the queue cannot be read: %s", error)
                said = True
                await asyncio.sleep(1)
            except Exception:  # a defect of ours must not leave every viewer waiting in silence
                LOG.exception("stream: the queue's news cannot be told")
                await asyncio.sleep(1)
            await asyncio.sleep(POLL_S)


def _seen_by(principal: Principal, frames: list[Frame]) -> bytes:
    return b"".join([frame.data for frame in frames if frame.is_for(principal)])


def _frame(row: Row) -> Frame:
    event = row["event"]
    body = {name: row[name] for name in ("entry", "at", "actor", "role", "action", "from_status", "to_status")}
    body["event"] = masked_event(event)
    data = orjson.dumps(body, default=str, option=orjson.OPT_NON_STR_KEYS)  # names from the database subclass str
    text = b"id: %d\nevent: change\ndata: %s\n\n" % (row["entry"], data)
    return Frame(row["entry"], tuple(row["places"]), text)
