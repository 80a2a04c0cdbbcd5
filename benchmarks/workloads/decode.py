"""``decode``: bytes of PUBLISH packets to judged columns, one core.

Ours: ``Connection.receive`` (frames) and ``PayloadDecoder.decode`` (routing, JSON, spans, times) over one megabyte at
a time, as a socket gives it, with the PUBACKs of each. Baseline: what everybody writes first, a loop over frames with
``json.loads`` and dictionaries, on a share of the same packets. Both must give the simulator's own truth, bit by bit.

Rates are per second of CPU: the work never waits, and on a shared machine wall time measures the neighbours.
``wall`` figures are given beside them.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import fields
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.harness import Pairs, Result, cpu_us, figure, interleaved, measure, ordered_hash, rates, rss_mib_max
from benchmarks.registries import FixedRegistry
from benchmarks.streams import EPOCH_MS, STEP_MS, Round, Stream, sensors_at
from ingest.identity import IdentityWindow
from ingest.mqtt.connection import Connection
from ingest.mqtt.control import ConnectSettings, Subscription
from ingest.payload.routes import PayloadDecoder
from lifeline.core.batch import IngestBatch, Readings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lifeline.core.registry import Registry

PAIRS: Final = 7
CHUNK_BYTES: Final = 1 << 20
BASELINE_READINGS: Final = 10_000
NOW_MS: Final = EPOCH_MS + STEP_MS
"""Receive time: the end of the round."""
HANDSHAKE: Final = b"\x20\x02\x00\x00\x90\x03\x00\x01\x01"
"""CONNACK, then SUBACK of identifier 1 at QoS 1 (MQTT 3.1.1)."""


def run(scale: float) -> Result:
    """Both shapes, and one value a message with the recognition of repeats on top."""
    result = Result("decode", scale)
    hashes = []
    for shape, unit, target in (("single", "messages", 4e6), ("pack100", "readings", 6e6)):
        stream = Stream(sensors_at(scale), 1, "single" if shape == "single" else "gateway")
        source = FixedRegistry(stream.fleet)
        part = next(iter(stream))
        ours = _Ours(source, part)
        naive = _Naive(source.current(), part)
        pairs = interleaved("decode", ours.run, naive.run, PAIRS)
        ours.check(part)
        naive.check(part)
        hashes.append(ours.hash())
        _report(result, shape, unit, target, pairs, len(part), naive.readings)
        if shape == "single":
            repeats = _Ours(source, part, window=True)
            costs = interleaved("decode", repeats.run, repeats.renew, PAIRS).ours
            result.figures["single_with_repeats_cpu_us"] = cpu_us(costs, len(part), "µs/message")
            result.figures["single_packet_bytes"] = figure([len(part.packets.data) / len(part.packets)], "bytes")
    result.figures["rss_mib"] = figure([rss_mib_max()], "MiB", better="lower")
    result.hash = ordered_hash([np.frombuffer("".join(hashes).encode(), np.uint8)])
    return result


def _report(result: Result, shape: str, unit: str, target: float, pairs: Pairs, ours: int, naive: int) -> None:
    one = unit.removesuffix("s")
    add = result.figures.__setitem__
    add(f"{shape}_{unit}_per_s", figure((ours / c.cpu_s for c in pairs.ours), f"{unit}/s of CPU", target))
    add(f"{shape}_{unit}_per_s_wall", rates(pairs.ours, ours, f"{unit}/s"))
    add(f"{shape}_cpu_us", cpu_us(pairs.ours, ours, f"µs/{one}"))
    add(f"{shape}_times_naive", figure(pairs.ratios(ours, naive, "cpu_s"), "x"))
    result.peers.setdefault("json.loads loop", {}).update(
        {
            f"{shape}_{unit}_per_s": figure((naive / c.cpu_s for c in pairs.baseline), f"{unit}/s of CPU").json(),
            f"{shape}_cpu_us": cpu_us(pairs.baseline, naive, f"µs/{one}").json(),
        }
    )


class _Ours:
    """Our decoder over one round; keeps what it gave."""

    def __init__(self, source: FixedRegistry, part: Round, *, window: bool = False) -> None:
        self._data = part.packets.data
        self._source = source
        self._window = IdentityWindow() if window else None
        self.batches: list[IngestBatch] = []
        mark = None if self._window is None else self._window.mark
        self._decoder = PayloadDecoder(source, [("lifeline/#", "lifeline")], mark=mark)
        self.renew()

    def renew(self) -> None:
        """A window that has seen nothing, its pages touched."""
        if self._window is not None:
            self._window.rebuild(())
            self._window._table[:] = 0  # noqa: SLF001 - no start is measured here

    def run(self) -> None:
        """Decode the round."""
        connection = opened_connection()
        self.batches = []
        data, at = self._data, 0
        while at < len(data):
            chunk = data[at : at + CHUNK_BYTES]
            received = connection.receive(chunk, len(chunk), 0.0)
            self.batches.append(self._decoder.decode(received.messages, NOW_MS, "bench"))
            connection.acknowledge(received.token)
            connection.bytes_to_send(0.0)
            at += received.consumed

    def columns(self) -> Readings:
        """Everything decoded."""
        return Readings.concat([batch.readings for batch in self.batches])

    def hash(self) -> str:
        """Of all columns in order."""
        rows = self.columns()
        return ordered_hash(getattr(rows, f.name) for f in fields(rows))

    def check(self, part: Round) -> None:
        """Nothing rejected, nothing lost, every number the simulator's."""
        assert all(batch.rejects is None or not batch.rejects.num_rows for batch in self.batches)
        rows = self.columns()
        for name in ("point", "ts", "seq", "value"):
            assert np.array_equal(getattr(rows, name), getattr(part, name)), f"decoded {name} differ from what was sent"


def opened_connection() -> Connection:
    """A connection that is subscribed (MQTT 3.1.1, QoS 1)."""
    connection = Connection(ConnectSettings(client_id="bench", version=4), [Subscription("lifeline/#", 1)])
    connection.connect_bytes(0.0)
    greeting = np.frombuffer(HANDSHAKE, np.uint8).copy()
    assert connection.receive(greeting, len(greeting), 0.0).error is None
    connection.bytes_to_send(0.0)
    return connection


def naive_cpu_us(scale: float) -> float:
    """CPU of the baseline a message of one value: the yardstick of the machine at this moment."""
    stream = Stream(min(sensors_at(scale), BASELINE_READINGS), 1)
    naive = _Naive(FixedRegistry(stream.fleet).current(), next(iter(stream)))
    naive.run()
    return statistics.median(measure(naive.run).cpu_s for _ in range(5)) / naive.readings * 1e6


class _Naive:
    """The baseline: bytes, ``json.loads``, dictionaries, lists."""

    def __init__(self, registry: Registry, part: Round) -> None:
        packets = max(1, int(np.searchsorted(part.packets.row, min(BASELINE_READINGS, len(part)), side="right")) - 1)
        self._data = part.packets.data[: part.packets.at[packets]].tobytes()
        self.readings = int(part.packets.row[packets])
        self._points = {
            (registry.devices[device], registry.quantities[quantity]): point
            for point, (device, quantity) in enumerate(
                zip(registry.point_device.tolist(), registry.point_quantity.tolist(), strict=True)
            )
        }
        self.rows: list[tuple[int, int, int, float]] = []

    def run(self) -> None:
        """Decode the share."""
        rows = self.rows = []
        for payload in _payloads(self._data):
            objects = json.loads(payload)
            for item in objects if isinstance(objects, list) else (objects,):
                device, ts, seq = item["id"], item["ts"], item["seq"]
                for key, value in item.items():
                    if key not in {"id", "ts", "seq", "q"}:
                        rows.append((self._points[device, key], ts, seq, float(value)))

    def check(self, part: Round) -> None:
        """The same truth."""
        count = self.readings
        truth = zip(*(column[:count].tolist() for column in (part.point, part.ts, part.seq, part.value)), strict=True)
        assert self.rows == list(truth), "the baseline decoded something else than was sent"


def _payloads(data: bytes) -> Iterator[bytes]:
    """Payloads of QoS 1 PUBLISH packets (MQTT 3.1.1, 3.3)."""
    at = 0
    while at < len(data):
        length, shift, at = 0, 0, at + 1
        while True:
            byte = data[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        end = at + length
        yield data[at + 4 + int.from_bytes(data[at : at + 2], "big") : end]
        at = end
