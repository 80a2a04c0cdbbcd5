"""Q04: many who want the same work, one who is stopped in the middle of it; each event has one effective owner.

An event's version is what a lease's fencing token would be: whoever comes back with an old one changes nothing.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import closing

import pytest

from lifeline.core.errors import UnavailableError
from lifeline.governance.actor import Actor
from lifeline.governance.database import Database
from lifeline.governance.errors import RefusedError
from lifeline.governance.schema import meta
from tests.governance.conftest import T0, Hands, raised

WORKERS = 50

HOLDER = """
import sys
from lifeline.governance.actor import Actor
from lifeline.governance.desk import GovernanceDesk
from lifeline.governance.errors import RefusedError
url, event_id, now = sys.argv[1], sys.argv[2], int(sys.argv[3])
desk = GovernanceDesk(url, lambda: now)
version = desk.get_event(event_id)["version"]
print("holds", flush=True)
sys.stdin.readline()
try:
    desk.act(event_id, "accept", Actor("stopped", "operator"), expected_version=version)
    print("written", flush=True)
except RefusedError as error:
    print(type(error).__name__, flush=True)
desk.close()
"""
WRITER = """
import sys
from sqlalchemy import update
from lifeline.governance.database import Database
from lifeline.governance.schema import meta
database = Database(sys.argv[1], create=False)
with database.write() as connection:
    connection.execute(update(meta).where(meta.c.name == "stopped").values(value=7))
    print("holds", flush=True)
    sys.stdin.readline()
print("written", flush=True)
database.close()
"""


class Child:
    """A process of its own that is stopped once it holds what it has read."""

    def __init__(self, script: str, *given: str) -> None:
        command = [sys.executable, "-c", script, *given]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._line() == "holds"
        os.kill(self.process.pid, signal.SIGSTOP)

    def goes_on(self) -> str:
        """What it says after SIGCONT."""
        os.kill(self.process.pid, signal.SIGCONT)
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self._line()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def close(self) -> None:
        self.process.kill()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()
        self.process.wait(10)


@pytest.fixture
def dispatched(hands: Hands) -> list[str]:
    """Events that wait for somebody to accept them."""
    ids = [
        hands.apply(raised("stuck", k % 4, T0 + k), raised("ch4.high", k % 4, T0 + k), position=k + 1)
        for k in (0, 1, 2, 3)
    ]
    flat = [one for some in ids for one in some]
    for event_id in flat:
        hands.desk.act(event_id, "file", Actor("wang", "operator"))
        hands.desk.act(event_id, "dispatch", Actor("li", "dispatcher"), owner="unit")
    return flat


def test_of_fifty_who_accept_the_same_one_does(hands: Hands, dispatched: list[str]) -> None:
    versions = {event_id: hands.desk.get_event(event_id)["version"] for event_id in dispatched}
    done: list[tuple[str, str]] = []
    ready = threading.Barrier(WORKERS)

    def work(number: int) -> None:
        ready.wait(60)
        for k in range(len(dispatched)):
            event_id = dispatched[(number + k) % len(dispatched)]
            try:
                hands.desk.act(event_id, "accept", Actor(f"w{number}", "operator"), expected_version=versions[event_id])
            except RefusedError:
                continue
            done.append((event_id, f"w{number}"))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert sorted(event_id for event_id, _ in done) == sorted(dispatched)
    for event_id, who in done:
        accepted = [entry["actor"] for entry in hands.desk.get_event(event_id)["log"] if entry["action"] == "accept"]
        assert accepted == [who]


def test_who_was_stopped_while_others_went_on_changes_nothing(hands: Hands, dispatched: list[str]) -> None:
    with closing(Child(HOLDER, hands.url, dispatched[0], str(hands.now))) as child:
        hands.desk.act(dispatched[0], "return", Actor("zhao", "operator"), "not ours")
        hands.desk.act(dispatched[0], "dispatch", Actor("li", "dispatcher"), owner="another unit")
        before = hands.desk.get_event(dispatched[0])
        assert child.goes_on() == "ConflictError"
    assert hands.desk.get_event(dispatched[0]) == before


def test_a_writer_that_is_stopped_holds_others_up_for_a_bounded_time_and_loses_nothing(hands: Hands) -> None:
    with hands.queue._database.write() as connection:
        connection.execute(meta.insert().values(name="stopped", value=0))
    other = Database(hands.url, create=False, lock_timeout_s=0.3)
    with closing(Child(WRITER, hands.url)) as child:
        with pytest.raises(UnavailableError), other.write():
            pass
        with other.read() as connection:
            assert connection.scalar(meta.select().with_only_columns(meta.c.value).where(meta.c.name == "stopped")) == 0
        assert child.goes_on() == "written"
    with other.write() as connection:
        assert connection.scalar(meta.select().with_only_columns(meta.c.value).where(meta.c.name == "stopped")) == 7
    other.close()
