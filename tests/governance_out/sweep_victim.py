"""A process that takes alarms to a receiver and is killed at its k-th step. Started by test_kill_sweep.py.

``sweep_victim.py PORT`` reads ``run K URL``: forks a child that opens the queue, applies what the log still holds, lets
a person file each event and delivers the outbox, and kills itself with SIGKILL at step K: before a statement, before a
commit, after a commit, before a message is sent, after it was. ``run 0 URL`` kills nobody. After each it says
``gone STATUS STEPS``. Imports nothing from the tests: it is run as a file.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from typing import Any

from sqlalchemy import Engine, event

from lifeline.core.alarm import AlarmChange, RuleInfo, alarm_id
from lifeline.core.registry import Registry
from lifeline.core.schema import POINTS as REGISTRY
from lifeline.governance.actor import Actor
from lifeline.governance.desk import GovernanceDesk
from lifeline.governance.outgoing import outbox
from lifeline.governance.outgoing.envelope import CONTENT_TYPE, cloud_event, encode
from lifeline.governance.outgoing.web import WebTransport
from lifeline.governance.outgoing.worker import SinkRules, Worker
from lifeline.governance.places import PlaceLookup
from lifeline.governance.queue import GovernanceQueue

T0 = 1_795_000_000_000
RULE = RuleInfo("r", 1, "报警", "Alarm", "orange", "process", "leak", "device", "", "", "", 60.0)
POSITIONS = 3
POINTS = 2
LI = Actor("li", "dispatcher")


def batch(position: int) -> list[AlarmChange]:
    """What a log record causes: an alarm at each point; those of the record before clear."""
    changes = []
    for kind, onset in (("cleared", position - 1), ("raised", position)):
        for point in range(POINTS if onset > 0 else 0):
            at = T0 + onset * 1000
            end = T0 + position * 1000 if kind == "cleared" else None
            key = alarm_id("r", 1, f"D{point}", "p", at)
            detected = at if end is None else end
            changes.append(AlarmChange(kind, key, "r", 1, point, at, detected, 1.0, 2.0, "orange", position, end))
    return changes


class Steps:
    """Counts, and dies at one of them."""

    def __init__(self, fatal: int) -> None:
        self.fatal = fatal
        self.count = 0

    def step(self, *_: Any, **__: Any) -> None:
        self.count += 1
        if self.count == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)


class Watched(WebTransport):
    """Two more places to die: before a message leaves, and after the receiver has it."""

    steps: Steps

    def send(self, message: outbox.Message) -> None:
        self.steps.step()
        super().send(message)
        self.steps.step()


def live(url: str, port: int, steps: Steps) -> None:
    """Everything from alarm to receiver, from wherever the last life ended."""
    places = PlaceLookup(lambda: Registry(REGISTRY.empty_table()))
    queue = GovernanceQueue(url, {"r": RULE}, places, lambda: T0)
    desk = GovernanceDesk(url, lambda: T0)
    transport = Watched(
        f"http://127.0.0.1:{port}/",
        lambda message: (CONTENT_TYPE, encode(cloud_event(message, "/sweep"))),
        lambda: int(time.time() * 1000),
        keys=[bytes(range(32))],
        allow_private=True,
    )
    transport.steps = steps
    rules = SinkRules("hook", "there", retry_min_s=0.1, retry_max_s=1)
    worker = Worker(rules, transport, queue._database, lambda: int(time.time() * 1000), random.Random(1))
    with queue._database.write() as connection:
        outbox.register(connection, "hook", "there")
    for name in ("before_cursor_execute", "commit"):
        event.listen(Engine, name, steps.step)
    for position in range(queue.position + 1, POSITIONS + 1):
        queue.apply(batch(position), position, T0)
        steps.step()
    for row in desk.list_events(status="new")[0]:
        desk.act(row["event_id"], "file", LI, key=f"file-{row['event_id']}")
        steps.step()
    while any(row["waiting"] for row in desk.list_sinks()):
        worker.step()
        steps.step()


def main(port: int) -> None:
    """Obey."""
    for line in sys.stdin:
        _, number, url = line.split()
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            steps = Steps(int(number))
            live(url, port, steps)
            os.write(writing, str(steps.count).encode())
            os._exit(0)
        os.close(writing)
        _, status = os.waitpid(pid, 0)
        counted = os.read(reading, 20).decode() or "0"
        os.close(reading)
        os.write(1, f"gone {status} {counted}\n".encode())


if __name__ == "__main__":
    main(int(sys.argv[1]))
