"""One gas leak across two districts, from the first reading to the audit, over the real API with people of six roles.

It is returned once, extended once and overdue once (escalated, supervised), checked by telemetry, closed and rated; the
key figures, the stream, the log and the audit tell the same story, and ``lifeline verify`` finds nothing to mend.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lifeline.app.console import make_parts
from lifeline.app.identity import make_accounts
from lifeline.app.site import load_site
from lifeline.app.verify import verify_site
from lifeline.client import ApiError, ChangedError, Lifeline, NotAllowedError, NotFoundError
from lifeline.console.app import create_app
from lifeline.core.alarm import AlarmChange, RuleInfo, alarm_id
from lifeline.core.batch import IngestBatch, LogRecord, Readings
from lifeline.core.metrics import Metrics
from lifeline.core.principal import Grant
from lifeline.core.registry import Registry
from lifeline.core.schema import AREAS, POINTS
from lifeline.governance.audit_export import AuditExporter
from lifeline.governance.database import Database
from lifeline.governance.desk import GovernanceDesk
from lifeline.governance.places import PlaceLookup
from lifeline.governance.queue import GovernanceQueue
from lifeline.lake.catalog import Catalog
from lifeline.lake.writer import LakeFollower
from lifeline.live.values import LiveValues
from lifeline.log import LocalLog
from tests.console.conftest import CONFIG, serving

T0 = 1_795_000_020_000
"""2026-11-18 19:07 in Shanghai."""
MIN = 60_000
RULE = RuleInfo(
    "gas.ch4.high", 1, "甲烷浓度高", "Methane high", "orange", "process", "gas-leak", "zone", "c", "q", "a", 1800
)
ZHONGYUAN, JINSHUI = "中原燃气所", "金水燃气所"
PEOPLE = {
    "wang": ("dispatcher", ()),
    "li": ("operator", ("410102",)),
    "zhao": ("operator", ("410105",)),
    "chen": ("analyst", ()),
    "desk110": ("reporter", ()),
    "sun": ("auditor", ()),
}


def registry() -> Registry:
    """Three valve wells of one zone on the border of two districts."""
    rows = [
        {"point": i, "device_id": f"W{i}", "quantity": "ch4", "unit": "%LEL", "utility": "gas", "area_code": area,
         "kind": "valve-well", "zone": "Z-border", "lon": 113.64 + i * 1e-4, "lat": 34.75}
        for i, area in enumerate(("410102003001", "410102003001", "410105006002"))
    ]  # fmt: skip
    areas = [
        {"area_code": code, "level": level, "name": name, "parent_code": parent}
        for code, level, name, parent in (
            ("410100", "city", "郑州市", None),
            ("410102", "district", "中原区", "410100"),
            ("410105", "district", "金水区", "410100"),
            ("410102003", "township", "林山寨街道", "410102"),
            ("410105006", "township", "文化路街道", "410105"),
        )
    ]
    return Registry(pa.Table.from_pylist(rows, POINTS), pa.Table.from_pylist(areas, AREAS))


@dataclass
class City:
    """The engine's side of the story: log, last values, rules' alarms and the clock; and everybody's client."""

    site: Any
    now: int = T0
    lsn: int = 0
    people: dict[str, Lifeline] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = registry()
        clock = lambda: self.now
        self.log = LocalLog(self.site.log, clock=clock, metrics=Metrics())
        catalog = Catalog(self.site.data)
        catalog.publish_table("points", known.points)
        catalog.publish_table("areas", known.areas)
        self.queue = GovernanceQueue(
            *(self.site.database_url, {RULE.rule_id: RULE}, PlaceLookup(lambda: known), clock),
            timezone="Asia/Shanghai",
            monotonic=lambda: self.now / 1000,
        )
        self.desk = GovernanceDesk(self.site.database_url, clock)
        self.desk.load_reference(
            {
                "areas": known.areas.to_pylist(),
                "units": [{"unit": ZHONGYUAN}, {"unit": JINSHUI}],
                "duties": [
                    {"utility": "gas", "area_code": "410102", "unit": ZHONGYUAN},
                    {"utility": "gas", "area_code": "410105", "unit": JINSHUI},
                ],
            }
        )
        for name, table in self.desk.snapshot_tables().items():
            catalog.publish_table(name, table)
        catalog.publish()
        source = type("Source", (), {"current": staticmethod(lambda: known)})()
        self.lake, self.live = LakeFollower(self.site.data, catalog), LiveValues(self.site.live_path, source)

    def at(self, minute: float) -> None:
        """Let time pass; the queue does its work by age every minute."""
        until = T0 + round(minute * MIN)
        while self.now < until:
            self.now = min(self.now + MIN, until)
            self.queue.tick(self.now)

    def read(self, *values: float) -> None:
        """A reading of each well: durable, in the lake and as last values."""
        rows = Readings.empty(len(values))
        rows.point[:], rows.ts[:], rows.received_at[:] = np.arange(len(values)), self.now - 500, self.now
        rows.value[:] = values
        self.log.append(IngestBatch(self.now, rows, None), lambda _: None)
        assert self.log.wait(self.lsn, 10)
        self.lsn += 1
        record = LogRecord(self.lsn, self.now, rows)
        self.lake.consume([record])
        self.live.consume([record])

    def alarms(self, onset: int, cleared_at: int | None = None) -> None:
        """What the rules say of the three wells."""
        kind: Any = "raised" if cleared_at is None else "cleared"
        changes = [
            AlarmChange(
                *(kind, alarm_id(RULE.rule_id, 1, f"W{point}", "ch4", onset), RULE.rule_id, 1, point, onset),
                *(self.now, 31.0 + point if cleared_at is None else 2.0, 25.0, "orange", self.lsn, cleared_at),
            )
            for point in range(3)
        ]
        self.queue.apply(changes, self.lsn, self.now)

    def close(self) -> None:
        for one in (*self.people.values(), self.lake, self.live, self.queue, self.desk, self.log):
            one.close()


@pytest.fixture
def city(tmp_path: Path, database_url: str) -> Iterator[City]:
    """On each of the two databases."""
    config = tmp_path / "lifeline.toml"
    config.write_text(f'{CONFIG}\n[governance]\ndatabase = "{database_url}"\n')
    site = load_site(config)
    site.state.mkdir(parents=True)
    made = City(site)
    with ExitStack() as stack:
        stack.callback(made.close)
        clock = lambda: made.now
        port = stack.enter_context(serving(create_app(make_parts(site, stack.callback, clock=clock), clock=clock)))
        with closing(Database(site.database_url)) as database:
            accounts = make_accounts(database, clock=clock)
            accounts.add("zhou", [Grant("security")], actor="setup")
            _, token = accounts.create_token("zhou", actor="setup")
        made.people["zhou"] = zhou = Lifeline(f"http://127.0.0.1:{port}", token)
        for name, (role, areas) in PEOPLE.items():  # the security administrator lets them in
            zhou.add_account(name, [{"role": role, "areas": list(areas), "utilities": ["gas"] if areas else []}])
            made.people[name] = Lifeline(f"http://127.0.0.1:{port}", zhou.create_token(name)["token"])
        yield made


def test_a_leak_across_two_districts_from_the_first_reading_to_the_audit(city: City) -> None:
    event_id = found_by_telemetry_and_reported_by_telephone(city)
    returned_once_and_taken_by_the_other_district(city, event_id)
    extended_once_and_overdue_once(city, event_id)
    checked_by_telemetry_closed_and_rated(city, event_id)
    figures_of_the_day_agree(city)
    log_stream_and_audit_agree(city, event_id)
    nobody_has_touched_it(city)


def found_by_telemetry_and_reported_by_telephone(city: City) -> str:
    """One case; judged, and sent where most alarms are; the other district's unit joins."""
    wang, desk110 = city.people["wang"], city.people["desk110"]
    city.read(31.0, 32.0, 33.0)
    city.alarms(T0)
    city.at(2)
    told = desk110.report(source="110", description="路口有燃气味", service="gas-smell", lon=113.6401, lat=34.7501)
    (event,) = wang.events()
    event_id = event["event_id"]
    assert (told["event_id"], told["merged"], event["alarm_count"]) == (event_id, True, 3)
    with pytest.raises(NotAllowedError):
        desk110.event(event_id)

    city.at(3)
    wang.act(event_id, "file", note="两区均有报警，立案", version=wang.event(event_id)["version"])
    sent = wang.act(event_id, "dispatch")
    assert (sent["owner"], sent["co_owners"]) == (ZHONGYUAN, JINSHUI)
    assert "2 places" in sent["routing"]["en"]
    return str(event_id)


def returned_once_and_taken_by_the_other_district(city: City, event_id: str) -> None:
    """Dispatched anew; the other district's people see the case by their alarm, and work together."""
    wang, li, zhao = (city.people[name] for name in ("wang", "li", "zhao"))
    city.at(5)
    li.act(event_id, "return", note="漏点在金水一侧")
    city.at(6)
    wang.act(event_id, "dispatch", owner=JINSHUI, co_owners=ZHONGYUAN)
    city.at(8)
    assert [alarm["event_id"] for alarm in zhao.alarms()] == [event_id]
    (listed,) = zhao.events()  # of the whole case: it touches their district
    assert (listed["event_id"], listed["also_in"]) == (event_id, ["410105006"])
    assert [event["event_id"] for event in wang.events(area="410105006")] == [event_id]
    assert list(wang.events(area="410108")) == []
    assert "accept" in zhao.event(event_id)["actions"]
    zhao.act(event_id, "accept")
    zhao.act(event_id, "handle")
    zhao.act(event_id, "co-handle", co_owners=ZHONGYUAN, note="共同开挖")


def extended_once_and_overdue_once(city: City, event_id: str) -> None:
    """The township's centre is told, the city supervises."""
    wang, zhao = city.people["wang"], city.people["zhao"]
    city.at(20)
    zhao.act(event_id, "ask-extension", until=T0 + 50 * MIN, note="需破路")
    with pytest.raises(NotAllowedError):
        zhao.act(event_id, "grant-extension")
    city.at(21)
    granted = wang.act(event_id, "grant-extension")
    assert (granted["status"], granted["due_at"]) == ("handling", T0 + 50 * MIN)

    city.at(52)
    late = wang.event(event_id)
    assert (late["supervision"], late["overdue_at"]) == (1, T0 + 50 * MIN)
    wang.act(event_id, "supervise", supervision=2, note="市级督办")


def checked_by_telemetry_closed_and_rated(city: City, event_id: str) -> None:
    """Done, says the unit; not yet, says telemetry; and who handled it cannot check it."""
    zhao, chen = city.people["zhao"], city.people["chen"]
    city.at(55)
    zhao.act(event_id, "feed-back", note="已更换阀门")
    with pytest.raises(NotAllowedError):
        zhao.act(event_id, "close", cause="leak")
    with pytest.raises((ApiError, ChangedError), match="still stand"):
        chen.act(event_id, "close", cause="leak")
    city.at(58)
    city.read(2.0, 2.0, 2.0)
    city.alarms(T0, cleared_at=city.now)
    city.at(60)
    closed = chen.act(event_id, "close", cause="leak", key="close-1")
    assert chen.act(event_id, "close", cause="leak", key="close-1")["version"] == closed["version"]
    assert (closed["status"], closed["verified"], closed["recheck"]["verdict"]) == ("closed", True, "passed")
    city.at(70)
    rated = chen.act(event_id, "evaluate", satisfaction=5)
    assert rated["status"] == "evaluated"


def figures_of_the_day_agree(city: City) -> None:
    """Exactly."""
    wang = city.people["wang"]
    total = wang.kpi(start="2026-11-18", end="2026-11-19")["total"]
    counts = {name: total["counts"][name] for name in COUNTS}
    assert counts == COUNTS
    rates = {name: total[name] for name in RATES}
    assert rates == RATES
    assert total["response_median_s"] == pytest.approx(8 * 60, rel=0.045)
    assert total["handling_median_s"] == pytest.approx(52 * 60, rel=0.045)
    for district in ("410102", "410105"):  # a case counts once for the city, and in each district that it touches
        there = wang.kpi(start="2026-11-18", end="2026-11-19", district=district)["total"]
        assert {name: there["counts"][name] for name in COUNTS} == COUNTS
    groups = wang.kpi(start="2026-11-18", end="2026-11-19", by="district")
    assert [(row["district"], row["counts"]["closed"]) for row in groups["groups"]] == [("410102", 1), ("410105", 1)]
    assert groups["total"]["counts"]["closed"] == 1
    nobody = wang.kpi(start="2026-11-18", end="2026-11-19", district="410108")["total"]["counts"]
    assert not any(nobody.values())
    mine = city.people["zhao"].kpi(start="2026-11-18", end="2026-11-19", district="410105", utility="gas")
    assert mine["total"]["counts"]["closed"] == 1


def log_stream_and_audit_agree(city: City, event_id: str) -> None:
    """The same story three times; who was refused is in the audit too."""
    wang, sun = city.people["wang"], city.people["sun"]
    log = wang.event(event_id)["log"]
    assert [(entry["actor"], entry["action"]) for entry in log] == LOG
    told_by_stream = []
    for change in wang.changes(after=0):
        told_by_stream.append((change.actor, change.action))
        if len(told_by_stream) == len(LOG):
            break
    assert told_by_stream == LOG
    theirs = city.people["zhao"].changes(after=0)  # the other district's people are told from the alarm on
    assert [(change.actor, change.action) for _, change in zip(LOG, theirs, strict=False)] == LOG
    entries = sun._pages("/audit", "entries", {"object": f"event/{event_id}"}, 3)
    audited = [(entry["actor"], entry["action"], entry["role"], entry["result"]) for entry in entries][::-1]
    done = [(actor, action) for actor, action, _, result in audited if result == "done"]
    assert done == [(actor, action) for actor, action in LOG if actor != "engine"]
    assert [(actor, action) for actor, action, _, result in audited if result == "refused"] == [
        ("zhao", "grant-extension"),
        ("zhao", "close"),
        ("chen", "close"),
    ]
    assert {actor: role for actor, _, role, _ in audited} == {
        "desk110": "reporter", "wang": "dispatcher", "li": "operator", "zhao": "operator", "chen": "analyst"
    }  # fmt: skip
    with pytest.raises(NotAllowedError):
        list(wang._pages("/audit", "entries", {}, 3))
    with pytest.raises(NotFoundError):
        city.people["li"].event("0" * 20)


def nobody_has_touched_it(city: City) -> None:
    """``lifeline verify``: log, lake, queue, and the audit under a signed checkpoint."""
    audit = city.site.config.audit
    exporter = AuditExporter(
        *(city.site.database_url, audit.checkpoints, audit.key_file, "Zhengzhou", lambda: city.now),
        every_s=audit.every_s,
        every_entries=audit.every_entries,
    )
    exporter.close()  # which exports
    city.lake.close()
    verdict = verify_site(city.site.config.path)
    assert verdict["ok"], verdict
    assert {part["name"] for part in verdict["parts"]} == {"log", "lake", "queue", "audit"}


COUNTS = {
    "received": 1, "filed": 1, "due": 1, "closed": 1, "closed_due": 1, "on_time": 0, "overdue": 1, "reworked": 0,
    "returned": 1, "extended": 1, "rated": 1, "satisfied": 1, "verified": 1, "checkable": 1, "judged": 1,
    "false_alarms": 0,
}  # fmt: skip
RATES = {
    "filing_rate": 1.0, "closing_rate": 1.0, "on_time_rate": 0.0, "overdue_rate": 1.0, "rework_rate": 0.0,
    "return_rate": 1.0, "extension_rate": 1.0, "satisfaction_rate": 1.0, "verified_rate": 1.0, "false_alarm_rate": 0.0,
}  # fmt: skip
LOG = [
    ("engine", "open"),
    ("desk110", "report"),
    ("wang", "file"),
    ("wang", "dispatch"),
    ("li", "return"),
    ("wang", "dispatch"),
    ("zhao", "accept"),
    ("zhao", "handle"),
    ("zhao", "co-handle"),
    ("zhao", "ask-extension"),
    ("wang", "grant-extension"),
    ("engine", "remind"),
    ("engine", "overdue"),
    ("wang", "supervise"),
    ("zhao", "feed-back"),
    ("engine", "return-to-normal"),
    ("chen", "close"),
    ("chen", "evaluate"),
]
