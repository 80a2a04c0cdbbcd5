"""kill -9 at every step between alarm, event, outbox and send: each warning once in effect, told at least once.

A step is a statement, a commit (before and after), a message about to leave, a message that the receiver has. The
ledger is the receiver, outside of the victim. Every twelfth step runs always, all of them with LIFELINE_SOAK=1.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import create_engine, text

from tests.governance_out import sweep_victim
from tests.governance_out.conftest import Receiver
from tests.governance_out.sweep_victim import POINTS, POSITIONS

VICTIM = Path(sweep_victim.__file__)
STRIDE = 1 if os.environ.get("LIFELINE_SOAK") else 12


class Zygote:
    """The forking process."""

    def __init__(self, port: int) -> None:
        root = VICTIM.parents[2]
        self.process = subprocess.Popen(
            [sys.executable, str(VICTIM), str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=root,
            env=os.environ | {"PYTHONPATH": str(root)},
        )

    def run(self, fatal: int, url: str) -> tuple[int, int]:
        """A life that ends at step ``fatal``; its status and how many steps it took (0 when it was killed)."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"run {fatal} {url}\n")
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
    """Databases, one a life: an empty one each time."""
    number = 0

    def make() -> str:
        nonlocal number
        number += 1
        if database_url.startswith("sqlite"):
            return f"sqlite:///{tmp_path}/sweep{number}.db"
        return str(request.getfixturevalue("postgres").schema())

    return make


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]
    finally:
        engine.dispose()


def assert_books_balance(url: str, receiver: Receiver) -> None:
    """Database and ledger say the same."""
    assert rows(url, "SELECT count(*), count(DISTINCT alarm_id) FROM alarms") == [
        (POSITIONS * POINTS, POSITIONS * POINTS)
    ]
    assert rows(url, "SELECT count(*) FROM alarms WHERE event_id IS NULL") == [(0,)]
    told = rows(url, "SELECT message_id, subject, kind, data FROM outbox ORDER BY entry")
    events = {event_id for (event_id,) in rows(url, "SELECT event_id FROM events WHERE status = 'filed'")}
    assert len(events) == POINTS
    once: dict[str, list[str]] = defaultdict(list)
    for _, subject, _, data in told:
        once[subject].append(orjson.loads(data)["action"])
    assert set(once) == events
    for actions in once.values():
        assert actions.count("open") == 1
        assert actions.count("file") == 1
    got = [(request.headers["webhook-id"], orjson.loads(request.body)["subject"]) for request in receiver.requests]
    assert set(got) == {(message_id, subject) for message_id, subject, _, _ in told}
    audited = rows(url, "SELECT object FROM audit WHERE action = 'file' ORDER BY object")
    assert audited == [(f"event/{event_id}",) for event_id in sorted(events)]


@pytest.mark.integration
def test_killed_at_every_step_each_warning_is_once_in_effect_and_told_at_least_once(
    fresh: Any, receiver: Receiver, database_url: str
) -> None:
    zygote = Zygote(receiver.port)
    try:
        url = fresh()
        status, steps = zygote.run(0, url)
        assert status == 0
        assert steps > 60
        assert_books_balance(url, receiver)
        tested = doubled = 0
        stride = STRIDE if database_url.startswith("sqlite") or STRIDE == 1 else STRIDE * 2
        for fatal in range(1, steps + 1, stride):
            receiver.requests.clear()
            url = fresh()
            assert zygote.run(fatal, url)[0] == signal.SIGKILL
            assert zygote.run(0, url)[0] == 0
            assert_books_balance(url, receiver)
            ids = [request.headers["webhook-id"] for request in receiver.requests]
            tested += 1
            doubled += len(ids) > len(set(ids))
    finally:
        zygote.close()
    print(f"{tested} of {steps} steps killed; warnings doubled 0, missing 0; {doubled} lives told something twice")
