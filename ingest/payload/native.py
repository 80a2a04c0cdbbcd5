"""The native payload, message by message: the slow path, and the definition of what the kernel must give.

A message whose bytes are not JSON (RFC 8259, UTF-8) is one ``malformed_payload`` and gives no row. The words NaN,
Infinity and -Infinity are let through the grammar, because many encoders write them, and rejected as values
(``not_a_number``). Within good JSON, objects are judged one by one.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Final

import numpy as np

from ingest.payload.faults import Fault, quote
from ingest.payload.judge import Candidate, Value
from ingest.payload.kernels.scan import nesting
from lifeline.core import limits
from lifeline.core.schema import Reason

if TYPE_CHECKING:
    from ingest.payload.judge import Bounds

NESTING_MAX: Final = 32
"""The native payload nests twice; a recursive parser is not asked to follow more than this."""

_BLANKS: Final = " \t\n\r"


class _Integer(str):
    """A JSON number without fraction and exponent, as written."""

    __slots__ = ()


class _Real(str):
    """A JSON number with fraction or exponent, or NaN or an infinity, as written."""

    __slots__ = ()


class _Object(list[tuple[str, object]]):
    """A JSON object as its pairs, so that a repeated key is seen."""


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_Object, parse_int=_Integer, parse_float=_Real, parse_constant=_Real
)


def _malformed(detail: str, start: int = 0, length: int | None = None, values: int = 0) -> Fault:
    return Fault(Reason.malformed_payload, detail, values, start, length)


def oversized(size: int, bounds: Bounds) -> Fault:
    """The fault of a payload of ``size`` bytes, which need not be looked at."""
    return Fault(Reason.oversized, f"payload of {size} bytes, limit {bounds.payload_bytes_max}; send smaller packs")


def text_of(payload: bytes, bounds: Bounds) -> str | Fault:
    """The payload as text that a recursive parser may see, or why not."""
    if len(payload) > bounds.payload_bytes_max:
        return oversized(len(payload), bounds)
    if nesting(np.frombuffer(payload or b" ", np.uint8)) > NESTING_MAX:
        return _malformed(f"JSON nested deeper than {NESTING_MAX} levels; send flat objects")
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError as error:
        return _malformed(f"byte {error.start} is not UTF-8; send UTF-8 JSON")


def parse(payload: bytes, bounds: Bounds) -> list[Candidate | Fault]:
    """All objects of a message in order, or the one fault of the whole message."""
    text = text_of(payload, bounds)
    if isinstance(text, Fault):
        return [text]
    try:
        return _objects(text, bounds.objects_max)
    except json.JSONDecodeError as error:
        place = len(text[: error.pos].encode())
        return [_malformed(f"not JSON at byte {place}: {error.msg}; send an object or an array of objects")]


def _skip(text: str, i: int) -> int:
    while i < len(text) and text[i] in _BLANKS:
        i += 1
    return i


def _objects(text: str, objects_max: int) -> list[Candidate | Fault]:
    """Walk the message. Raises json.JSONDecodeError where it is no JSON."""
    i = _skip(text, 0)
    if not text.startswith("[", i):
        value, end = _DECODER.raw_decode(text, i)
        _end(text, end)
        start = len(text[:i].encode())
        return [_candidate(value, start, len(text[i:end].encode()), "the message")]
    found: list[Candidate | Fault] = []
    i = _skip(text, i + 1)
    if text.startswith("]", i):
        _end(text, i + 1)
        return [_malformed("an empty array carries no reading; send at least one object")]
    place = len(text[:i].encode())
    while True:
        if len(found) == objects_max:
            detail = f"more than {objects_max} objects in one pack; send smaller packs"
            return [Fault(Reason.oversized, detail)]
        value, end = _DECODER.raw_decode(text, i)
        length = len(text[i:end].encode())
        found.append(_candidate(value, place, length, f"element {len(found)} of the array"))
        i = _skip(text, end)
        if text.startswith("]", i):
            _end(text, i + 1)
            return found
        if not text.startswith(",", i):
            raise json.JSONDecodeError("expecting ',' or ']'", text, i)
        after = _skip(text, i + 1)
        place += length + after - end  # what lies between elements is ASCII
        i = after


def _end(text: str, i: int) -> None:
    if _skip(text, i) != len(text):
        raise json.JSONDecodeError("something follows the end", text, _skip(text, i))


def _candidate(value: object, start: int, length: int, what: str) -> Candidate | Fault:  # noqa: PLR0911  # one return a fault
    """Check the shape of one element."""
    if not isinstance(value, _Object):
        return _malformed(f'{what} is no object; send {{"id":…,"ts":…,quantity:value}}', start, length)
    carried = [pair for pair in value if pair[0] not in ("id", "ts", "seq", "q")]

    def wrong(detail: str) -> Fault:
        return _malformed(detail, start, length, len(carried))

    fields = dict(value)
    if len(fields) < len(value):
        seen: set[str] = set()
        again = next(key for key, _ in value if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        return wrong(f"key {quote(again)} stands twice in one object; send each once")
    device = fields.get("id")
    if type(device) is not str or not device:
        return wrong('"id" must be a non-empty string; send the device\'s id')
    if len(device.encode("utf-8", "surrogatepass")) > limits.DEVICE_ID_BYTES_MAX:
        return wrong(f'"id" is longer than {limits.DEVICE_ID_BYTES_MAX} bytes; shorten it')
    ts = fields.get("ts")
    if not isinstance(ts, _Integer):
        return wrong('"ts" must be an integer: milliseconds since 1970 UTC')
    seq = fields.get("seq")
    if "seq" in fields and not (isinstance(seq, _Integer) and 0 <= _int(seq) <= 0xFFFFFFFF):
        return wrong('"seq" must be an integer from 0 to 4294967295, or be left out')
    quality = fields.get("q", _Integer("0"))
    if not (isinstance(quality, _Integer) and 0 <= _int(quality) <= 2):
        return wrong('"q" must be 0 (good), 1 (uncertain) or 2 (bad), or be left out')
    if not carried:
        return wrong("the object carries no quantity; send at least one with a number or null")
    return Candidate(
        device,
        _int(ts),
        [_value(quantity, sent) for quantity, sent in carried],
        _int(seq) if isinstance(seq, _Integer) else None,
        _int(quality),
        start=start,
        length=length,
    )


def _int(text: str) -> int:
    """The integer; beyond 4,000 digits (where Python refuses) some integer beyond every bound."""
    return int(text) if len(text) < 4000 else (-(10**30) if text.startswith("-") else 10**30)


def _value(quantity: str, sent: object) -> Value:
    if sent is None:
        return Value(quantity, math.nan)
    if isinstance(sent, (_Integer, _Real)):
        number = float(sent)
        return Value(quantity, number, None if math.isfinite(number) else quote(sent).strip('"'))
    return Value(quantity, math.nan, shown(sent))


def shown(sent: object) -> str:
    """A JSON value that is no number, for a detail."""
    if isinstance(sent, bool):
        return "true" if sent else "false"
    if isinstance(sent, str):
        return f"the string {quote(sent)}"
    return "an object" if isinstance(sent, (_Object, dict)) else "an array"
