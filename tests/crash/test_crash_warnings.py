"""Q01: killed between rule and queue, at any write of the queue: each warning is there, and once.

The reference is one pass of a fresh rule machine over the very log that the killed engines left.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing

import pyarrow as pa
import pytest

from lifeline.app.recovering import open_registry
from lifeline.app.site import load_site
from lifeline.core.batch import LogRecord
from lifeline.log.scan import scan_segment
from lifeline.log.segment import decode_header, decode_record
from rules.evaluate import RuleMachine
from rules.rule_set import RuleSet
from tests.crash import figures
from tests.crash.campaign import Campaign, wait_until
from tests.crash.oracle import AlarmLedger
from tests.crash.tracer import Tracer, inject

SOAK = os.environ.get("LIFELINE_SOAK") == "1"
POINTS = range(1, 150, 4) if SOAK else (3, 20, 60)

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(1800)]


def one_pass(run: Campaign) -> dict[str, int | None]:
    """alarm_id → cleared_at (epoch ms, None while active) by a fresh machine over the whole log."""
    site = load_site(run.config)
    machine = RuleMachine(
        RuleSet.load(site.config.rule_files), open_registry(site, must_exist=True), site.config.site.timezone
    )
    alarms: dict[str, int | None] = {}
    for record in records(run):
        for change in machine.process(record):
            alarms[change.alarm_id] = None if change.kind == "raised" else change.cleared_at
    return alarms


def records(run: Campaign) -> list[LogRecord]:
    found = []
    for path in sorted((run.data / "log").glob("*.log")):
        buffer = pa.py_buffer(path.read_bytes())
        view = memoryview(buffer).cast("B")
        scan = scan_segment(view)
        found += [decode_record(buffer, at, decode_header(view[at:], scan.header.salt)) for at in scan.offsets]
    assert found[0].lsn == 1, "nothing was trimmed"
    return found


def queue(run: Campaign) -> tuple[list[tuple[str, int | None]], int, int, int]:
    """(alarm_id, cleared_at) of all alarms; events; alarms that the events count; alarms that another one explains."""
    with closing(sqlite3.connect(run.data / "governance.db")) as db:
        alarms = db.execute("SELECT alarm_id, cleared_at FROM alarms").fetchall()
        ((events, counted),) = db.execute("SELECT count(DISTINCT event_id), sum(alarm_count) FROM events").fetchall()
        ((explained,),) = db.execute(
            "SELECT count(*) FROM alarms JOIN alarms AS cause ON alarms.cause_id = cause.alarm_id"
            " WHERE alarms.event_id IS NULL"
        ).fetchall()
    return alarms, events, counted, explained


@pytest.mark.parametrize("call", ["pwrite64", "fdatasync"])
def test_each_warning_once_whatever_call_is_the_last_q01(call: str, campaign: Callable[..., Campaign]) -> None:
    run = campaign(kind="engine", ledger_type=AlarmLedger, segment_bytes=64 << 20)
    run.start()
    run.work(600)  # there is a queue, and it has alarms
    run.kill()
    for k in POINTS:
        run.cycles += 1
        run.start(hold=True)
        tracer = Tracer(run.pid, inject(call, "signal=SIGKILL", when=str(k)))
        run.broker.give(600)
        try:
            until = time.monotonic() + 3
            wait_until(
                lambda until=until: run.zygote.status(run.pid) is not None or time.monotonic() > until, "the end"
            )
        finally:
            if run.zygote.status(run.pid) is None:
                run.kill()
            tracer.close()
    books = run.settle()
    expected = one_pass(run)
    alarms, events, counted, explained = queue(run)
    doubled, missing = len(alarms) - len(dict(alarms)), len(expected.keys() - dict(alarms).keys())
    figures.add(f"engine killed at the k-th {call}", run.cycles, books, run.seed, run.recoveries_s)
    print(
        f"\n{call}: {run.cycles} kills, {len(alarms)} alarms in {events} events, doubled {doubled}, missing {missing}"
    )

    assert books.clean, (run.seed, books)
    assert len(alarms) > 64
    assert (doubled, missing) == (0, 0)
    assert dict(alarms) == expected
    assert counted == len(alarms) - explained
