"""What is remembered of each Sparkplug edge node: the names behind its aliases, and whether they are certain.

    unknown ──NBIRTH──► certain ──gap in seq, data after a death, start of the engine──► in doubt ──NBIRTH──► certain
                           └──NDEATH of the same bdSeq──► dead ──NBIRTH──► certain

Rules
- An NBIRTH begins anew: its metrics, and no devices until their DBIRTHs.
- In doubt the names last told still count, but what is read by them is of uncertain quality: a birth certificate that
  gave the aliases other names may be among what was missed. A rebirth is asked for, again and again, ever more seldom.
- A message whose seq does not follow and whose time is not later than the last is a repeat: the broker delivers again
  what was not acknowledged. The edge node is rewound to it and no gap is counted: messages may be read twice.
- An NDEATH whose bdSeq is not that of the birth is the will of an older connection and changes nothing.

``Store`` keeps births beyond the process. It is a help, not a promise: what it has lost is in doubt and asked for.
"""

from __future__ import annotations

import json
import logging
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from lifeline.core import limits
from lifeline.core.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable

_LOG = logging.getLogger(__name__)

ASK_MS_MIN: Final = 60_000
ASK_MS_MAX: Final = 3_600_000
"""A rebirth is asked for once a minute, the pause doubled each time up to an hour."""
ASKED_MAX: Final = 1_000
"""Requests that wait to be sent; further ones are dropped and come again with the next message."""
ASKED_AT_ONCE: Final = 20
"""Requests taken out for one second: a thousand edge nodes are not reborn at the same moment."""
OWNER_MS: Final = 600_000
"""An edge node that was silent for so long no longer holds its devices' names."""
VERSION: Final = 1


class Store(Protocol):
    """Keeps one document an edge node."""

    def load(self, edge: str) -> bytes | None:
        """The newest document; None when there is none or it cannot be read."""
        ...

    def save(self, edge: str, document: bytes) -> None:
        """Replace it. Raises UnavailableError."""
        ...


class Known(NamedTuple):
    """A metric of a birth certificate. ``short``: the last part of its name, when no other of its device ends so."""

    name: str
    short: str | None
    datatype: int
    unit: str | None


@dataclass(slots=True)
class Table:
    """The metrics of an edge node itself, or of one of its devices."""

    aliases: dict[int, Known] = field(default_factory=dict)
    names: dict[str, Known] = field(default_factory=dict)


def table(metrics: Iterable[tuple[int | None, str, int, str | None]]) -> Table:
    """A table of (alias, name, datatype, unit)."""
    born = list(metrics)
    parts = Counter(name.rsplit("/", 1)[-1] for _, name, _, _ in born)
    made = Table()
    for alias, name, datatype, unit in born:
        last = name.rsplit("/", 1)[-1]
        known = Known(name, last if last != name and parts[last] == 1 else None, datatype, unit)
        made.names[name] = known
        if alias is not None:
            made.aliases[alias] = known
    return made


@dataclass(slots=True)
class Edge:
    """One edge node, ``group/node``; the table "" is its own, the others are its devices'."""

    name: str
    tables: dict[str, Table] = field(default_factory=dict)
    doubt: str | None = "no birth certificate was received"
    dead: bool = False
    bdseq: int | None = None
    seq: int | None = None
    stamp: int | None = None
    heard_ms: int = 0
    ask_at_ms: int = 0
    wait_ms: int = ASK_MS_MIN

    def known(self) -> int:
        """Metrics that are remembered."""
        return sum(len(one.names) for one in self.tables.values())

    def document(self) -> bytes:
        """What ``Store`` keeps."""
        tables = {}
        for device, one in self.tables.items():
            alias_of = {known.name: alias for alias, known in one.aliases.items()}
            tables[device] = [[alias_of.get(k.name), k.name, k.datatype, k.unit] for k in one.names.values()]
        return json.dumps({"version": VERSION, "edge": self.name, "bdseq": self.bdseq, "tables": tables}).encode()


def remembered(name: str, document: bytes) -> Edge | None:
    """An edge node as it was stored, in doubt; None when the document is none of ours."""
    try:
        found: Any = json.loads(document)
        if found["version"] != VERSION or found["edge"] != name:
            return None
        tables = {device: table(tuple(row) for row in rows) for device, rows in found["tables"].items()}
        return Edge(name, tables, "the engine has started since its birth certificate", bdseq=found["bdseq"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


class Edges:
    """All edge nodes of one broker; used by one thread, ``warning`` by any."""

    def __init__(self, store: Store | None = None, *, asks: bool = False, replaying: bool = False) -> None:
        """``asks``: rebirths may be asked for. ``replaying``: messages come without order, from the rejects."""
        self._store, self._asks, self._replaying = store, asks, replaying
        self._edges: dict[str, Edge] = {}
        self._owners: dict[str, str] = {}
        self._unsaved: dict[str, None] = {}
        self._asked: deque[str] = deque()
        self._taken_at_ms = 0
        self._known = 0
        self.counts: Counter[str] = Counter()
        """What happened, by name; the caller takes out what it has told."""

    def get(self, name: str, now_ms: int) -> Edge | None:
        """The edge node, remembered or new; None when there are too many."""
        edge = self._edges.get(name)
        if edge is None or self._replaying:
            document = None if self._store is None else self._store.load(name)
            edge = (remembered(name, document) if document else None) or edge
        if edge is None:
            if len(self._edges) >= limits.SPARKPLUG_EDGES_MAX:
                return None
            edge = Edge(name)
        if name not in self._edges:
            self._known += edge.known()
        self._edges[name] = edge
        edge.heard_ms = now_ms
        return edge

    def room(self, edge: Edge, device: str, more: int) -> bool:
        """Whether a birth of so many metrics can be remembered."""
        old = edge.known() if not device else len(edge.tables[device].names) if device in edge.tables else 0
        return self._known - old + more <= limits.SPARKPLUG_METRICS_MAX

    def born(self, edge: Edge, device: str, made: Table) -> None:
        """A birth certificate was read."""
        self._known -= edge.known()
        if not device:
            edge.tables.clear()
            edge.doubt, edge.dead, edge.wait_ms = None, False, ASK_MS_MIN
        edge.tables[device] = made
        self._known += edge.known()
        self.counts["births"] += 1
        if not self._replaying:
            self._unsaved[edge.name] = None

    def died(self, edge: Edge, device: str, bdseq: int | None) -> None:
        """A death certificate was read."""
        if device:
            self._owners.pop(device, None)
        elif bdseq is not None and edge.bdseq is not None and bdseq != edge.bdseq:
            self.counts["late_deaths"] += 1
            return
        else:
            edge.dead = True
        self.counts["deaths"] += 1

    def follow(self, edge: Edge, seq: int | None, stamp: int | None, now_ms: int) -> None:
        """A message other than NBIRTH and NDEATH came with this seq and time."""
        if edge.dead:
            edge.dead = False
            self.distrust(edge, "data came after its death certificate", now_ms)
        if seq is not None and edge.seq is not None and seq != (edge.seq + 1) & 255:
            repeat = stamp is not None and edge.stamp is not None and stamp <= edge.stamp
            if not repeat:
                missing = (seq - edge.seq - 1) & 255
                self.counts["gaps"] += 1
                self.counts["missing"] += missing
                self.distrust(edge, f"{missing} messages before seq {seq} are missing", now_ms)
        if seq is not None:
            edge.seq = seq
        edge.stamp = edge.stamp if stamp is None else stamp
        if edge.doubt is not None:
            self.ask(edge, now_ms)

    def distrust(self, edge: Edge, why: str, now_ms: int) -> None:
        """The names behind the aliases are no longer certain."""
        if edge.doubt is None:
            _LOG.warning("sparkplug: %s: %s; its aliases are uncertain until it is born again", edge.name, why)
        edge.doubt = why
        self.ask(edge, now_ms)

    def holds(self, edge: Edge, device: str, now_ms: int) -> str | None:
        """The name of a living edge node that has the same device id; None when it is this one's alone."""
        owner = self._owners.get(device)
        if owner is not None and owner != edge.name and not self._replaying:
            other = self._edges[owner]
            if not other.dead and now_ms - other.heard_ms < OWNER_MS:
                return owner
        self._owners[device] = edge.name
        return None

    def ask(self, edge: Edge, now_ms: int) -> None:
        """Ask for a rebirth, if that is allowed and due."""
        if not self._asks or now_ms < edge.ask_at_ms or len(self._asked) >= ASKED_MAX:
            return
        edge.ask_at_ms = now_ms + edge.wait_ms
        edge.wait_ms = min(2 * edge.wait_ms, ASK_MS_MAX)
        self._asked.append(edge.name)

    def asked(self, now_ms: int) -> list[str]:
        """Edge nodes to be asked now; each is given out once."""
        if not self._asked or abs(now_ms - self._taken_at_ms) < 1_000:
            return []
        self._taken_at_ms = now_ms
        out = [self._asked.popleft() for _ in range(min(ASKED_AT_ONCE, len(self._asked)))]
        self.counts["rebirths_asked"] += len(out)
        return out

    def keep(self) -> None:
        """Store what was born since the last call; a disk that refuses is said and costs nothing but certainty."""
        unsaved, self._unsaved = self._unsaved, {}
        if self._store is None:
            return
        for name in unsaved:
            try:
                self._store.save(name, self._edges[name].document())
            except UnavailableError as error:
                _LOG.warning("sparkplug: the birth certificate of %s is not kept: %s", name, error)

    def tally(self) -> dict[str, int]:
        """Edge nodes by state: certain, doubt, dead."""
        edges = list(self._edges.values())
        dead = sum(edge.dead for edge in edges)
        doubt = sum(edge.doubt is not None and not edge.dead for edge in edges)
        return {"certain": len(edges) - dead - doubt, "doubt": doubt, "dead": dead}

    def warning(self) -> str | None:
        """For the status: which edge nodes are dead or in doubt; None when all is well."""
        edges = list(self._edges.values())
        dead = [edge.name for edge in edges if edge.dead]
        doubt = [f"{edge.name} ({edge.doubt})" for edge in edges if edge.doubt is not None and not edge.dead]
        told = []
        if dead:
            told.append(f"{len(dead)} Sparkplug edge nodes are dead: {_few(dead)}")
        if doubt:
            told.append(
                f"the aliases of {len(doubt)} Sparkplug edge nodes are uncertain until a rebirth: {_few(doubt)}"
            )
        return "; ".join(told) or None


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
