"""The decoder of a collector: topic to payload family, judgement, repeats, rejects.

The path of a batch::

    messages ─► route by topic filter ─► native: kernel, slow path  ┐
                                      └► a foreign family, in Python ┴► merge ─► register unknown names, once more
                                                                             ─► mark repeats ─► readings + rejects

Decoding is a function of the messages, the registry, the identity window and what a family remembers of earlier
messages (``families.Remembering``, parsed once and in order): grouping the same messages into other batches gives the
same rows and rejects in the same order.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from ingest.payload import families, wide
from ingest.payload.alink import Alink
from ingest.payload.chirpstack import ChirpStack
from ingest.payload.cjt188 import Cjt188
from ingest.payload.families import Remembering
from ingest.payload.faults import DUPLICATE, Fault
from ingest.payload.huawei import Huawei
from ingest.payload.index import Indexes
from ingest.payload.judge import Bounds
from ingest.payload.parts import KEPT, Part, Sheet, merge, rejects
from ingest.payload.registering import Registrar
from ingest.payload.senml import SenML
from ingest.payload.sparkplug import Sparkplug
from ingest.payload.thethingsstack import TheThingsStack
from ingest.payload.topics import TopicMatcher
from lifeline.core import limits
from lifeline.core.batch import IngestBatch
from lifeline.core.errors import ConfigurationError, Problem
from lifeline.core.schema import Flag, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from ingest.messages import Messages
    from ingest.payload.families import Family
    from ingest.payload.index import PointIndex
    from ingest.payload.judge import Candidate
    from lifeline.core.batch import Readings
    from lifeline.core.registry import RegistrySource

NATIVE: Final = "lifeline"
BUILT_IN: Final[dict[str, Callable[[], Family]]] = {
    "senml": SenML,
    "sparkplug": Sparkplug,
    "chirpstack": ChirpStack,
    "thethingsstack": TheThingsStack,
    "huawei": Huawei,
    "alink": Alink,
    "cjt188": Cjt188,
}
"""Foreign families that need no mapping."""


class PayloadDecoder:
    """Implements ``ingest.messages.Decoder``. One thread calls ``decode``; make one decoder a collector.

    Collectors share the registry source, and the identity window, which locks itself.
    """

    def __init__(
        self,
        source: RegistrySource,
        routes: Sequence[tuple[str, str]],
        *,
        mappings: Mapping[str, Family] | None = None,
        mark: Callable[[Readings, NDArray[np.int64]], NDArray[np.bool_]] | None = None,
        unknown: Literal["reject", "register"] = "reject",
        payload_bytes_max: int = limits.PACKET_BYTES_MAX,
        objects_max: int = limits.PACK_OBJECTS_MAX,
        future_ms_max: int = limits.FUTURE_MS_MAX,
        too_old_ms: int = limits.TOO_OLD_MS,
        registered_max: int = limits.REGISTERED_MAX,
    ) -> None:
        """Prepare the routes and the registry's index.

        Args:
            source: who holds the newest registry.
            routes: (topic filter, decoder name) as subscribed, the first that matches counts. Names are ``lifeline``,
                a built-in or a key of ``mappings``. With a single route topics are not looked at.
            mappings: the configured ``[[payload]]`` families.
            mark: ``IdentityWindow.mark`` of the window that all collectors share; None: repeats are not recognised.
            unknown: reject unknown devices and quantities, or add them to the registry.
            payload_bytes_max: larger payloads are ``oversized``.
            objects_max: larger packs are ``oversized``.
            future_ms_max: event times further ahead of the receive time are ``future_timestamp``.
            too_old_ms: event times further back are ``too_old``.
            registered_max: points that ``unknown = "register"`` may add.

        Raises:
            ConfigurationError: every wrong filter, unknown name, and unit that does not fit the registry.
        """
        known = {name: make() for name, make in BUILT_IN.items()} | dict(mappings or {})
        self._families: list[Family | None] = [known.get(name) for _, name in routes]
        self._memories = {i: f for i, f in enumerate(self._families) if isinstance(f, Remembering)}
        problems = _problems(routes, known)
        for family in {id(f): f for f in self._families if f is not None}.values():
            problems += family.check(source.current())
        if problems:
            raise ConfigurationError(problems)
        self._matcher = TopicMatcher([pattern for pattern, _ in routes])
        self._indexes = Indexes(source)
        self._registrar = Registrar(source, registered_max) if unknown == "register" else None
        self._mark = mark
        self._scratch = [wide.Scratch() for _ in routes]
        self._payload_bytes_max = payload_bytes_max
        self._objects_max = objects_max
        self._future_ms_max = future_ms_max
        self._too_old_ms = too_old_ms

    def decode(self, messages: Messages, received_at: int, broker: str) -> IngestBatch:
        """Readings and rejects of all messages, in message order; owns its memory.

        Raises:
            UnavailableError: the registry's ledger could not be written (``unknown = "register"`` only). Nothing was
                decoded or marked: call again with the same messages.
        """
        bounds = Bounds(
            received_at,
            received_at - self._too_old_ms,
            received_at + self._future_ms_max,
            self._payload_bytes_max,
            self._objects_max,
        )
        groups = self._groups(messages)
        parsed = self._remembering(messages, groups, bounds) if self._memories else {}
        part = self._judged(messages, groups, self._indexes.current(), bounds, parsed)
        if self._registrar is not None and self._register(messages, groups, part, bounds, parsed):
            part = self._judged(messages, groups, self._indexes.current(), bounds, parsed)
        readings = part.readings(received_at)
        if self._mark is not None:
            repeated = self._mark(readings, part.row_object)
            if np.count_nonzero(repeated):
                readings.flags[repeated] |= np.uint8(Flag.DUPLICATE)
                part = _with_duplicates(part, np.unique(part.row_object[repeated]))
        return IngestBatch(received_at, readings, rejects(part, messages, received_at, broker))

    def _groups(self, messages: Messages) -> list[tuple[int, NDArray[np.int64]]]:
        """(route, messages) for every route that has any; route -1 for topics that none matches."""
        if len(self._families) == 1:
            return [(0, np.arange(len(messages)))]
        route = self._matcher.first(messages.topic_buffer, messages.topic_start, messages.topic_len)
        return [(int(r), np.flatnonzero(route == r)) for r in np.unique(route)]

    def _remembering(
        self, messages: Messages, groups: list[tuple[int, NDArray[np.int64]]], bounds: Bounds
    ) -> dict[int, list[Candidate | Fault]]:
        """The messages of families that must see each once, parsed; two routes of one family share their order."""
        chosen: dict[int, tuple[Remembering, list[int]]] = {}
        for route, select in groups:
            family = self._memories.get(route)
            if family is not None:
                chosen.setdefault(id(family), (family, []))[1].extend(select.tolist())
        parsed: dict[int, list[Candidate | Fault]] = {}
        for remembering, numbers in chosen.values():
            parsed |= families.parse(remembering, messages, sorted(numbers), bounds)
            remembering.settle()
        return parsed

    def _judged(
        self,
        messages: Messages,
        groups: list[tuple[int, NDArray[np.int64]]],
        index: PointIndex,
        bounds: Bounds,
        parsed: Mapping[int, list[Candidate | Fault]],
    ) -> Part:
        remedy = self._registrar.remedy if self._registrar else REMEDY
        parts = []
        for route, select in groups:
            family = self._families[route] if route >= 0 else None
            if route < 0:
                parts.append(_unrouted(messages, select))
            elif family is None:
                parts.append(wide.decode(messages, select, index, bounds, remedy, self._scratch[route]))
            else:
                parts.append(families.decode(family, messages, select.tolist(), index, bounds, remedy, parsed))
        return merge(parts) if parts else Sheet().part()

    def _register(
        self,
        messages: Messages,
        groups: list[tuple[int, NDArray[np.int64]]],
        part: Part,
        bounds: Bounds,
        parsed: Mapping[int, list[Candidate | Fault]],
    ) -> bool:
        """Add the unknown names of otherwise good objects to the registry; whether there were any."""
        assert self._registrar is not None  # asked by the caller
        unknown = (part.reason == Reason.unknown_device) | (part.reason == Reason.unknown_quantity)
        if not unknown.any():
            return False
        wanted = np.unique(part.message[unknown])
        chosen = {
            int(message): self._families[route]
            for route, select in groups
            for message in np.intersect1d(select, wanted)
        }
        return self._registrar.register(messages, chosen, bounds, parsed)


REMEDY: Final = 'add it to the registry, or set registry.unknown = "register"'


def _problems(routes: Sequence[tuple[str, str]], known: Mapping[str, Family]) -> list[Problem]:
    """What is wrong with the routes themselves."""
    problems = []
    if not routes:
        problems.append(Problem("lifeline.toml", "broker.subscribe", "no subscription", "name at least one filter"))
    for pattern, name in routes:
        try:
            TopicMatcher([pattern])
        except ValueError as error:
            problems.append(Problem("lifeline.toml", "broker.subscribe.filter", str(error), "correct the filter"))
        if name != NATIVE and name not in known:
            names = ", ".join([NATIVE, *sorted(known)])
            problems.append(
                Problem("lifeline.toml", "broker.subscribe.payload", f"no payload named {name!r}", f"one of {names}")
            )
    return problems


def _unrouted(messages: Messages, select: NDArray[np.int64]) -> Part:
    """Messages whose topic no route matches."""
    fault = Fault(Reason.malformed_payload, "no payload is configured for this topic; add a subscription for it")
    sheet = Sheet()
    for message in select.tolist():
        sheet.reject(message, int(messages.payload_start[message]), int(messages.payload_len[message]), fault)
    return sheet.part()


def _with_duplicates(part: Part, objects: NDArray[np.int64]) -> Part:
    """The part with these kept objects listed as rejects of reason ``duplicate`` too; their rows stay."""
    reason = part.reason.copy()
    detail = part.detail.copy()
    assert (reason[objects] == KEPT).all()  # only kept objects have rows
    reason[objects] = Reason.duplicate
    detail[objects] = len(part.details)
    return replace(part, reason=reason, detail=detail, details=[*part.details, DUPLICATE])
