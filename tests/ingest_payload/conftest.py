"""A small registry, messages as columns, and how two decodings are compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pytest

from ingest.messages import Messages
from ingest.payload.parts import Part
from lifeline.core.batch import IngestBatch
from lifeline.core.errors import UnavailableError
from lifeline.core.registry import Registry
from lifeline.core.schema import POINTS

NOW = 1_795_000_000_000
"""Receive time of the tests, epoch ms."""

FLEET = [
    # device, quantity, unit, low, high, interval_s
    ("G1", "ch4", "%LEL", 0.0, 100.0, 10.0),
    ("G1", "temp", "degC", -40.0, 85.0, 10.0),
    ("G2", "ch4", "%LEL", 0.0, 100.0, 10.0),
    ("W-0000000001", "pressure", "MPa", 0.0, 2.5, 300.0),
    ("W-0000000001", "flow", "m3/h", None, None, 300.0),
    ("设备1", "压力", None, None, None, None),
    ("H" * 128, "t_supply", "degC", None, None, None),
]

Rows = Sequence[tuple[str, str, str | None, float | None, float | None, float | None]]


def build_registry(rows: Rows = FLEET) -> Registry:
    columns = {f.name: pa.nulls(len(rows), f.type) for f in POINTS}
    columns["point"] = pa.array(range(len(rows)), pa.int32())
    for name, values in zip(
        ("device_id", "quantity", "unit", "span_low", "span_high", "interval_s"), zip(*rows, strict=True), strict=True
    ):
        columns[name] = pa.array(values, POINTS.field(name).type)
    return Registry(pa.table(columns, schema=POINTS))


class Source:
    """A registry source in memory; fails on demand."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.fails = False
        self.registered: list[tuple[str, str, str]] = []

    def current(self) -> Registry:
        return self.registry

    def register(self, pairs: list[tuple[str, str, str]]) -> Registry:
        if self.fails:
            raise UnavailableError("the disk is full")
        self.registered += pairs
        points = self.registry.points
        more = {f.name: pa.nulls(len(pairs), f.type) for f in POINTS}
        more["point"] = pa.array(range(len(points), len(points) + len(pairs)), pa.int32())
        for i, name in enumerate(("device_id", "quantity", "utility")):
            more[name] = pa.array([pair[i] for pair in pairs], pa.string())
        self.registry = Registry(pa.concat_tables([points, pa.table(more, schema=POINTS)]).combine_chunks())
        return self.registry


def build_messages(
    payloads: Sequence[bytes], topics: Sequence[bytes] | bytes = b"lifeline/gas/G1", retain: Sequence[int] | int = 0
) -> Messages:
    """Messages with hostile neighbours: between payloads stand bytes that would continue them."""
    topics = [topics] * len(payloads) if isinstance(topics, bytes) else topics
    retained = [retain] * len(payloads) if isinstance(retain, int) else retain
    buffer = bytearray(b'[{"')
    starts, topic_starts = [], []
    for topic, payload in zip(topics, payloads, strict=True):
        topic_starts.append(len(buffer))
        buffer += topic + b"/x"
        starts.append(len(buffer))
        buffer += payload + b'}],"7'
    data = np.frombuffer(bytes(buffer), np.uint8)
    return Messages(
        data,
        np.array(starts, np.int64),
        np.array([len(p) for p in payloads], np.int32),
        data,
        np.array(topic_starts, np.int64),
        np.array([len(t) for t in topics], np.int32),
        np.array(retained, np.uint8),
    )


def plain_part(part: Part) -> dict[str, object]:
    """A part as comparable values: floats by their bits, details by their text."""
    columns = [c.view(np.uint64).tolist() if c.dtype == np.float64 else c.tolist() for c in part.columns]
    return {
        "types": [str(c.dtype) for c in part.columns],
        "columns": columns,
        "row_object": part.row_object.tolist(),
        "message": part.message.tolist(),
        "start": part.start.tolist(),
        "length": part.length.tolist(),
        "values": part.values.tolist(),
        "reason": part.reason.tolist(),
        "detail": [part.details[d] if d >= 0 else None for d in part.detail.tolist()],
    }


def plain_batch(batch: IngestBatch) -> tuple[list[tuple[object, ...]], list[dict[str, object]]]:
    """Rows (values by their bits) and rejects of a batch."""
    r = batch.readings
    rows = list(
        zip(
            r.point.tolist(),
            r.ts.tolist(),
            r.value.view(np.uint64).tolist(),
            r.seq.tolist(),
            r.quality.tolist(),
            r.flags.tolist(),
            strict=True,
        )
    )
    return rows, batch.rejects.to_pylist() if batch.rejects is not None else []


@pytest.fixture
def now() -> int:
    return NOW


@pytest.fixture(scope="session")
def registry() -> Registry:
    return build_registry()


@pytest.fixture
def source() -> Source:
    return Source(build_registry())


@pytest.fixture(scope="session")
def registry_of() -> Callable[[Rows], Registry]:
    return build_registry


@pytest.fixture(scope="session")
def source_of() -> type[Source]:
    return Source


@pytest.fixture(scope="session")
def messages_of() -> Callable[..., Messages]:
    return build_messages


@pytest.fixture(scope="session")
def plain() -> Callable[[Part], dict[str, object]]:
    return plain_part


@pytest.fixture(scope="session")
def plain_of_batch() -> Callable[[IngestBatch], object]:
    return plain_batch
