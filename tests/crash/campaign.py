"""Crash after crash over one data directory, with the ledger outside; at any time the books can be balanced.

broker + ledger (this process) ◄──MQTT──► victim (forked by the zygote) ──► disk (a folder, or a LoopDisk)
                                             ▲
                      kill -9, SIGTERM ──────┴───── power cut, and whatever a test does to it
"""

from __future__ import annotations

import json
import os
import queue
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

import rules
from lifeline.core.schema import Reason
from lifeline.log.scan import scan_segment
from lifeline.log.segment import decode_header, decode_record
from tests.crash.broker import LedgerBroker
from tests.crash.disks import LOGFLUSH, NOLOGFLUSH, LoopDisk
from tests.crash.oracle import Books, Kept, Key, Ledger

VICTIM = Path(__file__).with_name("victim.py")
PATIENCE_S = 60.0
DEVICES = 64

CONFIG = """
[site]
name = "Crash city"
timezone = "Asia/Shanghai"
data_dir = "{data}"
[[broker]]
name = "city"
url = "{url}"
client_id = "victim"
protocol = 5
reconnect = {{ min_s = {min_s}, max_s = {max_s} }}
keepalive_s = {keepalive_s}
subscribe = [{{ filter = "lifeline/#", qos = 1, payload = "lifeline" }}]
[registry]
file = "sensors.csv"
[rules]
files = ["{rules}/gas.toml"]
[governance]
database = "sqlite:///governance.db"
[metrics]
listen = "127.0.0.1:0"
"""


class RedError(AssertionError):
    """The victim does what no engine may do."""


def wait_until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE_S) -> None:
    """Poll; RedError by name when it never comes."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RedError(f"not within {seconds:g} s: {what}")
        time.sleep(0.002)


class Zygote:
    """Forks victims. One for a whole test run: importing the engine takes seconds, a fork none."""

    def __init__(self, folder: Path) -> None:
        root = VICTIM.parents[2]
        self.log = folder / "victims.log"
        with self.log.open("ab") as words:
            self.process = subprocess.Popen(
                [sys.executable, VICTIM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=words,
                text=True,
                cwd=root,
                env=os.environ | {"PYTHONPATH": str(root)},
            )
        self._pids: queue.Queue[int] = queue.Queue()
        self._serial = 0
        self._serials: dict[int, int] = {}
        """pid → serial number of the victim that has it now: the kernel gives the same pids again and again."""
        self._gone: dict[int, int] = {}
        """serial number → how it ended"""
        self._changed = threading.Condition()
        self._ready = threading.Event()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        deadline = time.monotonic() + 120
        while not self._ready.wait(0.05):
            assert self.process.poll() is None and time.monotonic() < deadline, self.words()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            word, *rest = line.split()
            if word == "ready":
                self._ready.set()
            elif word == "pid":
                self._pids.put(int(rest[0]))
            else:
                with self._changed:
                    self._gone[int(rest[0])] = int(rest[1])
                    self._changed.notify_all()

    def fork(self, **order: Any) -> int:
        """A new victim's pid."""
        assert self.process.stdin is not None
        self._serial += 1
        self.process.stdin.write(json.dumps(order | {"serial": self._serial}) + "\n")
        self.process.stdin.flush()
        pid = self._pids.get(timeout=PATIENCE_S)
        self._serials[pid] = self._serial
        return pid

    def status(self, pid: int) -> int | None:
        """How it ended (negative: by that signal), None while it lives."""
        return self._gone.get(self._serials[pid])

    def wait(self, pid: int, seconds: float = PATIENCE_S) -> int:
        """Wait for its end."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._serials[pid] in self._gone, seconds):
                raise RedError(f"victim {pid} did not end within {seconds:g} s\n{self.words()}")
            return self._gone[self._serials[pid]]

    def words(self) -> str:
        """What victims said last."""
        return self.log.read_text()[-3000:]

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        self._listener.join(10)
        self.process.stdout.close()


def log_content(directory: Path) -> Iterator[tuple[int, list[tuple[Key, float]], list[bytes]]]:
    """(lsn, unique rows, rejects) of every sound record, read without opening the log."""
    for path in sorted(directory.glob("*.log")):
        buffer = pa.py_buffer(path.read_bytes())
        view = memoryview(buffer).cast("B")
        scan = scan_segment(view)
        for at in scan.offsets:
            record = decode_record(buffer, at, decode_header(view[at:], scan.header.salt))
            kept = record.readings.unique()
            rows = [
                ((p, s), v) for p, s, v in zip(kept.point.tolist(), kept.seq.tolist(), kept.value.tolist(), strict=True)
            ]
            rejects = [] if record.rejects is None else record.rejects.to_pylist()
            yield record.lsn, rows, [r["payload"] for r in rejects if r["reason"] != Reason.duplicate.name]


def lake_content(data: Path) -> tuple[list[tuple[Key, float]], list[bytes]]:
    """Rows and rejects as an analyst sees them."""
    with duckdb.connect(str(data / "catalog/lifeline.duckdb"), read_only=True) as db:
        rows = db.execute("SELECT point, seq, value FROM readings_raw").fetchall()
        rejects = db.execute("SELECT payload FROM rejects WHERE reason <> 'duplicate'").fetchall()
    return [((p, s), v) for p, s, v in rows], [payload for (payload,) in rejects]


@dataclass
class Campaign:
    """One data directory and its history."""

    zygote: Zygote
    folder: Path
    seed: int
    disk: LoopDisk | None = None
    mutant: str | None = None
    kind: str = "acknowledging"
    keepalive_s: int = 60
    through: Callable[[int], str] = lambda port: f"mqtt://127.0.0.1:{port}"
    """The URL the victim connects to, from the broker's port (a proxy may stand between)."""
    console: int | None = None
    """The console's port, when a whole engine has one."""
    segment_bytes: int | None = None
    """Of the log; small by default, so that segments are begun, sealed and trimmed all the time."""
    reconnect_s: tuple[float, float] = (0.05, 0.5)
    ledger_type: type[Ledger] = Ledger
    cycles: int = 0
    proving: int = 0
    """Cycles in which something had been acknowledged before the crash: the others cannot lose anything of theirs."""
    pid: int = 0
    kept: Kept = field(default_factory=Kept)
    recoveries_s: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.random = random.Random(self.seed)
        self.ledger = self.ledger_type(self.seed, DEVICES)
        self.broker = LedgerBroker(self.ledger)
        self.data = (self.folder if self.disk is None else self.disk.mount_point) / "var"
        self.config = self.folder / "lifeline.toml"
        self.config.write_text(
            CONFIG.format(
                data=self.data,
                url=self.through(self.broker.port),
                keepalive_s=self.keepalive_s,
                min_s=self.reconnect_s[0],
                max_s=self.reconnect_s[1],
                rules=Path(rules.__file__).parent / "library",
            )
        )
        rows = [f"D{i},{self.ledger.registry_row}" for i in range(DEVICES)]
        head = "device_id,quantity,unit,utility,kind,interval_s"
        (self.folder / "sensors.csv").write_text("\n".join([head, *rows]) + "\n")

    # --- one cycle -----------------------------------------------------------------------------------------------
    def start(self, *, hold: bool = False, mutant: bool = True) -> None:
        """A new victim; what is sent from now on carries a new nonce."""
        if self.kind == "acknowledging":
            self.look()  # the victim may trim what was there before it
        self.ledger.begin_cycle()
        name = self.mutant if mutant else None
        order = {"run": self.kind, "config": str(self.config), "mutant": name, "hold": hold}
        order |= {"console": self.console, "segment_bytes": self.segment_bytes}
        self.pid = self.zygote.fork(**order)

    def alive(self) -> bool:
        """Whether it lives; one that ended by itself is red."""
        if (status := self.zygote.status(self.pid)) is not None:
            raise RedError(f"the victim ended by itself with {status}\n{self.zygote.words()}")
        return True

    def work(self, messages: int) -> None:
        """Wait until so many more messages are acknowledged."""
        began, target = time.monotonic(), self.broker.acked + messages
        first = self.broker.acked + 1
        wait_until(lambda: self.alive() and self.broker.acked >= first, f"acknowledgements\n{self.zygote.words()}")
        self.recoveries_s.append(time.monotonic() - began)
        wait_until(lambda: self.alive() and self.broker.acked >= target, f"acknowledgements\n{self.zygote.words()}")

    def kill(self) -> None:
        """SIGKILL, unless it has ended already: its pid may be somebody else's by now."""
        if self.zygote.status(self.pid) is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self.zygote.wait(self.pid)

    def cut(self, how: int = NOLOGFLUSH) -> None:
        """Power goes; the victim with it; power comes back.

        Without power nobody acknowledges: what the victim says once the cut has begun is not heard. It matters: an
        fdatasync that is under way while ext4 shuts down may report success for data that is gone (seen once in some
        400 cuts).
        """
        assert self.disk is not None
        self.broker.unplug()
        self.disk.cut(how)
        self.kill()
        self.disk.power_on()
        self.broker.plug()

    def stop(self) -> None:
        """SIGTERM, and a clean end."""
        os.kill(self.pid, signal.SIGTERM)
        if (status := self.zygote.wait(self.pid)) != 0:
            raise RedError(f"the victim stopped with {status}\n{self.zygote.words()}")

    def cycle(self, end: Callable[[], None]) -> Books:
        """Start, work for a random while, ``end`` at a random instant; every fifth time already in recovery.

        Never the first time: a campaign of two or three cycles would crash before anything was acknowledged, and what
        ``settle`` then delivers to a victim that nobody kills would pass for a proof.
        """
        self.cycles += 1
        before = self.broker.acked
        self.start()
        whole = self.kind == "engine"
        if self.cycles > 1 and self.random.random() < 0.2:
            time.sleep(self.random.uniform(0, 2.0 if whole else 0.08))
        else:
            self.work(self.random.randint(1, 600))
            time.sleep(self.random.uniform(0, 1.5 if whole else 0.01))
        self.proving += self.broker.acked > before
        end()
        return self.look()

    def cut_or_flush(self) -> None:
        """A power cut; one time in four the file system's journal got out, the data did not."""
        self.cut(LOGFLUSH if self.random.random() < 0.25 else NOLOGFLUSH)

    def kill_or_cut(self) -> None:
        """Either, at random: what a killed writer left in the page cache meets a power cut later."""
        if self.random.random() < 0.5:
            self.kill()
        else:
            self.cut_or_flush()

    # --- the books -----------------------------------------------------------------------------------------------
    def look(self) -> Books:
        """What is on the disk now, against the ledger; for a whole engine the lake, which is complete after a stop."""
        if self.kind == "acknowledging":
            records = list(log_content(self.data / "log")) if (self.data / "log").exists() else []
            if records:
                self.kept.see(records[0][0], records)
        elif (self.data / "catalog/lifeline.duckdb").exists():
            rows, rejects = lake_content(self.data)
            self.kept.see(0, [(0, rows, rejects)])
        return self.kept.balance(self.ledger)

    def settle(self) -> Books:
        """No new messages; whatever is in flight is delivered, the victim stops cleanly, the books are balanced."""
        self.broker.give(0)
        if not self.pid or self.zygote.status(self.pid) is not None:
            self.start(mutant=False)
        wait_until(
            lambda: self.alive() and self.broker.connected and self.broker.in_flight == 0,
            f"everything in flight acknowledged\n{self.zygote.words()}",
        )
        self.stop()
        return self.look()

    def close(self) -> None:
        if self.pid and self.zygote.status(self.pid) is None:
            self.kill()
        self.broker.close()
