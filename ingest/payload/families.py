"""What a payload family is to the router, and the loop that judges its messages one by one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ingest.payload import native
from ingest.payload.faults import Fault
from ingest.payload.judge import judge
from ingest.payload.parts import Part, Sheet

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ingest.messages import Messages
    from ingest.payload.index import PointIndex
    from ingest.payload.judge import Bounds, Candidate
    from lifeline.core.errors import Problem
    from lifeline.core.registry import Registry


class Family(Protocol):
    """A foreign payload format. Pure: bytes in, well-formed objects and faults out; never raises for bytes."""

    def parse(self, topic: str, payload: bytes, bounds: Bounds) -> list[Candidate | Fault]:
        """All objects of a message in order, or the one fault of the whole message."""
        ...

    def check(self, registry: Registry) -> list[Problem]:
        """What of the format does not fit the registry (units)."""
        ...


@runtime_checkable
class Remembering(Family, Protocol):
    """A family whose messages hang together: ``parse`` is called once a message, in the order of arrival."""

    def settle(self) -> None:
        """A batch is over."""
        ...


def parse(
    family: Family, messages: Messages, select: Iterable[int], bounds: Bounds
) -> dict[int, list[Candidate | Fault]]:
    """What each of the messages ``select`` is parsed to; one that is too large is left to ``decode``."""
    return {
        message: family.parse(messages.topic(message).decode("utf-8", "replace"), messages.payload(message), bounds)
        for message in select
        if messages.payload_len[message] <= bounds.payload_bytes_max
    }


def decode(
    family: Family,
    messages: Messages,
    select: Iterable[int],
    index: PointIndex,
    bounds: Bounds,
    remedy: str,
    parsed: Mapping[int, list[Candidate | Fault]] | None = None,
) -> Part:
    """Decode the messages ``select`` (ascending); those in ``parsed`` have been parsed already.

    A foreign object has no bytes of its own to show: its reject shows the message. So that one message full of faults
    cannot fill the memory with copies of itself, faults of one reason in a message are one reject, which counts them.
    """
    sheet = Sheet()
    for message in select:
        start = int(messages.payload_start[message])
        size = int(messages.payload_len[message])
        if size > bounds.payload_bytes_max:
            sheet.reject(message, start, size, native.oversized(size, bounds))
            continue
        items = None if parsed is None else parsed.get(message)
        if items is None:
            topic = messages.topic(message).decode("utf-8", "replace")
            items = family.parse(topic, messages.payload(message), bounds)
        seen: dict[int, list[Fault]] = {}
        for item in items:
            verdict = (
                item
                if isinstance(item, Fault)
                else judge(item, index, bounds, remedy, retained=bool(messages.retain[message]))
            )
            if isinstance(verdict, Fault):
                seen.setdefault(verdict.reason, []).append(verdict)
            else:
                sheet.keep(message, start, size, verdict)
        for faults in seen.values():
            more = f" (and {len(faults) - 1} more of this message)" if len(faults) > 1 else ""
            total = sum(fault.values for fault in faults)
            sheet.reject(message, start, size, replace(faults[0], detail=faults[0].detail + more, values=total))
    return sheet.part()
