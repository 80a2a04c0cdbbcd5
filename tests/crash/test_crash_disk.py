"""Disks that are full, refuse, lie still or are slow: no acknowledgement, the reason on both endpoints, back alone."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import free_port
from tests.crash.campaign import Campaign, RedError, wait_until
from tests.crash.disks import LoopDisk
from tests.crash.tracer import Tracer, inject

pytestmark = [pytest.mark.slow, pytest.mark.soak]

KEEPALIVE_S = 5


def get(port: int, path: str) -> tuple[int, str]:
    """One plain request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError as error:
        return 0, str(error)
    finally:
        connection.close()


def engine_port(run: Campaign) -> int:
    """Where the engine's own endpoint listens."""
    status: dict[str, Any] = json.loads((run.data / "state/status.json").read_bytes())
    return int(str(status["endpoint"]).rpartition(":")[2])


def up(run: Campaign) -> None:
    """At work, and both endpoints say so."""
    run.work(300)
    wait_until((run.data / "state/status.json").exists, "the first status")
    for port in (engine_port(run), run.console):
        assert port is not None
        wait_until(lambda port=port: get(port, "/readyz")[0] == 200, f"ready: {get(port, '/readyz')}", 30)


def stands(run: Campaign, reason: str) -> None:
    """Nothing is acknowledged any more, the connection was dropped, and both endpoints say why."""
    port = engine_port(run)
    assert run.console is not None
    wait_until(lambda: run.alive() and get(port, "/readyz")[0] == 503, "the engine's /readyz is 503", 30)
    before = run.broker.connections
    wait_until(lambda: run.broker.connections > before or not run.broker.connected, "the connection is dropped", 30)
    wait_until(lambda: reason in get(port, "/readyz")[1], f"the engine says {reason}: {get(port, '/readyz')}", 30)
    wait_until(lambda: reason in get(run.console, "/readyz")[1], f"{reason}: {get(run.console, '/readyz')}", 30)
    acked = run.broker.acked
    time.sleep(1.0)
    assert run.broker.acked == acked, "acknowledged on a disk that takes nothing"
    for path in ("/login", "/healthz"):  # without an account; both are answered from the disk that refuses
        assert get(run.console, path)[0] == 200, (path, get(run.console, path))


def comes_back(run: Campaign) -> float:
    """Acknowledges again without anybody's help, and says so; the seconds it took."""
    began, acked = time.monotonic(), run.broker.acked
    wait_until(lambda: run.alive() and run.broker.acked > acked, f"acknowledges again\n{run.zygote.words()}", 60)
    took_s = time.monotonic() - began
    port = engine_port(run)
    assert run.console is not None
    for who in (port, run.console):
        try:
            wait_until(lambda who=who: get(who, "/readyz")[0] == 200, f"ready again on {who}", 60)
        except RedError as error:
            said = f"engine {get(port, '/readyz')}, console {get(run.console, '/readyz')}"
            raise RedError(f"{error}; {said}\n{run.zygote.words()}") from error
    return took_s


@pytest.mark.parametrize("what", ["bytes", "inodes"])
def test_a_full_disk_d09(what: str, campaign: Callable[..., Campaign], loop_disk: Callable[..., LoopDisk]) -> None:
    disk = loop_disk(mib=96, inodes=2000 if what == "inodes" else 0)
    run = campaign(kind="engine", disk=disk, console=free_port(), segment_bytes=128 << 10)
    run.start()
    up(run)
    (disk.fill if what == "bytes" else disk.take_inodes)()
    stands(run, "ENOSPC")
    disk.empty()
    took_s = comes_back(run)
    books = run.settle()
    print(f"\nfull of {what}: back after {took_s:.1f} s, {books}")
    assert books.clean, (run.seed, books)


@pytest.mark.parametrize("error", ["EROFS", "EIO"])
def test_a_disk_that_refuses_everything_d07(error: str, campaign: Callable[..., Campaign]) -> None:
    """Read-only all of a sudden, or dead: writes, syncs and creations fail until they do not."""
    run = campaign(kind="engine", console=free_port())
    run.start()
    up(run)
    calls = "pwrite64,pwritev,fsync,fdatasync,rename,link,mkdir"
    tracer = Tracer(run.pid, inject(calls, f"error={error}"), held=False)
    try:
        stands(run, error)
    finally:
        tracer.detach()
    took_s = comes_back(run)
    books = run.settle()
    print(f"\n{error}: back after {took_s:.1f} s, {books}")
    assert books.clean, (run.seed, books)


def pings_on_time(run: Campaign, began: float, ended: float) -> None:
    """Nobody was left without a sign of life for longer than the keep-alive."""
    beats = [began, *[at for at in list(run.broker.heard) if began < at < ended]]
    gaps = [b - a for a, b in zip(beats, [*beats[1:], ended], strict=True)]
    assert max(gaps) < KEEPALIVE_S * 1.3, gaps


def test_a_frozen_disk_keeps_the_pings_d10(
    campaign: Callable[..., Campaign], loop_disk: Callable[..., LoopDisk]
) -> None:
    disk = loop_disk()
    run = campaign(disk=disk, keepalive_s=KEEPALIVE_S)
    run.start()
    run.work(500)
    memory = psutil.Process(run.pid).memory_info().rss
    connections = run.broker.connections
    disk.freeze()
    began = time.monotonic()
    try:
        time.sleep(0.3)
        acked = run.broker.acked
        time.sleep(7.0)
        ended = time.monotonic()
        grown = psutil.Process(run.pid).memory_info().rss - memory
        still = run.broker.acked
    finally:
        disk.thaw()
    run.work(500)
    books = run.settle()

    assert still == acked, "acknowledged while the disk was frozen"
    pings_on_time(run, began, ended)
    assert run.broker.connections == connections
    assert grown < 64 << 20
    assert books.clean, (run.seed, books)


def test_a_slow_disk_keeps_the_pings_d10(campaign: Callable[..., Campaign]) -> None:
    run = campaign(keepalive_s=KEEPALIVE_S)
    run.start(hold=True)
    tracer = Tracer(run.pid, inject("fdatasync", "delay_exit=7s", when="6+1"))
    run.work(1)
    began = time.monotonic()
    time.sleep(9.0)
    ended = time.monotonic()
    connections = run.broker.connections
    tracer.detach()
    run.work(500)
    books = run.settle()

    pings_on_time(run, began, ended)
    assert run.broker.pings > 0
    assert connections == 1
    assert books.clean, (run.seed, books)


def test_a_file_size_limit_makes_writes_short_d14(campaign: Callable[..., Campaign], tmp_path: Path) -> None:
    """RLIMIT_FSIZE: first a short write, then EFBIG; who ignores what ``write`` returns acknowledges half records."""
    import resource

    run = campaign()
    run.start()
    run.work(200)
    size = max(path.stat().st_size for path in (run.data / "log").glob("*.log"))
    resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (size + 1500, resource.RLIM_INFINITY))
    time.sleep(1.0)
    resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    run.work(200)
    books = run.settle()
    assert books.clean, (run.seed, books)


def test_no_descriptor_left_is_survived_d14(campaign: Callable[..., Campaign]) -> None:
    """EMFILE when a segment begins or a connection is made: refused, then back."""
    import resource

    run = campaign()
    run.start()
    run.work(200)
    used = len(list(Path(f"/proc/{run.pid}/fd").iterdir()))
    before = resource.prlimit(run.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(run.pid, resource.RLIMIT_NOFILE, (used, before[1]))
    run.broker.cut()
    time.sleep(1.0)
    resource.prlimit(run.pid, resource.RLIMIT_NOFILE, before)
    run.work(200)
    books = run.settle()
    assert books.clean, (run.seed, books)
