"""The feed's two ways to a viewer, past its task and through it, together tell everything once and in order."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifeline.console import feed as feed_module
from lifeline.console.feed import HEARTBEAT_S, Feed
from lifeline.core.principal import Grant, Principal

GAS = (Grant("viewer", (), ("gas",)),)
ALL = (Grant("viewer"),)


class Log:
    """The queue, as far as a feed asks it."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def add(self, utility: str) -> None:
        number = len(self.rows) + 1
        event = {"event_id": f"{number:020x}", "area_code": "410105", "utility": utility, "place": "P", "title": "t"}
        places = [("410105", utility)]
        row = dict.fromkeys(("at", "actor", "role", "action", "from_status", "to_status"), "x")
        self.rows.append(row | {"entry": number, "event": event, "places": places})

    def newest_change(self) -> int:
        return len(self.rows)

    def changes(self, after: int, limit: int) -> list[dict[str, Any]]:
        return self.rows[after : after + limit]


def numbers(data: bytes) -> list[int]:
    """Entries of what a viewer was sent, without the greeting."""
    return [] if b"retry" in data else [int(one) for one in re.findall(rb"^id: (\d+)$", data, re.MULTILINE)]


class Watch:
    """Three viewers: two whose connections take what is written past their tasks while ``accepts``, one without."""

    def __init__(self, log: Log, ring: int) -> None:
        self.feed = Feed(log)  # type: ignore[arg-type]
        self.feed._ring = type(self.feed._ring)(maxlen=ring)
        self.took: dict[str, list[int]] = {"near": [], "gas": [], "plain": []}
        self.accepts = True
        self.direct = 0
        grants = {"near": ALL, "gas": GAS, "plain": ALL}
        self.tasks = [asyncio.create_task(self.watch(name, held)) for name, held in grants.items()]

    def write(self, name: str, data: bytes) -> bool:
        if self.accepts:
            self.direct += 1
            self.took[name] += numbers(data)
        return self.accepts

    async def watch(self, name: str, grants: tuple[Grant, ...]) -> None:
        async def valid() -> bool:
            return True

        way = None if name == "plain" else (lambda data: self.write(name, data))
        async for data in self.feed.listen(Principal("v", grants), 0, valid, way):
            self.took[name] += numbers(data)

    async def until(self, newest: int) -> None:
        """Everybody waits, having seen everything; sooner than the heartbeat, which would mend what was forgotten."""
        async with asyncio.timeout(HEARTBEAT_S * 0.8):
            while not self.all_wait(newest):  # noqa: ASYNC110 - the feed tells nobody of this
                await asyncio.sleep(0.001)

    def all_wait(self, newest: int) -> bool:
        viewers = self.feed._viewers
        return len(viewers) == 3 and all(one.waits and one.seen == newest for one in viewers)

    async def stop(self) -> None:
        self.feed.close()
        await asyncio.gather(*self.tasks)


async def _told(log: Log, steps: list[tuple[list[str], bool]], ring: int) -> dict[str, list[int]]:
    """Entries as each viewer gets them."""
    watch = Watch(log, ring)
    for utilities, accepts in steps:
        watch.accepts = accepts
        for utility in utilities:
            log.add(utility)
        await asyncio.sleep(0.003)
    await watch.until(len(log.rows))
    await watch.stop()
    return watch.took


def test_who_waits_is_written_to_past_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "POLL_S", 0.001)

    async def run() -> tuple[int, dict[str, list[int]]]:
        log = Log()
        watch = Watch(log, 100)
        await watch.until(0)
        log.add("water")
        await watch.until(1)
        log.add("gas")
        await watch.until(2)
        await watch.stop()
        return watch.direct, watch.took

    assert asyncio.run(run()) == (3, {"near": [1, 2], "gas": [2], "plain": [1, 2]})


class Slow(Log):
    """One whose second answer about its newest entry takes until there are four, and comes before the next answer."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.answered = threading.Event()

    def newest_change(self) -> int:
        self.asked += 1
        if self.asked == 2:
            while len(self.rows) < 4:
                time.sleep(0.001)
            self.answered.set()
        elif len(self.rows) >= 4:
            self.answered.wait(5)
            time.sleep(0.05)
        return super().newest_change()


def test_who_comes_while_another_starts_costs_nobody_news(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "POLL_S", 0.001)
    nothing: list[str] = []
    told = asyncio.run(_told(Slow(), [(nothing, True)] * 20 + [(["gas"] * 4, True)], 100))
    assert list(told.values()) == [[1, 2, 3, 4]] * 3


@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from(["gas", "water"]), min_size=1, max_size=4), st.booleans()),
        min_size=1,
        max_size=6,
    ),
    st.integers(1, 6),
)
@settings(max_examples=25, deadline=None)
def test_everybody_is_told_everything_once_and_in_order(steps: list[tuple[list[str], bool]], ring: int) -> None:
    """Whether the connection takes it at once or not, and also where the ring has forgotten what somebody needs."""
    before, feed_module.POLL_S = feed_module.POLL_S, 0.001  # type: ignore[misc]
    try:
        log = Log()
        took = asyncio.run(_told(log, steps, ring))
    finally:
        feed_module.POLL_S = before  # type: ignore[misc]
    everything = [row["entry"] for row in log.rows]
    assert took["near"] == took["plain"] == everything
    assert took["gas"] == [row["entry"] for row in log.rows if row["event"]["utility"] == "gas"]


def test_a_viewer_with_http_1_0_gets_plain_bytes(client: Any) -> None:
    """No chunks there: the body is what there is until the connection ends."""
    token = client.town.tokens["viewer"]
    with socket.create_connection(("127.0.0.1", client.port), timeout=20) as sock:
        sock.sendall(
            f"GET /api/v1/stream HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        )
        answer = b""
        while b"retry: 2000" not in answer:
            answer += sock.recv(65536)
        event_id = client.town.events[0]["event_id"]
        for _ in range(2):
            client.ask("POST", f"/api/v1/events/{event_id}/actions/note", as_="operator", json={"note": "seen"})
        while answer.count(b"data: ") < 2:
            answer += sock.recv(65536)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert b"\r\n" not in body
