"""``[[payload]]`` with ``kind = "json"``: a foreign JSON shape described in the configuration.

Rules
- ``rows`` finds the objects; every other path is looked up in the row first and then in the whole message, so that an
  id or a time may stand beside the array as well as inside it.
- A quantity that is missing is not reported; one that is null is a reading without a value.
- Without a ``time`` path, or when nothing (or null) stands there, the receive time counts and the reading is flagged
  ``NO_TIME``. A time that stands there and cannot be read is ``malformed_payload``: it is never replaced in silence.
- Values are converted from the mapping's unit to the registry's; a pair without a conversion is a configuration error.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from ingest.payload import units
from ingest.payload.faults import Fault, quote
from ingest.payload.judge import Candidate, Value
from ingest.payload.native import shown, text_of
from ingest.payload.paths import MISSING, Path
from lifeline.core import limits
from lifeline.core.errors import ConfigurationError, Problem
from lifeline.core.schema import Reason

if TYPE_CHECKING:
    from ingest.payload.judge import Bounds
    from lifeline.core.registry import Registry

KEYS: Final = {"name", "kind", "rows", "device", "time", "values", "seq", "quality"}
FORMATS: Final = "epoch_s, epoch_ms, iso8601 or a strptime pattern"
_TOPIC: Final = re.compile(r"topic\[(\d{1,3})\]")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Time:
    """Where the event time stands and how it is written. ``zone`` is that of texts without an offset."""

    path: Path
    format: str
    zone: tzinfo = UTC

    def read(self, sent: object) -> int:
        """Epoch ms. Raises ValueError when ``sent`` is not such a time."""
        if self.format in ("epoch_s", "epoch_ms"):
            if isinstance(sent, bool) or not isinstance(sent, (int, float)) or not math.isfinite(sent):
                raise ValueError("not a number")
            # an int stays exact; a float of seconds is rounded to the millisecond
            return round(sent * 1000) if self.format == "epoch_s" else round(sent)
        if not isinstance(sent, str):
            raise ValueError("not a text")  # noqa: TRY004  # one error for all wrong times
        read = datetime.fromisoformat if self.format == "iso8601" else partial(_strptime, pattern=self.format)
        moment = read(sent)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=self.zone)
        return (moment - _EPOCH) // _MS


@dataclass(frozen=True, slots=True)
class JsonMapping:
    """A compiled mapping: a ``families.Family``."""

    name: str
    rows: Path
    device: Path | int
    """A path, or the number of a topic level from 0."""
    values: dict[str, tuple[Path, str | None]]
    """Quantity to path and unit."""
    time: Time | None = None
    seq: Path | None = None
    quality: Path | None = None

    def check(self, registry: Registry) -> list[Problem]:
        """Quantities whose unit has no conversion to that of a point of the registry."""
        problems = []
        pairs = registry.select(["quantity", "unit"]).group_by(["quantity", "unit"]).aggregate([]).to_pylist()
        for quantity, (_, unit) in self.values.items():
            targets = {pair["unit"] for pair in pairs if pair["quantity"] == quantity}
            problems += [
                Problem(
                    "lifeline.toml",
                    f"payload.{self.name}.values.{quantity}.unit",
                    f"{unit!r} cannot be converted to {target!r}, the unit of {quantity!r} in the registry",
                    "correct one of the two",
                )
                for target in sorted(t for t in targets if unit is not None and not units.convertible(unit, t))
            ]
        return problems

    def parse(self, topic: str, payload: bytes, bounds: Bounds) -> list[Candidate | Fault]:
        """All rows of a message in order, or the one fault of the message."""
        document = load(payload, bounds)
        if isinstance(document, Fault):
            return [document]
        rows = self.rows.rows(document)
        if rows is None:
            return [_malformed(f"nothing stands at rows {self.rows.text}; correct the mapping {self.name!r}")]
        if not rows:
            return [_malformed(f"an empty array at rows {self.rows.text} carries no reading")]
        if len(rows) > bounds.objects_max:
            detail = f"more than {bounds.objects_max} objects in one pack; send smaller packs"
            return [Fault(Reason.oversized, detail)]
        return [self._candidate(topic, row, document, bounds) for row in rows]

    def _candidate(self, topic: str, row: object, document: object, bounds: Bounds) -> Candidate | Fault:
        def get(path: Path) -> object:
            found = path.get(row)
            return path.get(document) if found is MISSING else found

        values = [
            value_of(q, sent, unit) for q, (path, unit) in self.values.items() if (sent := get(path)) is not MISSING
        ]
        fault = self._shape(values)
        device = self._device(topic, get)
        if isinstance(device, Fault):
            return device
        if fault:
            return fault
        ts, has_time = bounds.received_at, False
        sent = get(self.time.path) if self.time else None
        if self.time and sent is not None and sent is not MISSING:
            try:
                ts, has_time = self.time.read(sent), True
            except (ValueError, OverflowError):
                detail = f"time at {self.time.path.text} is {_written(sent)}, not {self.time.format}"
                return _malformed(f"{detail}; correct the mapping {self.name!r} or the device", len(values))
        seq = get(self.seq) if self.seq else None
        if not (seq is None or seq is MISSING or (type(seq) is int and 0 <= seq <= 0xFFFFFFFF)):
            return _malformed(f"seq is {_written(seq)}, not an integer from 0 to 4294967295", len(values))
        quality = get(self.quality) if self.quality else 0
        quality = 0 if quality is MISSING or quality is None else quality
        if type(quality) is not int or not 0 <= quality <= 2:
            return _malformed(f"quality is {_written(quality)}, not 0, 1 or 2", len(values))
        return Candidate(device, ts, values, seq if type(seq) is int else None, quality, has_time)

    def _shape(self, values: list[Value]) -> Fault | None:
        if values:
            return None
        return _malformed(f"none of the quantities of mapping {self.name!r} is there: {', '.join(self.values)}")

    def _device(self, topic: str, get: Any) -> str | Fault:
        if isinstance(self.device, int):
            levels = topic.split("/")
            device: object = levels[self.device] if self.device < len(levels) else MISSING
            place = f"topic[{self.device}]"
        else:
            device = get(self.device)
            place = self.device.text
        if type(device) is int:
            device = str(device) if device.bit_length() < 128 else MISSING
        if not isinstance(device, str) or not device:
            return _malformed(f"no device id at {place}; correct the mapping {self.name!r} or the device")
        if len(device.encode("utf-8", "surrogatepass")) > limits.DEVICE_ID_BYTES_MAX:
            return _malformed(f"the device id at {place} is longer than {limits.DEVICE_ID_BYTES_MAX} bytes")
        return device


def _strptime(text: str, pattern: str) -> datetime:
    """A time without zone, unless the pattern has %z."""
    return datetime.strptime(text, pattern)  # noqa: DTZ007  # the caller gives the zone


def _malformed(detail: str, values: int = 0) -> Fault:
    return Fault(Reason.malformed_payload, detail, values)


def _is_number(sent: object) -> bool:
    return type(sent) in (int, float)


def _written(sent: object) -> str:
    return quote(repr(sent)) if _is_number(sent) else shown(sent) if sent is not None else "null"


class _RepeatedKeyError(ValueError):
    """A JSON object names a key twice."""


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _RepeatedKeyError
    return found


def _integer(text: str) -> int | float:
    return int(text) if len(text) < 400 else float(text)


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_pairs, parse_int=_integer)


def load(payload: bytes, bounds: Bounds) -> Any | Fault:
    """A foreign payload as Python values, or why not; repeated keys are refused anywhere in it."""
    text = text_of(payload, bounds)
    if isinstance(text, Fault):
        return text
    try:
        return _DECODER.decode(text)
    except _RepeatedKeyError:
        return _malformed("a key stands twice in one object; send each once")
    except json.JSONDecodeError as error:
        return _malformed(f"not JSON at byte {len(text[: error.pos].encode())}: {error.msg}; send JSON")


def value_of(quantity: str, sent: object, unit: str | None) -> Value:
    """One value as sent."""
    if sent is None:
        return Value(quantity, math.nan, None, unit)
    if not _is_number(sent):
        return Value(quantity, math.nan, shown(sent), unit)
    try:
        number = float(sent)  # type: ignore[arg-type]
    except OverflowError:
        number = math.inf
    return Value(quantity, number, None if math.isfinite(number) else "a number beyond a double, or NaN", unit)


# --- from the configuration ------------------------------------------------------------------------------------


def compile_mapping(spec: Mapping[str, Any], file: str = "lifeline.toml") -> JsonMapping:
    """Compile one ``[[payload]]`` table.

    Raises:
        ConfigurationError: everything wrong with it at once, each with its key and a remedy.
    """
    spec = {key: value for key, value in spec.items() if value is not None}  # null is the same as left out
    name = str(spec.get("name") or "?")
    problems: list[Problem] = []

    def problem(key: str, message: str, remedy: str) -> None:
        problems.append(Problem(file, f"payload.{name}.{key}", message, remedy))

    def path(key: str, text: object, *, rows: bool = False) -> Path:
        try:
            if not isinstance(text, str):
                raise ValueError(f"{text!r} is no path")  # noqa: TRY004, TRY301  # told like other wrong paths
            return Path.compile(text, rows=rows)
        except ValueError as error:
            problem(key, str(error), 'a path like "$.a.b[0]"')
            return Path("$", ())

    for key in sorted(set(spec) - KEYS):
        problem(key, "unknown key", f"one of {', '.join(sorted(KEYS))}")
    if name == "?":
        problem("name", "missing", "give the mapping a name")
    if spec.get("kind", "json") != "json":
        problem("kind", f"{spec['kind']!r} is unknown", 'kind = "json"')
    device = spec.get("device")
    level = _TOPIC.fullmatch(device) if isinstance(device, str) else None
    if device is None:
        problem("device", "missing", 'device = "$.id" or "topic[2]"')
        device = "$"
    mapping = JsonMapping(
        name,
        path("rows", spec.get("rows", "$"), rows=True),
        int(level[1]) if level else path("device", device),
        _values(spec.get("values"), path, problem),
        _time(spec.get("time"), path, problem),
        path("seq", spec["seq"]) if "seq" in spec else None,
        path("quality", spec["quality"]) if "quality" in spec else None,
    )
    if problems:
        raise ConfigurationError(problems)
    return mapping


def _values(spec: object, path: Any, problem: Any) -> dict[str, tuple[Path, str | None]]:
    if not isinstance(spec, Mapping) or not spec:
        problem("values", "missing", 'values = { pressure = { path = "$.p", unit = "kPa" } }')
        return {}
    found = {}
    for quantity, written in spec.items():
        where = f"values.{quantity}"
        entry = {"path": written} if isinstance(written, str) else written  # the short form
        if not isinstance(entry, Mapping) or "path" not in entry or set(entry) - {"path", "unit"}:
            problem(where, f"{entry!r} is not understood", '{ path = "$.p", unit = "kPa" }')
            continue
        unit = entry.get("unit")
        if unit is not None and unit not in units.UNITS:
            problem(f"{where}.unit", f"{unit!r} is unknown", f"one of {' '.join(sorted(units.UNITS))}")
        found[quantity] = (path(f"{where}.path", entry["path"]), unit)
    return found


def _time(spec: object, path: Any, problem: Any) -> Time | None:
    if spec is None:
        return None
    if isinstance(spec, Mapping):
        spec = {key: value for key, value in spec.items() if value is not None}
    if not isinstance(spec, Mapping) or not {"path", "format"} <= set(spec) <= {"path", "format", "timezone"}:
        problem("time", f"{spec!r} is not understood", '{ path = "$.t", format = "epoch_s" }')
        return None
    written = spec["format"]
    if not isinstance(written, str) or (written not in ("epoch_s", "epoch_ms", "iso8601") and "%" not in written):
        problem("time.format", f"{written!r} is unknown", FORMATS)
    elif "%" in written:
        try:
            _strptime(datetime(2000, 1, 1, tzinfo=UTC).strftime(written), written)  # only tried
        except (ValueError, re.error) as error:
            problem("time.format", f"{written!r}: {error}", FORMATS)
    zone: tzinfo = UTC
    if "timezone" in spec:
        try:
            zone = ZoneInfo(str(spec["timezone"]))
        except (OSError, ValueError, KeyError):
            problem("time.timezone", f"{spec['timezone']!r} is no time zone", 'a name like "Asia/Shanghai"')
    return Time(path("time.path", spec["path"]), str(written), zone)
