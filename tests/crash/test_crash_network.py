"""Networks and brokers that fail: cut at every byte, half open, a broker that is gone, a victim that stands still."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.crash import figures
from tests.crash.campaign import Campaign, wait_until
from tests.crash.proxy import Cut, Proxy

pytestmark = [pytest.mark.slow, pytest.mark.soak]

DOWN_BYTES = 5 + 6 + 260
"""CONNACK, SUBACK, and about three PUBLISH packets."""
UP_BYTES = 60 + 22 + 24
"""CONNECT, SUBSCRIBE, and about six PUBACKs."""


@pytest.fixture
def proxied(campaign: Callable[..., Campaign]) -> Iterator[Callable[..., tuple[Campaign, Proxy]]]:
    made: list[Proxy] = []

    def make(**options: object) -> tuple[Campaign, Proxy]:
        def through(port: int) -> str:
            made.append(Proxy(port))
            return made[-1].url

        return campaign(through=through, reconnect_s=(0.005, 0.01), **options), made[-1]

    yield make
    for proxy in made:
        proxy.close()


@pytest.mark.parametrize(("direction", "size"), [("down", DOWN_BYTES), ("up", UP_BYTES)])
def test_a_connection_reset_after_every_byte_m02(
    direction: str, size: int, proxied: Callable[..., tuple[Campaign, Proxy]]
) -> None:
    """Whatever byte is the last that comes through: delivered again, stored once, acknowledged in order."""
    run, proxy = proxied()
    run.broker.window = 6
    proxy.plan.extend(Cut(direction, after) for after in range(1, size + 1))
    run.start()
    wait_until(lambda: run.alive() and not proxy.plan, "every cut", 120)
    run.work(50)
    books = run.settle()
    figures.add(f"reset after every byte {direction}", proxy.cuts, books, run.seed, [])
    print(f"\n{direction}: {proxy.cuts} resets, {run.broker.connections} subscriptions, {books}")
    assert proxy.cuts == size
    assert books.clean, (run.seed, books)


def test_single_bytes_arrive_whole_m03(proxied: Callable[..., tuple[Campaign, Proxy]]) -> None:
    run, proxy = proxied()
    proxy.piece = 1
    run.start()
    run.work(100)
    proxy.piece = 1 << 16
    books = run.settle()
    assert books.clean, (run.seed, books)


def test_a_half_open_link_is_left_within_one_and_a_half_keep_alive_m03(
    proxied: Callable[..., tuple[Campaign, Proxy]],
) -> None:
    run, proxy = proxied(keepalive_s=5)
    run.start()
    run.work(100)
    before = proxy.connections
    proxy.deaf = True
    began = time.monotonic()
    wait_until(lambda: run.alive() and proxy.connections > before, "another connection", 15)
    took_s = time.monotonic() - began
    proxy.deaf = False
    run.work(100)
    books = run.settle()
    assert took_s < 5 * 1.5 + 2
    assert books.clean, (run.seed, books)


def test_a_victim_that_stands_still_past_its_keep_alive_d11(campaign: Callable[..., Campaign]) -> None:
    """SIGSTOP, the broker gives it up, SIGCONT: nothing twice, nothing lost."""
    run = campaign()
    run.start()
    for _ in range(3):
        run.work(200)
        os.kill(run.pid, signal.SIGSTOP)
        time.sleep(0.3)
        run.broker.cut()
        time.sleep(0.3)
        os.kill(run.pid, signal.SIGCONT)
    run.work(200)
    books = run.settle()
    assert books.clean, (run.seed, books)


def test_cut_killed_and_stopped_in_any_order(campaign: Callable[..., Campaign]) -> None:
    """Mixed faults: the connection goes while the victim recovers, the victim while the connection does."""
    run = campaign()
    for _ in range(12):
        run.start()
        for _ in range(run.random.randint(0, 3)):
            run.work(run.random.randint(1, 150))
            run.broker.cut()
        run.kill()
        assert run.look().clean, run.seed
    books = run.settle()
    figures.add("connection cut, then kill -9", 12, books, run.seed, run.recoveries_s)
    assert books.clean, (run.seed, books)
