"""Sparkplug B (Eclipse Sparkplug 3.0, ISO/IEC 20237): births, data and deaths of edge nodes and their devices.

    spBv1.0/{group}/NBIRTH|NDATA|NDEATH/{node}          spBv1.0/{group}/DBIRTH|DDATA|DDEATH/{node}/{device}

Device: the device's id, for an edge node's own metrics the node's; both must be unique among all edge nodes of a
broker. Two living edge nodes with the same device id are two sensors under one name: the later one's readings are
refused.
Quantity: the metric's name, or its last part (``Line 2/pressure``: ``pressure``) where the registry has only that and
no other metric of the device ends so. Every metric is an object of its own, with its own time (else the payload's; else
the receive time, flagged). Unit: property ``engUnit``, of the metric or of its birth; quality: property ``Quality``
(192 good, 500 stale: uncertain, 0 bad). ``is_historical`` is a late reading.
``bdSeq``, ``Node Control/…`` and ``Device Control/…`` are no readings; commands and STATE are passed over. Texts,
dates, data sets and templates are left out where the registry does not ask for them.
What is remembered between messages, and what happens after a gap: ``sparkplug_edges``; the bytes: ``sparkplug_wire``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from ingest.payload import sparkplug_wire as wire
from ingest.payload.documents import malformed
from ingest.payload.faults import Fault, quote
from ingest.payload.judge import Candidate, Value
from ingest.payload.sparkplug_edges import Edges, table
from lifeline.core import limits
from lifeline.core.schema import Quality, Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingest.payload.judge import Bounds
    from ingest.payload.sparkplug_edges import Edge, Known, Store
    from ingest.payload.sparkplug_wire import Metric, Payload
    from lifeline.core.errors import Problem
    from lifeline.core.registry import Registry

NAMESPACE: Final = "spBv1.0"
NODE: Final = frozenset({"NBIRTH", "NDATA", "NDEATH"})
DEVICE: Final = frozenset({"DBIRTH", "DDATA", "DDEATH"})
SILENT: Final = frozenset({"NCMD", "DCMD"})

SIGNED: Final = {1: 8, 2: 16, 3: 32, 4: 64}
UNSIGNED: Final = {5: 8, 6: 16, 7: 32, 8: 64}
REAL: Final = frozenset({9, 10})
TYPES: Final = {1: "Int8", 2: "Int16", 3: "Int32", 4: "Int64", 5: "UInt8", 6: "UInt16", 7: "UInt32", 8: "UInt64"} | {
    9: "Float",
    10: "Double",
    11: "Boolean",
}
"""The data types of numbers; all others (12 String, 13 DateTime, … 34 arrays) are no readings."""


class Sparkplug:
    """A ``families.Remembering``. ``tell`` is told what happened and how often (births, deaths, gaps, …)."""

    def __init__(
        self,
        store: Store | None = None,
        *,
        asks: bool = False,
        replaying: bool = False,
        tell: Callable[[dict[str, int], dict[str, int]], None] | None = None,
    ) -> None:
        """See ``Edges``; ``tell`` gets counts since the last call, and edge nodes by state."""
        self._edges = Edges(store, asks=asks, replaying=replaying)
        self._tell = tell

    def check(self, registry: Registry) -> list[Problem]:  # noqa: ARG002
        """Units come with the births; they are judged there."""
        return []

    def settle(self) -> None:
        """A batch is over: births are kept, counts are told."""
        self._edges.keep()
        if self._tell is not None and self._edges.counts:
            self._tell(dict(self._edges.counts), self._edges.tally())
            self._edges.counts.clear()

    def outgoing(self, now_ms: int) -> list[tuple[str, bytes]]:
        """(topic, payload) of rebirth requests that are due, for QoS 0 without retain."""
        asked = [name.split("/", 1) for name in self._edges.asked(now_ms)]
        return [(f"{NAMESPACE}/{group}/NCMD/{node}", wire.rebirth(now_ms)) for group, node in asked]

    def warning(self) -> str | None:
        """See ``Edges.warning``."""
        return self._edges.warning()

    def parse(self, topic: str, payload: bytes, bounds: Bounds) -> list[Candidate | Fault]:  # noqa: PLR0911
        """One object a metric. Changes what is remembered: call once a message, in their order."""
        levels = topic.split("/")
        if levels[:2] == [NAMESPACE, "STATE"] or levels[0] == "STATE":
            return []
        kind = levels[2] if len(levels) > 3 else ""
        if levels[0] == NAMESPACE and kind in SILENT:
            return []
        if levels[0] != NAMESPACE or len(levels) != (4 if kind in NODE else 5 if kind in DEVICE else 0) or "" in levels:
            return [malformed(f"the topic {quote(topic)} is not {NAMESPACE}/group/NDATA/node or …/DDATA/node/device")]
        device = levels[4] if kind in DEVICE else ""
        if len((device or levels[3]).encode("utf-8", "surrogatepass")) > limits.DEVICE_ID_BYTES_MAX:
            return [malformed(f"the id {quote(device or levels[3])} is longer than {limits.DEVICE_ID_BYTES_MAX} bytes")]
        edge = self._edges.get(f"{levels[1]}/{levels[3]}", bounds.received_at)
        if edge is None:
            return [Fault(Reason.oversized, f"more than {limits.SPARKPLUG_EDGES_MAX} edge nodes on one broker")]
        try:
            sent = wire.read(payload, bounds.objects_max)
        except wire.WireError as error:
            if kind.endswith("BIRTH"):
                self._edges.distrust(edge, f"its {kind} could not be read", bounds.received_at)
            return [malformed(f"no Sparkplug B payload: {error}; send what sparkplug_b.proto says")]
        if sent.seq is not None and sent.seq > 255:
            return [malformed(f"seq is {sent.seq}, not 0 to 255", len(sent.metrics))]
        return self._message(kind, edge, device, sent, bounds)

    def _message(self, kind: str, edge: Edge, device: str, sent: Payload, bounds: Bounds) -> list[Candidate | Fault]:
        now_ms = bounds.received_at
        if kind == "NDEATH":
            self._edges.died(edge, "", _bdseq(sent))
            return []
        if kind == "NBIRTH":
            edge.seq, edge.stamp = sent.seq or 0, sent.timestamp
        else:
            self._edges.follow(edge, sent.seq, sent.timestamp, now_ms)
        if kind == "DDEATH":
            self._edges.died(edge, device, None)
            return []
        if kind.endswith("BIRTH"):
            fault = self._birth(edge, device, sent)
            if fault is not None:
                self._edges.distrust(edge, f"its {kind} was refused", now_ms)
                return [fault]
        metrics = [metric for metric in sent.metrics if not _control(metric.name)]
        if not metrics:
            return [] if sent.metrics or kind.endswith("BIRTH") else [malformed(f"{kind} without metrics")]
        ident = device or edge.name.split("/", 1)[1]
        other = self._edges.holds(edge, ident, now_ms)
        if other is not None:
            detail = f"{quote(ident)} is an id of the edge nodes {quote(other)} and {quote(edge.name)}, which both live"
            return [malformed(f"{detail}: rename one of the two devices", len(metrics))]
        return [
            found
            for metric in metrics
            if (found := self._reading(edge, device, ident, metric, sent, bounds)) is not None
        ]

    def _birth(self, edge: Edge, device: str, sent: Payload) -> Fault | None:
        """Remember a birth certificate; why not, if so."""
        nameless = next((i for i, metric in enumerate(sent.metrics) if not metric.name), None)
        if nameless is not None:
            return malformed(f"metric {nameless} of a birth certificate has no name", len(sent.metrics))
        aliases = [metric.alias for metric in sent.metrics if metric.alias is not None]
        if len(set(aliases)) < len(aliases):
            return malformed("an alias stands twice in one birth certificate", len(sent.metrics))
        if not self._edges.room(edge, device, len(sent.metrics)):
            detail = f"more than {limits.SPARKPLUG_METRICS_MAX} metrics are born on one broker; split the edge nodes"
            return Fault(Reason.oversized, detail, len(sent.metrics))
        if not device:
            edge.bdseq = _bdseq(sent)
        self._edges.born(edge, device, table((m.alias, m.name, m.datatype, m.unit) for m in sent.metrics))
        return None

    def _reading(
        self, edge: Edge, device: str, ident: str, metric: Metric, sent: Payload, bounds: Bounds
    ) -> Candidate | Fault | None:
        """The object of a metric; None for a control metric behind an alias."""
        born = edge.tables.get(device)
        if metric.name:
            known = None if born is None else born.names.get(metric.name)
        else:
            known = None if born is None or metric.alias is None else born.aliases.get(metric.alias)
            if known is None:
                return self._unknown(edge, device, metric, bounds)
            if _control(known.name):
                return None
        if known is not None and metric.datatype and known.datatype and metric.datatype != known.datatype:
            self._edges.distrust(edge, f"{quote(known.name)} has changed its data type", bounds.received_at)
            return malformed(
                f"{quote(known.name)} is of data type {metric.datatype}, but {known.datatype} in its birth certificate;"
                " a rebirth is needed, then the device must keep to it",
                1,
            )
        value = _value(metric, known)
        stamp = metric.timestamp if metric.timestamp is not None else sent.timestamp
        quality = _quality(metric.quality)
        if edge.doubt is not None and not metric.name:
            quality = max(quality, int(Quality.UNCERTAIN))
        return Candidate(
            ident,
            bounds.received_at if stamp is None else stamp,
            [value],
            quality=quality,
            has_time=stamp is not None,
            late=metric.historical,
        )

    def _unknown(self, edge: Edge, device: str, metric: Metric, bounds: Bounds) -> Fault:
        where = f"{edge.name}/{device}" if device else edge.name
        if metric.alias is None:
            return malformed(f"a metric of {quote(where)} with neither name nor alias", 1)
        self._edges.counts["unknown_aliases"] += 1
        self._edges.distrust(edge, f"alias {metric.alias} is in no birth certificate", bounds.received_at)
        detail = f"alias {metric.alias} of {quote(where)} is in no birth certificate that was received"
        return Fault(Reason.unknown_quantity, f"{detail}: let the edge node be born again (Node Control/Rebirth)", 1)


def _control(name: str) -> bool:
    return name == "bdSeq" or name.startswith(("Node Control/", "Device Control/"))


def _bdseq(sent: Payload) -> int | None:
    return next((m.integer for m in sent.metrics if m.name == "bdSeq" and m.kind in (wire.INT, wire.LONG)), None)


def _quality(code: int | None) -> int:
    """Sparkplug has 0, 192 and 500; others are read as OPC's: up to 63 bad, 192 to 255 good."""
    if code is None or 192 <= code <= 255:
        return Quality.GOOD
    return Quality.BAD if code <= 63 else Quality.UNCERTAIN


def _value(metric: Metric, known: Known | None) -> Value:
    """The value of a metric; texts, dates and structures are optional."""
    datatype = metric.datatype or (0 if known is None else known.datatype)
    name, short = (metric.name, None) if known is None else (known.name, known.short)
    unit = metric.unit or (None if known is None else known.unit)
    optional = datatype not in TYPES and (datatype != 0 or metric.kind not in wire.NUMERIC)
    if optional:
        what = "a point in time" if datatype == 13 else wire.OTHER.get(metric.kind, f"of data type {datatype}")
        return Value(name, math.nan, what, optional=True, short=short)
    if metric.null:
        return Value(name, math.nan, None, unit, short=short)
    number = _number(metric, datatype)
    if isinstance(number, str):
        return Value(name, math.nan, number, unit, short=short)
    return Value(name, number, None if math.isfinite(number) else f"{number}", unit, short=short)


def _number(metric: Metric, datatype: int) -> float | str:
    """The number, or what stands there instead."""
    kind = metric.kind
    if kind in (wire.FLOAT, wire.DOUBLE) and (datatype in REAL or datatype == 0):
        return metric.real
    if kind in (wire.INT, wire.LONG) and datatype != 11:
        return _integer(metric.integer, datatype, 32 if kind == wire.INT else 64)
    if kind in (wire.BOOLEAN, wire.INT, wire.LONG) and datatype in (0, 11) and metric.integer <= 1:
        return float(metric.integer)
    what = "a value of another kind" if kind else "no value, though not null,"
    return f"{what} for the data type {TYPES.get(datatype, datatype)}"


def _integer(sent: int, datatype: int, room: int) -> float | str:
    """An integer in an unsigned field of ``room`` bits."""
    if datatype in SIGNED:
        return _signed(sent, SIGNED[datatype], room, TYPES[datatype])
    if datatype in UNSIGNED:
        return float(sent) if sent < 1 << UNSIGNED[datatype] else f"{sent}, beyond {TYPES[datatype]},"
    return f"an integer for the data type {TYPES[datatype]}" if datatype else "an integer without a data type"


def _signed(sent: int, bits: int, room: int, name: str) -> float | str:
    """Two's complement in an unsigned field: cut to its own bits, or extended to the field's."""
    low = sent & ((1 << bits) - 1)
    number = low - (1 << bits) if low >> (bits - 1) else low
    if bits > room:
        return float(sent) if sent < 1 << (room - 1) else f"{sent}, a negative {name} in a field of {room} bits,"
    return float(number) if sent in (low, number & ((1 << room) - 1)) else f"{sent}, beyond {name},"
