"""The process that is killed. Started once by ``campaign.Zygote``; forks a victim for each cycle, in milliseconds.

Reads one JSON object a line: ``{"run": KIND, "config": PATH, "mutant": NAME, "hold": BOOL, "console": PORT,
"segment_bytes": N, "serial": K}``; answers ``pid N``, later ``gone K STATUS``. ``hold`` makes the victim stop itself
before it does anything, until SIGCONT (a tracer may attach meanwhile).

    acknowledging   registry, log, memory of repeats, decoder, collector: put together as ``lifeline.app.assembly``
                    does it, without followers. Trims what was there at its start, to crash in trimming too.
    engine          everything, by ``lifeline.app.run``
"""

from __future__ import annotations

import faulthandler
import gc
import json
import logging
import os
import random
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import alembic.command  # late in a start: here, no victim has to
import numpy as np
from holidays import country_holidays
from mutants import MUTANTS  # a script: its own folder is on the path

from ingest.collector import Collector
from ingest.identity import IdentityWindow
from ingest.messages import Messages
from ingest.mqtt.connection import Connection
from ingest.mqtt.control import ConnectSettings, Subscription
from lifeline.app import recovering
from lifeline.app.brokers import broker_settings
from lifeline.app.clock import now_ms
from lifeline.app.decoding import make_decoder
from lifeline.app.recovering import has_log, open_registry, recall
from lifeline.app.run import running
from lifeline.app.site import load_site
from lifeline.engine import rules_follower
from lifeline.lake import completeness
from lifeline.live import values
from lifeline.log import LocalLog
from rules import kept

SEGMENT_BYTES = 96 << 10
"""Small, so that segments are begun, sealed and trimmed several times in a cycle."""

KEPT_BYTES = 64 << 10

OFTEN = (
    (rules_follower, "SNAPSHOT_MS"),
    (completeness, "SNAPSHOT_MS"),
    (values, "SYNC_MS"),
    (kept, "WITHIN_MS"),
)
"""Milliseconds between what lets the log be trimmed; a life of two seconds must see each of them."""


def acknowledging(config: Path, stop: threading.Event, order: dict[str, Any]) -> None:
    site = load_site(config)
    ledger = open_registry(site, must_exist=has_log(site))
    segment_bytes = order.get("segment_bytes") or SEGMENT_BYTES
    log = LocalLog(
        site.log,
        clock=now_ms,
        segment_bytes=segment_bytes,
        kept_bytes=segment_bytes,
        clock_record_ms=50,
        retry_s=(0.02, 0.2),
    )
    before = log.committed
    window = IdentityWindow(1 << 16)
    recall(window, log)
    broker = site.config.broker[0]
    collector = Collector(
        broker_settings(broker, broker.url, broker.protocol),
        make_decoder(site.config, broker, ledger, window),
        log,
        now_ms,
        None,
        random.Random(),
        on_lost=lambda: recall(window, log),
    )
    log.trim(before)  # before the first message: a few of them are acknowledged sooner than it comes round
    collector.start()
    while not stop.wait(0.02):
        log.trim(before)
    assert collector.stop(20)
    log.close()


def engine(config: Path, stop: threading.Event, order: dict[str, Any]) -> None:
    segment_bytes = order.get("segment_bytes") or SEGMENT_BYTES // 8
    LocalLog.__init__.__kwdefaults__["segment_bytes"] = segment_bytes
    # what may be delivered again stays: 200 messages; the rest is trimmed twice a second, and snapshots come as often
    recovering.LOG_KEPT_BYTES = max(segment_bytes, KEPT_BYTES)
    if not order.get("segment_bytes"):  # who sizes the log wants it to stay: what is trimmed makes room on a full disk
        for module, name in OFTEN:
            assert hasattr(module, name), f"{module.__name__} has no {name} any more: it must come often here"
            setattr(module, name, 400)
    with running(config, console_port=order.get("console")) as assembly:
        assembly.engine.run(stop)
    assert assembly.clean, "something was not drained"


KINDS = {"acknowledging": acknowledging, "engine": engine}


def be_killed(order: dict[str, Any]) -> None:
    """The child's life."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    faulthandler.register(signal.SIGUSR1)  # where does it hang? ``kill -USR1`` tells in victims.log
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # a grandchild must not hold the zygote's pipe open
    if order.get("hold"):
        os.kill(os.getpid(), signal.SIGSTOP)
    if order.get("mutant"):
        MUTANTS[order["mutant"]]()
    KINDS[order["run"]](Path(order["config"]), stop, order)


def warm() -> None:
    """Load the compiled kernels of the acknowledging path before the first fork, without starting a thread."""
    from ingest.payload.routes import PayloadDecoder
    from lifeline.core.registry import Registry
    from lifeline.core.schema import POINTS

    row = dict.fromkeys(POINTS.names) | {"point": 0, "device_id": "D0", "quantity": "v"}
    registry = Registry(__import__("pyarrow").Table.from_pylist([row], schema=POINTS))

    class Source:
        def current(self) -> Registry:
            return registry

    connection = Connection(ConnectSettings("c"), [Subscription("a", 1)])
    connection.connect_bytes(0.0)
    body = b'{"id":"D0","seq":1,"ts":1795000000000,"v":1}'
    packet = bytes([0x32, len(body) + 6]) + b"\0\1a\0\1\0" + body
    data = b"\x20\3\0\0\0" + b"\x90\4\0\1\0\1" + packet
    buffer = np.zeros(1 << 17, np.uint8)
    buffer[: len(data)] = np.frombuffer(data, np.uint8)
    received = connection.receive(buffer, len(data), 0.0)
    assert isinstance(received.messages, Messages)
    decoder = PayloadDecoder(Source(), [("#", "lifeline")], mark=IdentityWindow(64).mark)
    assert len(decoder.decode(received.messages, 1795000000000, "b").readings) == 1
    assert connection.acknowledge(received.token) == 1
    assert alembic.command
    country_holidays("CN")  # reads the country's module
    gc.collect()
    gc.freeze()  # an engine's start collects all of it again, and copies its pages


def main() -> None:
    """Fork and tell, until stdin ends."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(process)d %(message)s")
    warm()
    say("ready")
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                sys.stdin = open(os.devnull)  # noqa: PTH123, SIM115 - the zygote's orders are not ours
                be_killed(order)
                status = 0
            except BaseException as error:  # noqa: BLE001 - the child ends here, whatever it is
                with suppress(OSError):
                    logging.getLogger("victim").error("%s: %s", type(error).__name__, error)  # noqa: TRY400 - one line
            os._exit(status)
        say(f"pid {pid}")
        threading.Thread(target=reap, args=(pid, order["serial"]), daemon=True).start()


def reap(pid: int, serial: int) -> None:
    _, status = os.waitpid(pid, 0)
    say(f"gone {serial} {os.waitstatus_to_exitcode(status)}")


def say(text: str) -> None:
    """One line, at once, in one write."""
    os.write(1, f"{text}\n".encode())


if __name__ == "__main__":
    main()
