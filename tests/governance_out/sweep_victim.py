"""A process that takes alarms to two receivers and is killed at its k-th step. Started by test_kill_sweep.py.

``sweep_victim.py PORT FOLDER [mutant]`` reads ``run K URL NAME``: forks a child that opens the queue, applies what
the log still holds, lets deadlines pass (reminders, escalation), lets people walk every event through the loop to its
rating, exports the audit and delivers the outbox to a webhook and as CAP warnings (the first attempt of a life is
refused). It kills itself with SIGKILL at step K: before a statement, before and after a commit, before a file is
synced or renamed, before a message is sent and after it was. ``run 0 …`` kills nobody. After each it says ``gone
STATUS STEPS``. Imports nothing from the tests: it is run as a file.

Its clocks stand still, so every life of a database leaves the same rows, however many there were.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from lifeline.core.alarm import AlarmChange, RuleInfo, alarm_id
from lifeline.core.registry import Registry
from lifeline.core.schema import POINTS as REGISTRY
from lifeline.governance.actor import Actor
from lifeline.governance.audit_export import AuditExporter
from lifeline.governance.database import Database
from lifeline.governance.desk import GovernanceDesk
from lifeline.governance.outgoing import outbox
from lifeline.governance.outgoing.cap import CapSettings
from lifeline.governance.outgoing.envelope import CONTENT_TYPE, cloud_event, encode
from lifeline.governance.outgoing.warner import Warner
from lifeline.governance.outgoing.web import WebTransport
from lifeline.governance.outgoing.worker import SinkRules, Worker
from lifeline.governance.places import PlaceLookup
from lifeline.governance.queue import GovernanceQueue

T0 = 1_795_000_000_000
RULE = RuleInfo("r", 1, "报警", "Alarm", "orange", "process", "leak", "device", "", "", "", 60.0)
POSITIONS = 3
POINTS = 2
TICKS_MIN = (16, 40, 90, 170)
"""When deadlines are looked at, after T0: the limits of triage and handling pass, and the steps after them."""
ACTS_MS = T0 + 3 * 3_600_000
"""When people act: what they start ends after every tick."""
LOOP: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("file", "li", "dispatcher", {}),
    ("dispatch", "li", "dispatcher", {"owner": "unit 3"}),
    ("accept", "wang", "operator", {}),
    ("handle", "wang", "operator", {}),
    ("ask-extension", "wang", "operator", {"until": ACTS_MS + 9 * 3_600_000}),
    ("grant-extension", "li", "dispatcher", {}),
    ("feed-back", "wang", "operator", {}),
    ("close", "sun", "analyst", {"cause": "leak"}),
    ("evaluate", "sun", "analyst", {"satisfaction": 5}),
)


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


class Hasty(Worker):
    """A mutant that says that it has delivered, and then delivers: what a kill in between would lose."""

    def step(self) -> bool:
        name = self.rules.name
        with self.database.write() as connection:
            messages = outbox.after(connection, outbox.stand(connection, name)["position"], 100)
            if messages:
                outbox.settle(connection, name, messages[-1].entry, len(messages))
        for message in messages:
            self.transport.send(message)
        return False


def watch(steps: Steps) -> None:
    """A step before every statement and commit, after every transaction, before a file is synced or renamed."""
    for name in ("before_cursor_execute", "commit"):
        event.listen(Engine, name, steps.step)
    plain, sync, rename = Database.write, os.fsync, os.replace

    @contextmanager
    def write(self: Database) -> Any:
        with plain(self) as connection:
            yield connection
        steps.step()

    def stepping(call: Any) -> Any:
        def counted(*given: Any, **named: Any) -> Any:
            steps.step()
            return call(*given, **named)

        return counted

    Database.write = write  # type: ignore[method-assign]
    os.fsync, os.replace = stepping(sync), stepping(rename)


def workers(port: int, steps: Steps, database: Database) -> list[Worker]:
    """A webhook and a CAP receiver."""
    settings = CapSettings("lifeline@example.org", "Sweep", gbt=("410100", "001", "002", "00"))
    warner = Warner("cap", settings, database, lambda: ACTS_MS)
    made = []
    for name, render in (
        ("hook", lambda message: (CONTENT_TYPE, encode(cloud_event(message, "/sweep")))),
        ("cap", warner.render),
    ):
        transport = Watched(
            f"http://127.0.0.1:{port}/{name}",
            render,
            lambda: int(time.time() * 1000),
            keys=[bytes(range(32))],
            allow_private=True,
        )
        transport.steps = steps
        rules = SinkRules(name, "there", retry_min_s=0.02, retry_max_s=0.02)
        kind = Hasty if "mutant" in sys.argv else Worker
        made.append(kind(rules, transport, database, lambda: int(time.time() * 1000), random.Random(1)))
    return made


def live(url: str, port: int, folder: Path, steps: Steps) -> None:
    """Everything from alarm to receiver, from wherever the last life ended."""
    places = PlaceLookup(lambda: Registry(REGISTRY.empty_table()))
    now = [T0]
    queue = GovernanceQueue(url, {"r": RULE}, places, lambda: T0, monotonic=lambda: now[0] / 1000)
    desk = GovernanceDesk(url, lambda: ACTS_MS)
    told = workers(port, steps, queue._database)
    for worker in told:
        with queue._database.write() as connection:
            outbox.register(connection, worker.rules.name, worker.rules.target)
    exporter = AuditExporter(
        url, folder / "checkpoints", folder / "audit.pem", "Sweep", lambda: ACTS_MS, every_s=60, every_entries=9
    )
    watch(steps)
    for position in range(queue.position + 1, POSITIONS + 1):
        queue.apply(batch(position), position, T0)
    for minutes in TICKS_MIN:
        now[0] = T0 + minutes * 60_000
        queue.tick(now[0])
    for event_id in sorted(row["event_id"] for row in desk.list_events()[0]):
        for action, person, role, fields in LOOP:
            desk.act(event_id, action, Actor(person, role), "because", key=f"{action}-{event_id}", **fields)
    exporter.export()
    while any(row["waiting"] for row in desk.list_sinks()):
        for worker in told:
            worker.step()
        time.sleep(0.025)


def main(port: int, folder: Path) -> None:
    """Obey."""
    for line in sys.stdin:
        _, number, url, life = line.split()
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            steps = Steps(int(number))
            live(url, port, folder / life, steps)
            os.write(writing, str(steps.count).encode())
            os._exit(0)
        os.close(writing)
        _, status = os.waitpid(pid, 0)
        counted = os.read(reading, 20).decode() or "0"
        os.close(reading)
        os.write(1, f"gone {status} {counted}\n".encode())


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
