"""``stream``: the console's process with 1,000 viewers of the live stream (scale 1): delay, memory, CPU a change.

People act once every 0.7 s, in another process than the console, as an engine and a shell do; the delay runs from the
act's return (it is durable then) to the bytes at each viewer. The viewers share the machine: what they cost is in the
delay, but not in the CPU time that is told.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import numpy as np
import orjson
import psutil

from benchmarks.harness import Figure, Result
from benchmarks.past import END_MS, make_past
from lifeline.app.identity import accounts_of
from lifeline.app.site import load_site
from lifeline.core.principal import Grant
from lifeline.core.schema import AREAS, POINTS
from lifeline.governance.actor import Actor
from lifeline.governance.desk import GovernanceDesk
from lifeline.lake.catalog import Catalog

if TYPE_CHECKING:
    from lifeline.app.site import Site

VIEWERS: Final = 1_000
ACTS: Final = 30
PAUSE_S: Final = 0.7
ACCOUNTS: Final = 4
"""Whose viewers they are: every other one sees gas only."""
START_S: Final = 60
CONFIG: Final = """\
[site]
name = "Bench"
timezone = "Asia/Shanghai"
data_dir = "var"

[[broker]]
name = "none"
url = "mqtt://127.0.0.1:1"

[registry]
unknown = "register"

[rules]
files = []
"""


def run(scale: float) -> Result:
    """One console, its viewers, and somebody who acts."""
    result = Result("stream", scale)
    viewers = max(20, min(VIEWERS, round(VIEWERS * scale)))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lifeline-bench-")))
        site = _site(folder)
        tokens = _tokens(site)
        console, port = _console(site, stack)
        idle = psutil.Process(console.pid).memory_info().rss
        watching = _viewers(port, viewers, tokens, stack)
        assert watching.stdin is not None
        assert watching.stdout is not None
        desk = GovernanceDesk(site.database_url, lambda: END_MS)
        stack.callback(desk.close)
        events = desk.list_events(status="closed", utility="gas", limit=ACTS)[0]
        before = _cpu_s(console)
        committed: dict[int, float] = {}
        for number in range(ACTS):
            desk.act(events[number]["event_id"], "reopen", Actor("chief", "dispatcher"), "again")
            at = time.monotonic()
            committed[desk.newest_change()] = at
            time.sleep(PAUSE_S)
        spent, memory = _cpu_s(console) - before, psutil.Process(console.pid).memory_info().rss
        watching.stdin.close()
        told = {int(entry): times for entry, times in orjson.loads(watching.stdout.readline()).items()}
    delays = [(at - start) * 1000 for entry, start in committed.items() for at in told.get(entry, ())]
    if len(delays) != viewers * ACTS:
        raise RuntimeError(f"{len(delays)} news came of {viewers * ACTS}")
    for share, target in ((50, None), (99, 200.0), (100, None)):
        value = float(np.percentile(delays, share))
        result.figures[f"commit_to_viewer_p{share}_ms"] = Figure(value, "ms", target, "lower", runs=len(delays))
    result.figures["console_mb"] = Figure(memory / 1e6, "MB", 250, "lower")
    result.figures["console_idle_mb"] = Figure(idle / 1e6, "MB", None, "lower")
    result.figures["cpu_ms_a_change"] = Figure(spent / ACTS * 1000, "ms", None, "lower", runs=ACTS)
    result.notes.append(f"{viewers} viewers, each told {ACTS} changes")
    return result


def _site(folder: Path) -> Site:
    config = folder / "lifeline.toml"
    config.write_text(CONFIG, encoding="utf-8")
    site = load_site(config)
    site.state.mkdir(parents=True)
    catalog = Catalog(site.data)
    catalog.publish_table("points", POINTS.empty_table())
    catalog.publish_table("areas", AREAS.empty_table())
    catalog.publish()
    path = site.config.database_path
    assert path is not None
    make_past(path, 0.0001)
    return site


def _tokens(site: Site) -> list[str]:
    tokens = []
    with accounts_of(site) as accounts:
        for number in range(ACCOUNTS):
            grant = Grant("viewer") if number % 2 else Grant("viewer", (), ("gas",))
            accounts.add(f"viewer{number}", [grant], actor="bench", password="a long enough one 2026")  # noqa: S106
            tokens.append(accounts.create_token(f"viewer{number}", actor="bench")[1])
    return tokens


def _console(site: Site, stack: ExitStack) -> tuple[subprocess.Popen[bytes], int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    command = [sys.executable, "-m", "lifeline.app.console", str(site.config.path), "127.0.0.1", str(port), ""]
    console = subprocess.Popen([*command, str(os.getpid())])
    stack.callback(console.wait, 20)
    stack.callback(console.terminate)
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5):
            return console, port
        time.sleep(0.1)
    raise RuntimeError(f"the console did not answer within {START_S} s")


def _viewers(port: int, count: int, tokens: list[str], stack: ExitStack) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "benchmarks.viewers", str(port), str(count)]
    watching = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert watching.stdin is not None
    assert watching.stdout is not None
    stack.callback(watching.wait, 30)
    stack.callback(watching.terminate)
    for pipe in (watching.stdout, watching.stdin):
        stack.callback(_closed, pipe)
    watching.stdin.write(" ".join(tokens).encode() + b"\n")
    watching.stdin.flush()
    if watching.stdout.readline() != b"ready\n":
        raise RuntimeError("not every stream could be opened")
    return watching


def _closed(pipe: IO[bytes]) -> None:
    with suppress(OSError):
        pipe.close()


def _cpu_s(process: subprocess.Popen[bytes]) -> float:
    times = psutil.Process(process.pid).cpu_times()
    return float(times.user + times.system)
