"""kill -9 in the middle of apply, and two processes writing at once: nothing lost, nothing twice, file sound."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from tests.governance import victim

VICTIM = Path(victim.__file__)
CYCLES = {"sqlite": 20, "postgresql": 8}


class Zygote:
    """The forking process and the lines that it and its children say."""

    def __init__(self, url: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(VICTIM), url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=VICTIM.parents[2],
            env=os.environ | {"PYTHONPATH": str(VICTIM.parents[2])},
        )
        self.said: list[str] = []

    def tell(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()

    def hear(self, word: str) -> str:
        """The rest of the next line that begins with ``word``; all lines are kept in ``said``."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line.strip())
            head, _, rest = line.strip().partition(" ")
            if head == word:
                return rest
        raise AssertionError(f"the victim died before it said {word!r}: {self.said[-3:]}")

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(timeout=20)
        self.process.stdout.close()


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    """Read by a plain connection, which knows nothing of ours."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]
    finally:
        engine.dispose()


def content(url: str) -> list[list[tuple[object, ...]]]:
    """Everything but the numbering of the log, in which PostgreSQL leaves gaps where a transaction was rolled back."""
    log = "event_id, at, actor, role, action, from_status, to_status, note, fields"
    return [
        rows(url, f"SELECT {columns} FROM {table} ORDER BY {key}")
        for table, columns, key in (
            ("alarms", "*", "alarm_id"),
            ("events", "*", "event_id"),
            ("event_log", log, "entry"),
            ("followers", "*", "1"),
        )
    ]


def assert_sound(url: str) -> None:
    """The database's own check of itself."""
    if url.startswith("sqlite"):
        assert rows(url, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.integration
def test_killed_in_the_middle_of_apply(database_url: str, tmp_path: Path) -> None:
    rng = random.Random(20)
    zygote = Zygote(database_url)
    acknowledged = 0
    try:
        for _ in range(CYCLES[make_url(database_url).get_backend_name()]):
            zygote.tell("apply 100000")
            pid = int(zygote.hear("pid"))
            for _ in range(rng.randint(1, 4)):
                acknowledged = max(acknowledged, int(zygote.hear("done")))
            time.sleep(rng.random() * 0.03)  # the instant of the kill, not a wait
            os.kill(pid, signal.SIGKILL)
            zygote.tell("wait")
            zygote.hear("gone")
            acknowledged = max([acknowledged, *(int(s.split()[1]) for s in zygote.said if s.startswith("done"))])
            ((position,),) = rows(database_url, "SELECT position FROM followers")
            assert isinstance(position, int)
            assert position >= acknowledged
            assert rows(database_url, "SELECT count(*), count(DISTINCT alarm_id) FROM alarms") == [
                (position * victim.BATCH, position * victim.BATCH)
            ]
    finally:
        zygote.close()

    once = f"sqlite:///{tmp_path}/once.db"
    queue = victim.open_queue(once)
    for number in range(1, position + 1):
        queue.apply(victim.batch(number), number, victim.T0)
    queue.close()
    assert content(database_url) == content(once)
    assert_sound(database_url)


@pytest.mark.integration
def test_engine_and_people_write_at_once(database_url: str) -> None:
    queue = victim.open_queue(database_url)
    queue.apply(victim.batch(1), 1, victim.T0)
    queue.close()
    zygote = Zygote(database_url)
    try:
        zygote.tell("apply 40")
        zygote.tell("act 60")
        zygote.tell("act 60")
        for _ in range(3):
            zygote.tell("wait")
        for _ in range(3):
            zygote.hear("gone")
    finally:
        zygote.close()

    assert zygote.said.count("acted") == 2
    assert rows(database_url, "SELECT position FROM followers") == [(40,)]
    assert rows(database_url, "SELECT count(*) FROM alarms") == [(40 * victim.BATCH,)]
    notes = rows(
        database_url, "SELECT actor, count(DISTINCT note), count(*) FROM event_log WHERE action = 'note' GROUP BY 1"
    )
    assert [(one, two) for _, one, two in notes] == [(60, 60), (60, 60)]
    assert rows(database_url, "SELECT count(*) FROM events WHERE version = 121") == [(1,)]
    assert_sound(database_url)
