"""The oracle of all crash tests: a publisher's ledger outside the victim, and the books that are balanced against it.

    Ledger   what was sent, with a fresh nonce each cycle, and what the victim acknowledged
    Kept     what the victim's disk holds, crash after crash
    Books    lost      acknowledged, and neither stored nor rejected
             phantom   stored, but never sent so
             doubled   stored more than once
             disorder  acknowledged out of the order of arrival [MQTT-4.6.0-2]

Nothing in here imports the engine: a shared error would bless itself. The nonce matters: without it the bytes of an
earlier cycle pass for those of this one, and a writer that never writes looks perfect.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from dataclasses import dataclass, field, fields

Key = tuple[int, int]
"""(point, sequence number): unique in a ledger's life."""

NONCE_SHIFT = 20
"""A value is ``nonce << 20 | counter``: below 2^52, so it comes back exactly as a float64."""


@dataclass(frozen=True, slots=True)
class Message:
    """One publication: what it says, and what it must become."""

    topic: bytes
    payload: bytes
    readings: tuple[tuple[Key, float], ...] = ()
    """What must be stored, once."""
    rejected: bytes | None = None
    """What must lie in the rejects instead."""


@dataclass(frozen=True, slots=True)
class Books:
    """The balance. All four must be zero."""

    sent: int
    acknowledged: int
    stored: int
    rejected: int
    lost: int
    phantom: int
    doubled: int
    disorder: int

    @property
    def clean(self) -> bool:
        return (self.lost, self.phantom, self.doubled, self.disorder) == (0, 0, 0, 0)

    def __add__(self, other: Books) -> Books:
        return Books(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


EMPTY = Books(*[0] * len(fields(Books)))


class Ledger:
    """Makes the messages and remembers what became of them. One thread makes, one acknowledges."""

    quantity = "v"
    registry_row = "v,kPa,gas,crash,10"
    """quantity, unit, utility, kind, interval_s"""

    def __init__(self, seed: int, devices: int = 64, *, bad: float = 0.03, repeats: float = 0.03) -> None:
        self.random = random.Random(seed)
        self.devices = devices
        self.sent: dict[Key, float] = {}
        self.acked: set[Key] = set()
        self.bad_sent: set[bytes] = set()
        self.bad_acked: set[bytes] = set()
        self.disorder = 0
        self.messages_acked = 0
        self._seq = [0] * devices
        self._count = 0
        self._bad, self._repeats = bad, repeats
        self._last: Message | None = None
        self.begin_cycle()

    def begin_cycle(self) -> None:
        """From now on everything sent carries a new nonce."""
        self._nonce = self.random.randrange(1, 1 << 31)

    def next_message(self, now_ms: int) -> Message:
        """Mostly a good one; sometimes a bad one, and sometimes the last good one again, as a device does."""
        dice = self.random.random()
        if dice < self._bad:
            return self._bad_message(now_ms)
        if dice < self._bad + self._repeats and self._last is not None:
            return self._last
        objects, readings = [], []
        for device in self.random.sample(range(self.devices), 3 if self.random.random() < 0.2 else 1):
            self._seq[device] += 1
            self._count += 1
            key, value = (device, self._seq[device]), self._value(device)
            objects.append({"id": f"D{device}", "seq": self._seq[device], "ts": now_ms, self.quantity: value})
            readings.append((key, float(value)))
            self.sent[key] = float(value)
        text = json.dumps(objects[0] if len(objects) == 1 else objects, separators=(",", ":"))
        self._last = Message(
            b"lifeline/gas/gw/G" if len(objects) > 1 else b"lifeline/gas/D", text.encode(), tuple(readings)
        )
        return self._last

    def _value(self, device: int) -> float:
        """The next value of a device; ``device`` matters to subclasses only."""
        del device
        return self._nonce << NONCE_SHIFT | self._count % (1 << NONCE_SHIFT)

    def _bad_message(self, now_ms: int) -> Message:
        self._count += 1
        kind = self._count % 3
        nonce = f"{self._nonce}-{self._count}"
        payload = (
            f'{{"id":"stranger","ts":{now_ms},"v":1,"nonce":"{nonce}"}}'.encode()
            if kind == 0
            else f"{{ no json {nonce}".encode()
            if kind == 1
            else b"\xff\x00" + nonce.encode()
        )
        self.bad_sent.add(payload)
        return Message(b"lifeline/gas/D", payload, rejected=payload)

    def acknowledge(self, message: Message) -> None:
        """The victim said that it has it."""
        self.messages_acked += 1
        self.acked.update(key for key, _ in message.readings)
        if message.rejected is not None:
            self.bad_acked.add(message.rejected)


class AlarmLedger(Ledger):
    """Methane that rises and falls: each device is five readings above the limit, five below, and so on."""

    quantity = "ch4"
    registry_row = "ch4,%LEL,gas,valve-well,10"

    def _value(self, device: int) -> float:
        high = (self._seq[device] // 5 + device) % 2
        return round(55.0 * high + 1 + (self._nonce + self._count) % 997 / 1000, 3)


@dataclass
class Kept:
    """What the victim holds. Records below ``first`` may be trimmed: then what was seen of them counts."""

    _archive: dict[int, list[tuple[Key, float]]] = field(default_factory=dict)
    _rejects: set[bytes] = field(default_factory=set)

    def see(self, first: int, records: Iterable[tuple[int, list[tuple[Key, float]], list[bytes]]]) -> None:
        """The records that are there now, as (lsn, rows, rejects); what was seen from ``first`` on is replaced."""
        self._archive = {lsn: rows for lsn, rows in self._archive.items() if lsn < first}
        for lsn, rows, rejects in records:
            self._archive[lsn] = rows
            self._rejects.update(rejects)

    def balance(self, ledger: Ledger) -> Books:
        """The books as they stand."""
        stored: dict[Key, float] = {}
        doubled = phantom = rows_seen = 0
        for rows in self._archive.values():
            for key, value in rows:
                rows_seen += 1
                doubled += key in stored
                stored[key] = value
                phantom += ledger.sent.get(key) != value
        lost = len(ledger.acked - stored.keys()) + len(ledger.bad_acked - self._rejects)
        return Books(
            sent=len(ledger.sent) + len(ledger.bad_sent),
            acknowledged=len(ledger.acked) + len(ledger.bad_acked),
            stored=rows_seen,
            rejected=len(self._rejects),
            lost=lost,
            phantom=phantom + len(self._rejects - ledger.bad_sent),
            doubled=doubled,
            disorder=ledger.disorder,
        )
