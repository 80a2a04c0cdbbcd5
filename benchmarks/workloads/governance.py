"""``governance``: the queue with a year on record (7,216,000 events at scale 1): lists, figures, acts, a storm.

First pages: every filter that the console offers, alone and combined, common and rare, 100 rows each; once more when
one event of 200 reaches into a second district. Acts: 32 people at once walk new events through the whole loop; each
act is durable when it returns; once more while a webhook is told of every one. Storm: 10,000 alarms arrive in ten
seconds, a hundred batches, while people go on listing and acting. Times are wall time, for people wait in it; on a
shared machine ``cpu`` figures beside them are steadier.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson
import pyarrow as pa

from benchmarks.harness import Figure, Result, rss_mib_max
from benchmarks.past import DISTRICTS, END_MS, TIMEZONE, let_cross, make_past
from lifeline.core.alarm import AlarmChange, RuleInfo, alarm_id
from lifeline.core.registry import Registry
from lifeline.core.schema import POINTS
from lifeline.governance.actor import Actor
from lifeline.governance.database import Database
from lifeline.governance.desk import GovernanceDesk
from lifeline.governance.outgoing import outbox
from lifeline.governance.outgoing.envelope import CONTENT_TYPE, cloud_event, encode
from lifeline.governance.outgoing.web import WebTransport
from lifeline.governance.outgoing.worker import SinkRules, Worker
from lifeline.governance.places import PlaceLookup
from lifeline.governance.queue import GovernanceQueue

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER: Final = "LIFELINE_BENCH_PAST"
"""A folder in the environment keeps the year on record between runs: making it takes minutes at scale 1."""
PEOPLE: Final = 32
LOOPS: Final = 6
"""Events that each person walks through the loop."""
DEVICES: Final = 4_000
STORM_ALARMS: Final = 10_000
STORM_S: Final = 10
STEPS: Final[tuple[tuple[str, str, dict[str, Any]], ...]] = (
    ("file", "operator", {}),
    ("dispatch", "dispatcher", {"owner": "Gas unit 3"}),
    ("accept", "operator", {}),
    ("handle", "operator", {}),
    ("feed-back", "operator", {}),
    ("close", "analyst", {"cause": "leak"}),
    ("evaluate", "analyst", {"satisfaction": 5}),
)
RULE: Final = RuleInfo("r", 1, "报警", "Alarm", "orange", "process", "leak", "device", "", "", "", 1800.0)


def run(scale: float) -> Result:
    """Everything, on one database."""
    result = Result("governance", scale)
    with tempfile.TemporaryDirectory(prefix="lifeline-bench-") as temporary:
        folder = Path(os.environ.get(FOLDER, temporary))
        path = folder / f"past-{scale:g}.db"
        if not path.exists():
            began = time.perf_counter()
            count = make_past(path, scale)
            result.notes.append(f"{count:,} events made in {time.perf_counter() - began:.0f} s")
        registry = _registry()
        clock = _Clock()
        queue = GovernanceQueue(
            f"sqlite:///{path}", {"r": RULE}, PlaceLookup(lambda: registry), clock, timezone=TIMEZONE
        )
        desk = GovernanceDesk(f"sqlite:///{path}", clock)
        result.notes.append(f"{sum(desk.open_counts().values()):,} events open, {path.stat().st_size / 1e9:.1f} GB")
        digest = blake2b(digest_size=16)  # of what was there before: what is added lives by the clock
        _lists(result, desk, "first_page", digest)
        _one(result, desk)
        _figures(result, desk, digest)
        result.hash = digest.hexdigest()
        result.notes.append(f"then {let_cross(path):,} events reach into a second district")
        _lists(result, desk, "first_page_crossing")
        _acts(result, desk, queue, clock)
        _told(result, desk, queue, clock, f"sqlite:///{path}")
        _storm(result, desk, queue, clock)
        result.figures["rss_mib"] = Figure(rss_mib_max(), "MiB", better="lower")
        desk.close()
        queue.close()
    return result


class _Clock:
    """Real time, shifted to just after the year on record."""

    def __init__(self) -> None:
        self._shift = END_MS - time.time_ns() // 1_000_000

    def __call__(self) -> int:
        return time.time_ns() // 1_000_000 + self._shift


def _registry() -> Registry:
    rows = [
        {
            "point": i,
            "device_id": f"S{i:05d}",
            "quantity": "ch4",
            "utility": "gas",
            "kind": "valve-well",
            "area_code": f"{DISTRICTS[i % len(DISTRICTS)]}001001{i % 36 + 1:02d}",
            "lon": 113.2 + (i % 400) / 400,
            "lat": 34.3 + (i // 400) / 20,
        }
        for i in range(DEVICES)
    ]
    return Registry(pa.Table.from_pylist(rows, POINTS))


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """(wall, CPU of this thread) in ms."""
    cpu, wall = time.thread_time(), time.perf_counter()
    work()
    return (time.perf_counter() - wall) * 1000, (time.thread_time() - cpu) * 1000


def _percentiles(result: Result, name: str, times: list[tuple[float, float]], target: float) -> None:
    walls, cpus = zip(*times, strict=True)
    count = len(times)
    for share in (50, 99):
        value = float(np.percentile(walls, share))
        result.figures[f"{name}_p{share}_ms"] = Figure(
            value, "ms", target if share == 99 else None, "lower", runs=count
        )
    result.figures[f"{name}_cpu_p99_ms"] = Figure(float(np.percentile(cpus, 99)), "ms", None, "lower", runs=count)


def _lists(result: Result, desk: GovernanceDesk, name: str, digest: blake2b | None = None) -> None:
    """First pages of every combination of a value or none of each facet, warm and in turns."""
    levels = (None, "red", "blue")
    statuses = (None, "open", "new", "suspended", "evaluated", "cancelled")
    areas = (None, "410100", "410105", "410105003", "41010500300112")
    utilities = (None, "heat")
    ages = (None, END_MS - 7 * 86_400_000)
    filters = [
        {"level": lv, "status": st, "area": ar, "utility": ut, "since": si, "limit": 100}
        for lv, st, ar, ut, si in itertools.product(levels, statuses, areas, utilities, ages)
    ]
    shown = [[row["event_id"] for row in desk.list_events(**one)[0]] for one in filters]
    if digest is not None:
        digest.update(orjson.dumps(shown))
    times = [_timed(lambda one=one: desk.list_events(**one)) for _ in range(2) for one in filters]  # type: ignore[misc]
    worst = filters[int(np.argmax([wall for wall, _ in times])) % len(filters)]
    slowest = {k: v for k, v in worst.items() if v is not None}
    result.notes.append(f"{name}: {len(filters)} filters; slowest: {slowest}")
    _percentiles(result, name, times, 20)


def _one(result: Result, desk: GovernanceDesk) -> None:
    ids = [row["event_id"] for status in ("evaluated", "open", "closed") for row in desk.list_events(status=status)[0]]
    times = [_timed(lambda key=key: desk.get_event(key)) for _ in range(3) for key in ids]  # type: ignore[misc]
    _percentiles(result, "one_event", times, 5)


def _figures(result: Result, desk: GovernanceDesk, digest: blake2b) -> None:
    end = datetime.fromtimestamp(END_MS / 1000, UTC).date() + timedelta(days=1)
    month, year = end.replace(day=1), end.replace(year=end.year - 1, day=1)
    asked: dict[str, tuple[date, dict[str, Any], float]] = {
        "kpi_month_district": (month, {"district": "410105"}, 100),
        "kpi_month_district_by_kind": (month, {"district": "410105", "by": "kind"}, 100),
        "kpi_year_city": (year, {}, 1000),
        "kpi_year_city_by_unit": (year, {"by": "unit"}, 1000),
        "kpi_year_city_by_day": (year, {"by": "day"}, 1000),
    }
    for name, (start, given, target) in asked.items():
        digest.update(orjson.dumps(desk.kpi(start, end, **given), option=orjson.OPT_SORT_KEYS, default=str))
        times = [_timed(lambda s=start, g=given: desk.kpi(s, end, **g))[0] for _ in range(5)]  # type: ignore[misc]
        result.figures[f"{name}_ms"] = Figure(float(np.median(times)), "ms", target, "lower", min(times), max(times), 5)
    total = desk.kpi(year, end)["total"]
    result.notes.append(f"closing {total['closing_rate']}, satisfaction {total['satisfaction_rate']}")


def _acts(result: Result, desk: GovernanceDesk, queue: GovernanceQueue, clock: _Clock) -> None:
    """Everybody at once, then one alone; an act counts when it is durable."""
    opened, times, wall, cpu = _everybody(desk, queue, clock)
    result.figures["transitions_per_s"] = Figure(len(times) / wall, "1/s", 1500, runs=len(times))
    result.figures["transitions_per_cpu_s"] = Figure(len(times) / cpu, "1/CPU-s", runs=len(times))
    _percentiles(result, "act_of_32", times, 500)
    alone = [
        _timed(lambda: desk.act(opened[0], "reopen", Actor("chief", "dispatcher"), "again")),
        *(_timed(lambda: desk.act(opened[0], "note", Actor("chief", "dispatcher"), "noted")) for _ in range(200)),
    ]
    _percentiles(result, "act_alone", alone, 50)


def _told(result: Result, desk: GovernanceDesk, queue: GovernanceQueue, clock: _Clock, url: str) -> None:
    """The same while a webhook, signed, is told of every step; then how long it takes until it has had them all."""
    command = [sys.executable, "-m", "benchmarks.receiver"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as receiver:
        assert receiver.stdout is not None
        port = int(receiver.stdout.readline())
        database = Database(url, create=False)
        transport = WebTransport(
            f"http://127.0.0.1:{port}/",
            lambda message: (CONTENT_TYPE, encode(cloud_event(message, "/bench"))),
            clock,
            keys=[bytes(32)],
            allow_private=True,
        )
        worker = Worker(SinkRules("bench", "receiver"), transport, database, clock)
        worker.start()
        _, times, wall, cpu = _everybody(desk, queue, clock)
        began, (before,) = time.perf_counter(), desk.list_sinks()
        while any(row["waiting"] for row in desk.list_sinks()):
            time.sleep(0.02)
        rest = time.perf_counter() - began
        (after,) = desk.list_sinks()
        worker.stop()
        with database.write() as connection:
            outbox.forget_others(connection, [])
        database.close()
        receiver.communicate()
    result.figures["transitions_with_sink_per_s"] = Figure(len(times) / wall, "1/s", 1500, runs=len(times))
    result.figures["transitions_with_sink_per_cpu_s"] = Figure(len(times) / cpu, "1/CPU-s", runs=len(times))
    _percentiles(result, "act_with_sink", times, 500)
    sent = after["delivered"] - before["delivered"]
    result.figures["webhooks_per_s"] = Figure(sent / rest if sent else 0.0, "1/s", runs=sent)
    result.notes.append(f"a webhook was told {after['delivered']:,} times, {sent:,} of them after the last act")


def _everybody(
    desk: GovernanceDesk, queue: GovernanceQueue, clock: _Clock
) -> tuple[list[str], list[tuple[float, float]], float, float]:
    """32 people at once walk new events through the loop: (events, (wall, CPU) of each act in ms, wall s, CPU s)."""
    changes = [_alarm(point, clock(), queue.position + 1) for point in range(PEOPLE * LOOPS)]
    opened = queue.apply([one for change in changes for one in change], queue.position + 1, clock())
    waits: list[list[tuple[float, float]]] = [[] for _ in range(PEOPLE)]
    failed: list[BaseException] = []

    def person(number: int) -> None:
        try:
            for event_id in opened[number::PEOPLE]:
                for action, role, fields in STEPS:
                    actor = Actor(f"{role}-{number}", role)
                    waits[number].append(
                        _timed(lambda a=action, e=event_id, w=actor, f=fields: desk.act(e, a, w, "done", **f))  # type: ignore[misc]
                    )
        except BaseException as error:  # noqa: BLE001 - told below
            failed.append(error)

    threads = [threading.Thread(target=person, args=(number,)) for number in range(PEOPLE)]
    cpu, began = time.process_time(), time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    if failed:
        raise failed[0]
    return opened, [one for each in waits for one in each], wall, cpu


def _alarm(point: int, at: int, lsn: int) -> tuple[AlarmChange, AlarmChange]:
    """An alarm that rises and clears."""
    key = alarm_id("r", 1, f"S{point:05d}", "ch4", at)
    rise = AlarmChange("raised", key, "r", 1, point, at, at, 26.5, 25.0, "orange", lsn)
    return rise, AlarmChange("cleared", key, "r", 1, point, at, at, 3.0, 25.0, "orange", lsn, at)


def _storm(result: Result, desk: GovernanceDesk, queue: GovernanceQueue, clock: _Clock) -> None:
    """Alarms on their clock, people beside them; how far the queue falls behind, and how long people wait."""
    batches, per = 100, STORM_ALARMS // 100
    behind: list[float] = []
    opened: list[str] = []
    rng = np.random.default_rng(7)
    points = rng.integers(0, DEVICES, STORM_ALARMS)
    done = threading.Event()

    def fold() -> None:
        try:
            arrive()
        finally:  # else the people below would wait for ever
            done.set()

    def arrive() -> None:
        began = time.perf_counter()
        for number in range(batches):
            due = began + number * STORM_S / batches
            time.sleep(max(0.0, due - time.perf_counter()))
            at = clock()
            chosen = points[number * per : (number + 1) * per].tolist()
            changes = [_alarm(p, at + i, queue.position + 1)[0] for i, p in enumerate(chosen)]
            opened.extend(queue.apply(changes, queue.position + 1, clock()))
            behind.append((time.perf_counter() - due) * 1000)

    thread = threading.Thread(target=fold)
    thread.start()
    listed: list[tuple[float, float]] = []
    acted: list[tuple[float, float]] = []
    chief = Actor("chief", "dispatcher")
    while not done.is_set():
        listed.append(_timed(lambda: desk.list_events(status="new", level="orange", limit=100)))
        if opened:
            target = opened[-1]
            acted.append(_timed(lambda key=target: desk.act(key, "note", chief, "seen")))  # type: ignore[misc]
        time.sleep(0.02)
    thread.join()
    assert len(behind) == batches, "the storm has ended early"
    result.figures["storm_behind_max_ms"] = Figure(max(behind), "ms", 1000, "lower", runs=batches)
    result.figures["storm_events"] = Figure(len(opened), "events", runs=STORM_ALARMS)
    _percentiles(result, "storm_list", listed, 200)
    _percentiles(result, "storm_act", acted, 500)
