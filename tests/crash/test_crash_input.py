"""What comes in may be repeated, renumbered, poisonous, foreign or from another time: real parts, a real disk.

In process: the collector, the decoder with its memory of repeats, the durable log; the test is the broker.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pytest

from ingest.broker import BrokerSettings
from ingest.collector import Collector
from ingest.identity import IdentityWindow
from ingest.messages import Messages
from ingest.payload.routes import PayloadDecoder
from lifeline.app.recovering import recall
from lifeline.core import limits
from lifeline.core.schema import POINTS
from lifeline.log import LocalLog
from lifeline.log.files import OsFiles
from lifeline.registry import RegistryLedger
from lifeline.testing import Fault, FaultyDisk, all_records
from tests.conftest import wait_for
from tests.ingest_mqtt.conftest import RawBroker, publish_packet

T0 = 1_795_000_000_000


def registry_table(devices: int = 4) -> pa.Table:
    rows = [dict.fromkeys(POINTS.names) | {"point": i, "device_id": f"D{i}", "quantity": "v"} for i in range(devices)]
    return pa.Table.from_pylist(rows, schema=POINTS)


def good(device: int, seq: int, value: float, ts: int = T0) -> bytes:
    return json.dumps({"id": f"D{device}", "seq": seq, "ts": ts, "v": value}, separators=(",", ":")).encode()


@dataclass
class Intake:
    """The parts, and what they kept."""

    folder: Path
    broker: RawBroker
    disk: Any = field(default_factory=OsFiles)
    now_ms: int = T0
    options: dict[str, Any] = field(default_factory=dict)
    log_options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ledger = RegistryLedger(self.folder / "state", registry_table())
        self.window = IdentityWindow(1 << 12)
        options = {"clock_record_ms": 0, "retry_s": (0.02, 0.1), **self.log_options}
        self.log = LocalLog(self.folder / "log", clock=self.clock, files=self.disk, **options)
        recall(self.window, self.log)
        decoder = PayloadDecoder(self.ledger, [("#", "lifeline")], mark=self.window.mark, **self.options)
        settings = BrokerSettings(
            "city", f"mqtt://127.0.0.1:{self.broker.port}", "c", reconnect_min_s=0.01, reconnect_max_s=0.05
        )
        self.collector = Collector(
            settings, decoder, self.log, self.clock, None, random.Random(1), on_lost=self.remember
        )
        self.collector.start()
        self.broker.welcome()

    def clock(self) -> int:
        return self.now_ms

    def remember(self) -> None:
        recall(self.window, self.log)

    @property
    def stored(self) -> list[tuple[int, int, float]]:
        """(point, seq, value) of what is no repeat."""
        found = []
        for record in all_records(self.log):
            rows = record.readings.unique()
            found += list(zip(rows.point.tolist(), rows.seq.tolist(), rows.value.tolist(), strict=True))
        return found

    @property
    def rejects(self) -> list[dict[str, Any]]:
        return [row for r in all_records(self.log) if r.rejects is not None for row in r.rejects.to_pylist()]

    def close(self) -> None:
        self.collector.stop(10)
        self.log.close()


@pytest.fixture
def intake(tmp_path: Path) -> Iterator[Callable[..., Intake]]:
    made: list[Intake] = []

    def make(**options: Any) -> Intake:
        made.append(Intake(tmp_path / f"intake{len(made)}", RawBroker(), **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
        one.broker.close()


@pytest.mark.parametrize("same_payload", [True, False], ids=["same reading", "another reading"])
@pytest.mark.parametrize("same_id", [True, False], ids=["same id", "another id"])
@pytest.mark.parametrize("dup", [True, False], ids=["DUP", "no DUP"])
@pytest.mark.parametrize("acknowledged", [True, False], ids=["after PUBACK", "before PUBACK"])
@pytest.mark.parametrize("reconnected", [True, False], ids=["new connection", "same connection"])
def test_two_acknowledgements_and_one_row_for_one_reading_m05(
    same_payload: bool, same_id: bool, dup: bool, acknowledged: bool, reconnected: bool, intake: Callable[..., Intake]
) -> None:
    """[MQTT-4.3.2-5]: neither packet identifier nor DUP says what a message is; its content does."""
    run = intake()
    first, second = good(0, 1, 1.5), good(0, 1, 1.5) if same_payload else good(0, 2, 1.5)
    again = 7 if same_id else 8
    if acknowledged or reconnected:
        run.broker.send(publish_packet(b"t", first, 7))
        if acknowledged:
            assert run.broker.pubacks(1) == [7]
        if reconnected:
            run.broker.drop()
            run.broker.welcome(session=True)
        run.broker.send(publish_packet(b"t", second, again, dup=dup))
        assert run.broker.pubacks(1) == [again]
    else:
        run.broker.send(publish_packet(b"t", first, 7) + publish_packet(b"t", second, again, dup=dup))
        assert run.broker.pubacks(2) == [7, again]
    wait_for(lambda: run.collector.state.unacknowledged == 0, 10, "settled")

    expected = [(0, 1, 1.5)] if same_payload else [(0, 1, 1.5), (0, 2, 1.5)]
    assert run.stored == expected or (reconnected and not acknowledged and run.stored == expected[-1:])


@pytest.mark.parametrize("kept_bytes", [0, 100_000], ids=["nothing kept", "kept"])
def test_what_a_broker_delivers_again_after_two_restarts_is_still_known(kept_bytes: int, tmp_path: Path) -> None:
    """Committed, its PUBACK lost; the broker was away while the log was trimmed and the engine restarted."""
    options = {"segment_bytes": 1500, "kept_bytes": kept_bytes}
    again = publish_packet(b"t", good(0, 1, 1.5), 7, dup=True)
    for start in range(3):
        run = Intake(tmp_path, RawBroker(), log_options=options)
        if start == 0:
            run.broker.send(publish_packet(b"t", good(0, 1, 1.5), 7))
            assert run.broker.pubacks(1) == [7]
            for i in range(2, 30):
                run.broker.send(publish_packet(b"t", good(1, i, 1.0), i + 10))
                assert run.broker.pubacks(1) == [i + 10]
        if start == 1:
            run.log.trim(run.log.committed)  # every follower has it
        if start == 2:
            committed = run.log.committed
            run.broker.send(again)
            assert run.broker.pubacks(1) == [7]
            doubled = [value for r in run.log.read(committed) for value in r.readings.unique().value.tolist()]
        run.close()
        run.broker.close()

    assert doubled == ([] if kept_bytes else [1.5]), "without the kept part of the log this could not fail"


@pytest.mark.parametrize("jump_ms", [3_600_000, -3_600_000, 86_400_000, -86_400_000, 400 * 86_400_000])
def test_a_clock_that_jumps_loses_nothing_and_the_logs_never_goes_back_d15(
    jump_ms: int, intake: Callable[..., Intake]
) -> None:
    run = intake()
    for i in range(1, 31):
        if i == 11:
            run.now_ms += jump_ms
        if i == 21:
            run.now_ms -= jump_ms
        run.broker.send(publish_packet(b"t", good(i % 4, i, float(i), T0), i))
        assert run.broker.pubacks(1) == [i]
    seen = {seq for _, seq, _ in run.stored}
    reasons = {json.loads(row["payload"])["seq"]: row["reason"] for row in run.rejects}
    clocks = [record.received_at for record in all_records(run.log)]

    assert seen | reasons.keys() == set(range(1, 31))
    assert not seen & reasons.keys()
    assert set(reasons.values()) <= {"future_timestamp", "too_old"}
    assert clocks == sorted(clocks)


def test_bad_input_alone_while_the_disk_fails_now_and_then_b08(intake: Callable[..., Intake], tmp_path: Path) -> None:
    """Every message is poison, and every fifth fdatasync fails: none is acknowledged without its reject on the disk."""
    disk = FaultyDisk(OsFiles())
    run = intake(disk=disk)
    start = disk.counts["sync_data"]
    disk.faults += [Fault("sync_data", start + 1 + 5 * i) for i in range(12)]
    waiting = {i: b"{ poison %d" % i for i in range(1, 201)}
    acknowledged: list[int] = []
    sent: list[int] = []
    while waiting:
        batch = list(waiting)[:10]
        run.broker.send(b"".join(publish_packet(b"t", waiting[i], i, dup=i in sent) for i in batch))
        sent += batch
        for _ in batch:
            packet = run.broker.packet()
            if not packet:  # refused: it comes again on the next connection
                run.broker.welcome(session=True)
                break
            identifier = int.from_bytes(packet[2:4], "big")
            acknowledged.append(identifier)
            del waiting[identifier]
    kept = {row["payload"] for row in run.rejects}

    assert len(disk.failed) >= 5
    assert sorted(acknowledged) == list(range(1, 201))
    assert all(b"{ poison %d" % i in kept for i in range(1, 201))


def messages_of(payloads: list[bytes], topics: list[bytes]) -> Messages:
    def columns(parts: list[bytes]) -> tuple[Any, Any, Any]:
        length = np.array([len(part) for part in parts], np.int32)
        start = np.concatenate([[0], np.cumsum(length[:-1])]).astype(np.int64)
        return np.frombuffer(b"".join(parts) + b"\0", np.uint8), start, length

    payload, payload_start, payload_len = columns(payloads)
    topic, topic_start, topic_len = columns(topics)
    retain = np.zeros(len(payloads), np.uint8)
    return Messages(payload, payload_start, payload_len, topic, topic_start, topic_len, retain)


@pytest.mark.soak
@pytest.mark.parametrize("unknown", ["reject", "register"])
def test_a_flood_of_unknown_topics_and_devices_is_bounded_in_memory_b06(unknown: str, tmp_path: Path) -> None:
    """Distinct topics and devices without end: rejects, registered ones up to the limit, no growth beyond."""
    total = 1_000_000 if os.environ.get("LIFELINE_SOAK") == "1" else 60_000
    bound = limits.REGISTERED_MAX if total > limits.REGISTERED_MAX else 20_000
    ledger = RegistryLedger(tmp_path / "state", registry_table(), registered_max=bound)
    decoder = PayloadDecoder(ledger, [("#", "lifeline")], unknown=unknown, registered_max=bound)
    process, step = psutil.Process(), 10_000
    readings = rejects = after_bound = 0
    for at in range(0, total, step):
        ids = range(at, at + step)
        batch = decoder.decode(
            messages_of(
                [b'{"id":"X%d","seq":1,"ts":%d,"v":1}' % (i, T0) for i in ids],
                [b"lifeline/gas/X%d" % i for i in ids],
            ),
            T0,
            "city",
        )
        readings += len(batch.readings)
        rejects += 0 if batch.rejects is None else batch.rejects.num_rows
        del batch
        if at <= bound:
            after_bound = process.memory_info().rss
    grown_mib = (process.memory_info().rss - after_bound) / 2**20
    print(f"\n{total:,} unknown devices: {readings:,} registered, {rejects:,} rejected, {grown_mib:.0f} MiB more")

    assert readings + rejects == total
    assert readings == (bound if unknown == "register" else 0)
    assert grown_mib < 100


def test_poison_between_good_messages_stalls_nothing_b01(intake: Callable[..., Intake]) -> None:
    """Nine of ten are poison: all acknowledged in order, the good ones stored, the others in the rejects."""
    run = intake()
    payloads = [good(i % 4, i, float(i)) if i % 10 == 0 else b"\xff{ %d" % i for i in range(1, 2001)]
    for at in range(0, 2000, 100):
        chunk = payloads[at : at + 100]
        run.broker.send(b"".join(publish_packet(b"t", p, at + n) for n, p in enumerate(chunk, 1)))
        assert run.broker.pubacks(100) == list(range(at + 1, at + 101))
    assert len(run.stored) == 200
    assert len(run.rejects) == 1800
