"""kill -9 at every step between alarm, event, outbox and send: each warning once in effect, told at least once.

A step is a statement, a commit (before and after), a file synced or renamed, a message about to leave, a message that
the receiver has. The ledger is the receiver, outside of the victim. The books of a database whose life was cut, at
whatever step, and went on must be those of one whose life was never cut, row for row: alarms, events, both logs,
timers, escalations, key figures, outbox, audit, CAP identifiers. A few steps run always, all with LIFELINE_SOAK=1.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, select

from lifeline.governance.audit_verify import verify_audit
from lifeline.governance.database import Database
from lifeline.governance.schema import MEASURES, kpi_days, kpi_times, metadata, tallies
from lifeline.governance.settings import recount
from lifeline.governance.verify import verify_queue
from tests.governance_out import sweep_victim
from tests.governance_out.conftest import Receiver
from tests.governance_out.sweep_victim import POINTS, POSITIONS

SUMS = (kpi_days, kpi_times, tallies)
VICTIM = Path(sweep_victim.__file__)
SOAK = bool(os.environ.get("LIFELINE_SOAK"))
LIVES = 4
"""Cut in a usual run; in a soak every step is."""
SAME: dict[str, set[str]] = {
    "alarms": set(),
    "events": set(),
    "event_areas": set(),
    "event_log": {"entry"},
    "alarm_log": {"entry"},
    "timers": set(),
    "escalations": {"entry"},
    "tallies": set(),
    "kpi_days": set(),
    "kpi_times": set(),
    "followers": set(),
    "idempotency": set(),
    "audit": set(),
    "audit_nodes": set(),
    "outbox": set(),
    "warnings_issued": set(),
    "sinks": {"delivered", "target"},
    "undelivered": set(),
}
"""Tables that must be the same, without these columns: numbers of PostgreSQL's sequences have gaps, and what was sent
twice is counted twice."""


class Zygote:
    """The forking process."""

    def __init__(self, port: int, folder: Path, *kind: str) -> None:
        root = VICTIM.parents[2]
        self.process = subprocess.Popen(
            [sys.executable, str(VICTIM), str(port), str(folder), *kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=root,
            env=os.environ | {"PYTHONPATH": str(root)},
        )

    def run(self, fatal: int, url: str, name: str) -> tuple[int, int]:
        """A life that ends at step ``fatal``; its status and how many steps it took (0 when it was killed)."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"run {fatal} {url} {name}\n")
        self.process.stdin.flush()
        word, status, count = self.process.stdout.readline().split()
        assert word == "gone"
        return int(status), int(count)

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


@pytest.fixture
def fresh(database_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    """Databases, one a life: an empty one each time, which takes the place of the one before in PostgreSQL."""
    number = 0
    lent: list[str] = []

    def make() -> str:
        nonlocal number
        number += 1
        if database_url.startswith("sqlite"):
            return f"sqlite:///{tmp_path}/sweep{number}.db"
        server = request.getfixturevalue("postgres")
        if lent:
            server.take_back(lent.pop())
        lent.append(server.lend())
        return lent[0]

    return make


def books(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every table that must be the same whenever somebody was killed."""
    engine = create_engine(url)
    found = {}
    with engine.connect() as connection:
        for name, without in SAME.items():
            table = metadata.tables[name]
            columns = [column for column in table.columns if column.name not in without]
            order = list(table.primary_key)
            found[name] = [tuple(row) for row in connection.execute(select(*columns).order_by(*order))]
    engine.dispose()
    return found


def assert_told(found: dict[str, list[tuple[Any, ...]]], receiver: Receiver) -> None:
    """The webhook has had every message of the outbox, and each id one content; the CAP receiver every warning."""
    bodies: dict[tuple[str, str], set[bytes]] = defaultdict(set)
    for request in receiver.requests:
        bodies[request.path, request.headers["webhook-id"]].add(request.body)
    assert all(len(one) == 1 for one in bodies.values()), "an id with two contents"
    names = [column.name for column in metadata.tables["outbox"].columns]
    ids = {dict(zip(names, row, strict=True))["message_id"] for row in found["outbox"]}
    assert {message_id for path, message_id in bodies if path == "/hook"} == ids
    issued = [column.name for column in metadata.tables["warnings_issued"].columns]
    identifiers = [dict(zip(issued, row, strict=True))["identifier"] for row in found["warnings_issued"]]
    warned = {re.search(rb"<identifier>(.*?)</identifier>", *one)[1].decode() for one in (  # type: ignore[index]
        tuple(one) for (path, _), one in bodies.items() if path == "/cap")}  # fmt: skip
    assert len(identifiers) == len(set(identifiers)) == POINTS * 2, "an alert and an all-clear for each event"
    assert warned == set(identifiers)


def assert_whole(url: str, folder: Path) -> None:
    """The database itself, the audit under its checkpoints, and sums that are those of the events."""
    verify_queue(url)
    verdict = verify_audit(url, folder / "checkpoints")
    assert (verdict.problem, verdict.covered) == (None, verdict.entries)
    database = Database(url)
    with database.write() as connection:
        before = [sorted(map(tuple, connection.execute(table.select()))) for table in SUMS]
        recount(connection, "UTC")
        after = [sorted(map(tuple, connection.execute(table.select()))) for table in SUMS]
    database.close()
    for one, two in zip(before, after, strict=True):
        assert _counted(one) == _counted(two)


def _counted(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows that count something: those that were taken back to zero stay."""
    return [row for row in rows if any(row[-len(MEASURES) :] if len(row) > len(MEASURES) else row[-1:])]


@pytest.mark.integration
@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_killed_at_every_step_each_warning_is_once_in_effect_and_told_at_least_once(
    fresh: Any, receiver: Receiver, database_url: str, tmp_path: Path
) -> None:
    zygote = Zygote(receiver.port, tmp_path)
    try:
        receiver.answers = [500]
        url = fresh()
        status, steps = zygote.run(0, url, "whole")
        assert status == 0
        assert steps > 200
        expected = books(url)
        assert len(expected["alarms"]) == POSITIONS * POINTS
        assert len(expected["events"]) == POINTS
        assert len(expected["escalations"]) >= POINTS * 2
        assert_told(expected, receiver)
        assert_whole(url, tmp_path / "whole")
        lives = LIVES if database_url.startswith("sqlite") else LIVES // 2
        fatals = range(1, steps + 1) if SOAK else sorted(random.Random(steps).sample(range(1, steps + 1), lives))
        doubled = 0
        for fatal in fatals:
            receiver.requests.clear()
            receiver.answers = [500]
            url, name = fresh(), f"life{fatal}"
            assert zygote.run(fatal, url, name)[0] == signal.SIGKILL, fatal
            assert zygote.run(0, url, name)[0] == 0, fatal
            found = books(url)
            for table, rows in expected.items():
                assert found[table] == rows, (fatal, table)
            assert_told(found, receiver)
            assert_whole(url, tmp_path / name)
            ids = [(request.path, request.headers["webhook-id"]) for request in receiver.requests]
            doubled += len(ids) > len(set(ids)) + 1  # one was refused
    finally:
        zygote.close()
    print(
        f"{len(fatals)} of {steps} steps killed; doubled in effect 0, missing 0; {doubled} lives told something twice"
    )


@pytest.mark.integration
@pytest.mark.soak
@pytest.mark.only_soak
@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_the_sweep_sees_a_sink_that_settles_before_it_sends(fresh: Any, receiver: Receiver, tmp_path: Path) -> None:
    zygote = Zygote(receiver.port, tmp_path, "mutant")
    seen = False
    try:
        url = fresh()
        status, steps = zygote.run(0, url, "whole")
        assert status == 0
        expected = books(url)
        assert_told(expected, receiver)
        for fatal in range(steps, steps - 120, -11):
            receiver.requests.clear()
            url, name = fresh(), f"life{fatal}"
            assert zygote.run(fatal, url, name)[0] == signal.SIGKILL
            assert zygote.run(0, url, name)[0] == 0
            try:
                assert_told(books(url), receiver)
            except AssertionError:
                seen = True
                break
    finally:
        zygote.close()
    assert seen
