"""A small city for the queue: two areas, four devices, three rules, and a clock that tests move."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from lifeline.core.alarm import AlarmChange, RuleInfo, alarm_id
from lifeline.core.registry import Registry
from lifeline.core.schema import AREAS, POINTS
from lifeline.governance.actor import Actor
from lifeline.governance.desk import GovernanceDesk
from lifeline.governance.places import PlaceLookup
from lifeline.governance.queue import GovernanceQueue

if TYPE_CHECKING:
    from collections.abc import Iterator

T0 = 1_795_000_000_000
SQLITE_ONLY = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
"""For what only a file has."""


def registry(devices: int = 4) -> Registry:
    """Device i: gas CH4; even ones at asset V-0 in 410105, odd ones without asset in 410102001."""
    rows = [
        {
            "point": i,
            "device_id": f"G{i:05d}",
            "quantity": "ch4",
            "utility": "gas" if i % 2 == 0 else "water",
            "area_code": "410105" if i % 2 == 0 else "410102001",
            "asset_id": f"V-{i // 4}" if i % 2 == 0 else None,
            "zone": "Z-1",
            "kind": "valve-well",
            "lon": round(113.68 + 0.01 * i, 4),
            "lat": 34.79,
        }
        for i in range(devices)
    ]
    areas = [{"area_code": "410105", "level": "district", "name": "金水区"}]
    return Registry(pa.Table.from_pylist(rows, POINTS), pa.Table.from_pylist(areas, AREAS))


def rule(rule_id: str, level: str, event: str = "gas-leak", place: str = "asset", respond_s: float = 1800) -> RuleInfo:
    """A rule whose titles name its level."""
    return RuleInfo(
        rule_id, 1, f"甲烷{level}", f"Methane {level}", level, "process", event, place, "c", "q", "a", respond_s
    )


RULES = {
    one.rule_id: one
    for one in (
        rule("ch4.rate", "yellow", respond_s=7200),
        rule("ch4.high", "orange"),
        rule("ch4.highhigh", "red", respond_s=300),
        rule("stuck", "blue", "sensor-fault", "device", 0),
    )
}


def raised(rule_id: str, point: int, onset: int, lsn: int = 1, delay: int = 2000) -> AlarmChange:
    """A raise of a rule on a point, detected two seconds after its onset."""
    level = RULES[rule_id].level if rule_id in RULES else "blue"
    key = alarm_id(rule_id, 1, f"G{point:05d}", "ch4", onset)
    return AlarmChange("raised", key, rule_id, 1, point, onset, onset + delay, 26.5, 25.0, level, lsn)


def cleared(of: AlarmChange, at: int, lsn: int = 2) -> AlarmChange:
    """The clearing of an alarm."""
    return AlarmChange(
        "cleared", of.alarm_id, of.rule_id, 1, of.point, of.raised_at, at + 500, 3.0, 25.0, of.level, lsn, at
    )


class Hands:
    """Queue and desk on one database, and the clock of both."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.now = T0 + 10_000
        self.jumped_s = 0.0
        self._queues: list[GovernanceQueue] = []
        self.queue = self.reopen()
        self.desk = GovernanceDesk(self.url, lambda: self.now)

    def reopen(self, policy: str | None = None, timezone: str = "UTC") -> GovernanceQueue:
        """A queue on the same file, as after a restart; the one before is left as a crash leaves it until ``close``."""
        monotonic = lambda: self.now / 1000 - self.jumped_s
        self.queue = GovernanceQueue(
            self.url,
            RULES,
            PlaceLookup(registry),
            lambda: self.now,
            policy=policy,
            timezone=timezone,
            monotonic=monotonic,
        )
        self._queues.append(self.queue)
        return self.queue

    def tick(self, seconds: float = 0) -> list[str]:
        """Let time pass, and the queue do its work by age."""
        self.now += round(seconds * 1000)
        return self.queue.tick(self.now)

    def walk(self, event_id: str, *steps: tuple[str, str, str], **fields: object) -> dict[str, object]:
        """Acts of (action, person, role) with a note each; ``fields`` go to the last."""
        for action, person, role in steps[:-1]:
            self.desk.act(event_id, action, Actor(person, role), "because")
        action, person, role = steps[-1]
        return self.desk.act(event_id, action, Actor(person, role), "because", **fields)

    def apply(self, *changes: AlarmChange, position: int = 1) -> list[str]:
        """Apply at the present time."""
        return self.queue.apply(changes, position, self.now)

    def close(self) -> None:
        self.desk.close()
        for queue in self._queues:  # closing twice is allowed
            queue.close()


@pytest.fixture
def hands(queue_url: str) -> Iterator[Hands]:
    """On each of the two databases."""
    made = Hands(queue_url)
    yield made
    made.close()
