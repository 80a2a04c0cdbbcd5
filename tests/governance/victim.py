"""A process that writes to a queue until it is killed. Started by test_governance_crash.py; forks, so a cycle is cheap.

``victim.py URL`` reads commands: ``apply`` forks a child that applies batch after batch from the stored position (the
last one again, on purpose) and says ``done N`` after each; ``act COUNT`` forks one that writes COUNT notes and says
``acted``; every fork says ``pid N``; ``wait`` collects one child and says ``gone``.
"""

from __future__ import annotations

import os
import sys

from lifeline.core.alarm import AlarmChange, RuleInfo, alarm_id
from lifeline.core.registry import Registry
from lifeline.core.schema import POINTS
from lifeline.governance.actor import Actor
from lifeline.governance.desk import GovernanceDesk
from lifeline.governance.places import PlaceLookup
from lifeline.governance.queue import GovernanceQueue

T0 = 1_795_000_000_000
BATCH = 120
RULE = RuleInfo("r", 1, "报警", "Alarm", "orange", "process", "leak", "device", "", "", "", 60.0)


def batch(position: int) -> list[AlarmChange]:
    """What the log record ``position`` causes: BATCH alarms rise, those of the record before clear."""
    changes = []
    for kind, onset in (("cleared", position - 1), ("raised", position)):
        for point in range(BATCH if onset > 0 else 0):
            at = T0 + onset * 1000
            key = alarm_id("r", 1, f"D{point}", "p", at)
            end = T0 + position * 1000 if kind == "cleared" else None
            changes.append(
                AlarmChange(kind, key, "r", 1, point, at, at if end is None else end, 1.0, 2.0, "orange", position, end)
            )
    return changes


def open_queue(url: str) -> GovernanceQueue:
    """A queue over a registry that knows no point."""
    return GovernanceQueue(url, {"r": RULE}, PlaceLookup(lambda: Registry(POINTS.empty_table())), lambda: T0)


def say(text: str) -> None:
    """One line, at once, in one write: children share the pipe."""
    os.write(1, f"{text}\n".encode())


def apply_until_killed(url: str, positions: int) -> None:
    """Batch after batch, beginning with the one that is already in."""
    queue = open_queue(url)
    first = max(queue.position, 1)
    for position in range(first, first + positions):
        queue.apply(batch(position), position, T0)
        say(f"done {position}")
    queue.close()


def act(url: str, count: int) -> None:
    """Notes on the newest event."""
    desk = GovernanceDesk(url, lambda: T0)
    rows, _ = desk.list_events(limit=1)
    for number in range(count):
        desk.act(rows[0]["event_id"], "note", Actor(f"p{os.getpid()}", "operator"), f"note {number}")
    desk.close()
    say("acted")


def main(url: str) -> None:
    """Obey."""
    for line in sys.stdin:
        command, *args = line.split()
        if command == "wait":
            os.wait()
            say("gone")
            continue
        pid = os.fork()
        if pid == 0:
            if command == "apply":
                apply_until_killed(url, int(args[0]))
            else:
                act(url, int(args[0]))
            os._exit(0)
        say(f"pid {pid}")


if __name__ == "__main__":
    main(sys.argv[1])
