"""kill -9 in the middle of apply, and two processes writing at once: nothing lost, nothing twice, file sound."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.governance import victim

VICTIM = Path(victim.__file__)
CYCLES = 20


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


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()


def content(path: Path) -> list[list[tuple[object, ...]]]:
    """Everything but the wall clock of the storing (which is constant here anyway)."""
    return [
        rows(path, f"SELECT * FROM {table} ORDER BY {key}")
        for table, key in (("alarms", "alarm_id"), ("events", "event_id"), ("event_log", "entry"), ("followers", "1"))
    ]


@pytest.mark.integration
def test_killed_in_the_middle_of_apply_twenty_times(tmp_path: Path) -> None:
    path = tmp_path / "torn.db"
    rng = random.Random(20)
    zygote = Zygote(f"sqlite:///{path}")
    acknowledged = 0
    try:
        for _ in range(CYCLES):
            zygote.tell("apply 100000")
            pid = int(zygote.hear("pid"))
            for _ in range(rng.randint(1, 4)):
                acknowledged = max(acknowledged, int(zygote.hear("done")))
            time.sleep(rng.random() * 0.03)  # the instant of the kill, not a wait
            os.kill(pid, signal.SIGKILL)
            zygote.tell("wait")
            zygote.hear("gone")
            acknowledged = max([acknowledged, *(int(s.split()[1]) for s in zygote.said if s.startswith("done"))])
            ((position,),) = rows(path, "SELECT position FROM followers")
            assert isinstance(position, int)
            assert position >= acknowledged
            assert rows(path, "SELECT count(*), count(DISTINCT alarm_id) FROM alarms") == [
                (position * victim.BATCH, position * victim.BATCH)
            ]
    finally:
        zygote.close()

    queue = victim.open_queue(f"sqlite:///{tmp_path}/once.db")
    for number in range(1, position + 1):
        queue.apply(victim.batch(number), number, victim.T0)
    queue.close()
    assert content(path) == content(tmp_path / "once.db")
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.integration
def test_engine_and_people_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "shared.db"
    url = f"sqlite:///{path}"
    queue = victim.open_queue(url)
    queue.apply(victim.batch(1), 1, victim.T0)
    queue.close()
    zygote = Zygote(url)
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
    assert rows(path, "SELECT position FROM followers") == [(40,)]
    assert rows(path, "SELECT count(*) FROM alarms") == [(40 * victim.BATCH,)]
    notes = rows(path, "SELECT actor, count(DISTINCT note), count(*) FROM event_log WHERE action = 'note' GROUP BY 1")
    assert [(one, two) for _, one, two in notes] == [(60, 60), (60, 60)]
    assert rows(path, "SELECT count(*) FROM events WHERE version = 121") == [(1,)]
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
