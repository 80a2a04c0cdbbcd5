"""The live stream: news at once, resumed without loss or repeat, for a thousand viewers; ends with its credential."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest

from lifeline.console.server import bind

NOW_MS = 1_795_000_000_000


def entries(lines: Iterator[str], count: int) -> list[dict[str, Any]]:
    """The next ``count`` changes of a stream."""
    found: list[dict[str, Any]] = []
    for line in lines:
        if line.startswith("data: "):
            found.append(json.loads(line[6:]))
            if len(found) == count:
                break
    return found


def act(client: Any, number: int, action: str = "note", as_: str = "operator") -> None:
    event_id = client.town.events[number]["event_id"]
    answer = client.ask("POST", f"/api/v1/events/{event_id}/actions/{action}", as_=as_, json={"note": "seen"})
    assert answer.status_code == 200, answer.text


def listen(client: Any, as_: str = "viewer", **headers: str) -> Any:
    token = client.town.tokens[as_]
    return httpx.stream(
        "GET", f"http://127.0.0.1:{client.port}/api/v1/stream", timeout=20,
        headers={"Authorization": f"Bearer {token}", **headers},
    )  # fmt: skip


@pytest.mark.both_databases
def test_a_change_is_told_at_once_and_masked(client: Any) -> None:
    with listen(client) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        next(lines)
        act(client, 0)
        act(client, 1)
        first, second = entries(lines, 2)
    assert (first["action"], first["event"]["event_id"]) == ("note", client.town.events[0]["event_id"])
    assert second["event"]["place"].startswith("masked-")


@pytest.mark.both_databases
def test_a_stream_goes_on_where_it_was_left(client: Any) -> None:
    for _ in range(3):
        act(client, 0)
    with listen(client, **{"Last-Event-ID": "0"}) as stream:
        everything = entries(stream.iter_lines(), 7)
    numbers = [entry["entry"] for entry in everything]
    assert numbers == sorted(set(numbers))
    with listen(client, **{"Last-Event-ID": str(numbers[4])}) as stream:
        lines = stream.iter_lines()
        assert [entry["entry"] for entry in entries(lines, 2)] == numbers[5:]
        act(client, 0)
        assert entries(lines, 1)[0]["entry"] > numbers[6]
    assert client.get("/api/v1/stream", as_="viewer", headers={"Last-Event-ID": "x"}).status_code == 422


def test_a_stream_tells_only_what_its_viewer_may_see(client: Any) -> None:
    client.town.tokens["gas"] = client.town.account("gas1", *_gas())
    with listen(client, "gas") as stream:
        lines = stream.iter_lines()
        next(lines)
        act(client, 2)  # water
        act(client, 0)  # gas
        assert entries(lines, 1)[0]["event"]["utility"] == "gas"


def _gas() -> list[Any]:
    from lifeline.core.principal import Grant

    return [Grant("viewer", (), ("gas",))]


def test_a_stream_ends_with_its_credential(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lifeline.console.feed.HEARTBEAT_S", 0.3)
    accounts, database = client.town.accounts()
    token_id, token = accounts.create_token("viewer1", actor="test")
    client.town.tokens["short"] = token
    with listen(client, "short") as stream:
        lines = stream.iter_lines()
        while ": alive" not in next(lines):
            pass
        accounts.revoke_token(token_id, actor="test")
        assert not any(line.startswith("data:") for line in lines)  # and it ends
    database.close()


def test_viewers_who_leave_are_forgotten(client: Any) -> None:
    for _ in range(5):
        with listen(client) as stream:
            next(stream.iter_lines())
    deadline = time.monotonic() + 20
    while client.app.state.lifeline.feed.listeners:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_one_account_leaves_the_others_their_streams(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lifeline.console.routes.stream.STREAMS_PER_NAME", 2)
    with listen(client) as first, listen(client) as second:
        lines = [stream.iter_lines() for stream in (first, second)]
        for told in lines:
            next(told)
        with listen(client) as third:
            assert (third.status_code, third.headers["retry-after"]) == (429, "10")
        with listen(client, "operator") as other:
            assert other.status_code == 200


async def _viewer(
    port: int, token: str, told: dict[int, list[float]], ready: asyncio.Semaphore, stop: asyncio.Event
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n"
    writer.write(head.encode())
    await reader.readuntil(b"\n\n")
    ready.release()
    try:
        while not stop.is_set():
            line = await reader.readline()
            if not line:
                return
            if line.startswith(b"id: "):
                told.setdefault(int(line[4:]), []).append(time.monotonic())
    finally:
        writer.close()


@pytest.mark.soak
@pytest.mark.integration
def test_a_thousand_viewers(client: Any) -> None:
    """1,000 streams ≤ 250 MB, ≤ 200 ms from commit to client; 100 unless LIFELINE_SOAK=1. Figures are printed."""
    viewers, acts = (1000, 20) if os.environ.get("LIFELINE_SOAK") else (100, 3)
    with bind("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
    config = str(client.town.site.config.path)
    process = subprocess.Popen(
        [sys.executable, "-m", "lifeline.app.console", config, "127.0.0.1", str(port), "", str(os.getpid())]
    )
    told: dict[int, list[float]] = {}
    committed: dict[int, float] = {}
    spent: list[float] = []
    newest = client.app.state.lifeline.parts.queue.newest_change
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=5)
                break
            except httpx.HTTPError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        idle_mb = psutil.Process(process.pid).memory_info().rss / 1e6

        async def watch() -> float:
            ready, stop = asyncio.Semaphore(0), asyncio.Event()
            token = client.town.tokens["viewer"]
            tasks = []
            for start in range(0, viewers, 20):  # a credential has a rate, also for streams
                tasks += [
                    asyncio.create_task(_viewer(port, token, told, ready, stop))
                    for _ in range(min(20, viewers - start))
                ]
                await asyncio.sleep(0.45)
            for _ in range(viewers):
                await asyncio.wait_for(ready.acquire(), 60)
            cpu_s = sum(psutil.Process(process.pid).cpu_times()[:2])
            for _ in range(acts):
                await asyncio.to_thread(act, client, 0)
                committed[await asyncio.to_thread(newest)] = time.monotonic()
                await asyncio.sleep(0.7)
            memory = psutil.Process(process.pid).memory_info().rss / 1e6
            spent.append(sum(psutil.Process(process.pid).cpu_times()[:2]) - cpu_s)
            stop.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            return memory

        memory_mb = asyncio.run(watch())
    finally:
        process.terminate()
        process.wait(20)
    delays = sorted(at - committed[entry] for entry in committed for at in told.get(entry, ()))
    print(
        f"{viewers} streams: {memory_mb:.0f} MB (idle {idle_mb:.0f}); commit to client p50 "
        f"{statistics.median(delays) * 1000:.0f} ms, p99 {delays[int(len(delays) * 0.99)] * 1000:.0f} ms, "
        f"max {delays[-1] * 1000:.0f} ms; {spent[0] / acts * 1000:.0f} ms of CPU a change"
    )
    assert len(delays) == viewers * acts
    assert memory_mb < 250
