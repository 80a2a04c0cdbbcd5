"""Commands to devices: ordered by people, authorised and audited, sent through the outbox, answered by the device.

    queued ──► sent ──► done │ refused            queued, sent ──► expired, when nobody answers in time

A command is only ever a request to look more closely: sample faster, inspect a valve. Nothing here opens or closes
anything. Opens no transaction but in ``Downlink``, which a worker drives.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import orjson
from sqlalchemy import insert, select, update

from lifeline.governance import audit, idempotency, statements
from lifeline.governance.audit import AuditEntry
from lifeline.governance.errors import FieldError, ForbiddenError, IllegalActionError, UnknownIdError
from lifeline.governance.outgoing import outbox
from lifeline.governance.outgoing.topics import COMMANDS, PREFIX, REPLIES, level, parse_reply
from lifeline.governance.schema import commands, sinks
from lifeline.governance.statements import one_of, page

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection

    from lifeline.core.ports import Clock
    from lifeline.core.principal import Grant
    from lifeline.governance.actor import Actor
    from lifeline.governance.database import Database
    from lifeline.governance.outgoing.bus import Bus, BusSettings
    from lifeline.governance.outgoing.outbox import Message

Row = dict[str, Any]

SINK: Final = "downlink"
"""The name that the sink for commands has."""
KIND: Final = "command"
STATUSES: Final = ("queued", "sent", "done", "refused", "expired")
LIFE_MS: Final = 600_000
"""A command that has not been answered within ten minutes is no longer what somebody wants now."""
CONNECT_MS: Final = 5000
REPLY_CHARS_MAX: Final = 4000


@dataclass(frozen=True, slots=True)
class Order:
    """What a command takes: who may give it, and its numbers with their bounds."""

    roles: tuple[str, ...]
    numbers: Mapping[str, tuple[int, int, int]]
    """By name: lowest, highest, default."""


ORDERS: Final[dict[str, Order]] = {
    "sample-faster": Order(
        ("operator", "dispatcher", "admin"), {"interval_s": (1, 3600, 60), "for_s": (60, 86_400, 3600)}
    ),
    "inspect-valve": Order(("dispatcher", "admin"), {}),
}
"""Every command there is."""


def order(
    connection: Connection,
    actor: Actor,
    device_id: str,
    action: str,
    *,
    place: Mapping[str, Any],
    now_ms: int,
    event_id: str | None = None,
    reason: str = "",
    key: str | None = None,
    **numbers: object,
) -> Row:
    """Queue a command in the caller's transaction, with its audit entry and its message; returns its row.

    ``place``: the device's ``utility``, ``area_code``, ``township``, ``district``, as far as known, for the rights.
    ``key``: idempotency key; the same order with it again gives the first one's row and sends nothing.

    Raises:
        ConflictError: the key was used for another order.
        IllegalActionError: no such command, or no way to devices is configured.
        ForbiddenError: the role may not, or the device is outside the actor's areas.
        FieldError: a number out of its bounds.
    """
    known = ORDERS.get(action)
    if known is None:
        raise IllegalActionError(f"there is no command {action!r}; there are {', '.join(ORDERS)}")
    if actor.role not in known.roles:
        raise ForbiddenError(f"{action!r} is for {', '.join(known.roles)}, not for {actor.role!r}")
    actor.check(place, f"device {device_id!r}")
    if connection.scalar(select(sinks.c.name).where(sinks.c.name == SINK, sinks.c.disabled_at.is_(None))) is None:
        raise IllegalActionError('no way to devices is configured: [[sink]] kind = "downlink"')
    given = _numbers(action, known, numbers)
    digest = idempotency.digest_of("command", device_id, action, given, event_id, reason)
    done_before = idempotency.known(connection, actor.id, key, digest)
    if done_before is not None:
        return get_command(connection, done_before)
    text = f"{outbox.end(connection)}\x1f{device_id}\x1f{action}\x1f{now_ms}\x1f{actor.id}"
    row: Row = {
        "command_id": blake2b(text.encode(), digest_size=10).hexdigest(),
        "at": now_ms,
        "actor": actor.id,
        "device_id": device_id,
        "action": action,
        "fields": orjson.dumps(given).decode(),
        "event_id": event_id,
        "expires_at": now_ms + LIFE_MS,
        "status": "queued",
        "sent_at": None,
        "replied_at": None,
        "reply": None,
        "area_code": place.get("area_code"),
        "utility": place.get("utility"),
    }
    connection.execute(insert(commands), [row])
    idempotency.remember(connection, actor.id, key, digest, row["command_id"], now_ms)
    fields = given | {"command_id": row["command_id"], "event_id": event_id}
    done = AuditEntry(
        "data", actor.id, action, f"device/{device_id}", actor.role, actor.address, "done", reason, fields
    )
    audit.append(connection, [done], now_ms)
    data = {"id": row["command_id"], "device": device_id, "action": action, "params": given}
    data |= {"issued_at": now_ms, "expires_at": row["expires_at"]}
    outbox.append(connection, [(now_ms, KIND, row["command_id"], data)])
    return _shown(row)


def _numbers(action: str, known: Order, numbers: Mapping[str, object]) -> dict[str, int]:
    extra = sorted(set(numbers) - set(known.numbers))
    if extra:
        raise FieldError(
            f"{action!r} does not take {', '.join(extra)}; it takes {', '.join(known.numbers) or 'nothing'}"
        )
    found: dict[str, int] = {}
    for name, (low, high, default) in known.numbers.items():
        value = numbers.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise FieldError(f"{name} must be a whole number {low} to {high}, not {value!r}")
        found[name] = value
    return found


class Downlink:
    """Publishes commands and takes replies; ``lifeline.governance.outgoing.worker.Transport``."""

    def __init__(self, settings: BusSettings, database: Database, clock: Clock, prefix: str = PREFIX) -> None:
        from lifeline.governance.outgoing.bus import Bus

        self._database = database
        self._clock = clock
        self._prefix = prefix
        self._tried_ms = 0
        self._bus: Bus = Bus(settings, REPLIES.format(prefix=prefix, device="+", command_id="+"), self.heard)

    def send(self, message: Message) -> None:
        """Publish a command, unless its time is over. Raises DeliveryError, UnavailableError."""
        data, now_ms = message.data, self._clock()
        if now_ms >= data["expires_at"]:
            self._mark(data["id"], "expired", {})
            return
        device = level(data["device"])
        reply_to = REPLIES.format(prefix=self._prefix, device=device, command_id=data["id"])
        properties = {
            "ContentType": "application/json",
            "ResponseTopic": reply_to,
            "CorrelationData": data["id"].encode(),
            "MessageExpiryInterval": max(1, (data["expires_at"] - now_ms) // 1000),
        }
        topic = COMMANDS.format(prefix=self._prefix, device=device)
        self._bus.publish(topic, orjson.dumps(data | {"reply_to": reply_to}), properties=properties)
        self._mark(data["id"], "sent", {"sent_at": now_ms})

    def heard(self, topic: str, payload: bytes) -> None:
        """A reply: taken once, and only from the device that was asked."""
        reply = parse_reply(payload)
        if reply is None:
            return
        with self._database.write() as connection:
            query = select(commands).where(commands.c.command_id == reply["id"])
            row = connection.execute(query).mappings().first()
            if row is None or row["status"] not in {"queued", "sent", "expired"}:
                return
            asked = REPLIES.format(prefix=self._prefix, device=level(row["device_id"]), command_id=reply["id"])
            if topic != asked:
                return
            now_ms = self._clock()
            text = orjson.dumps(reply).decode()[:REPLY_CHARS_MAX]
            values = {"status": reply["status"], "replied_at": now_ms, "reply": text}
            connection.execute(update(commands).where(commands.c.command_id == reply["id"]).values(values))

    def idle(self) -> None:
        """Be there for replies; tried every few seconds. Raises DeliveryError."""
        now_ms = self._clock()
        if abs(now_ms - self._tried_ms) >= CONNECT_MS:
            self._tried_ms = now_ms
            self._bus.connect()

    def close(self) -> None:
        """Disconnect."""
        self._bus.close()

    def _mark(self, command_id: str, status: str, values: Row) -> None:
        with self._database.write() as connection:
            of = commands.c.command_id == command_id, commands.c.status == "queued"
            connection.execute(update(commands).where(*of).values({"status": status} | values))


def list_commands(
    connection: Connection,
    *,
    device: str | None = None,
    event_id: str | None = None,
    status: str | None = None,
    within: Iterable[Grant] | None = None,
    cursor: str | None = None,
    limit: int = 100,
) -> tuple[list[Row], str | None]:
    """A page of commands, newest first, and the cursor of the next; ``within``: grants of whoever looks (None: all).

    Raises:
        FieldError: a filter, limit or cursor that cannot be.
    """
    query = select(commands)
    for column, wanted in ((commands.c.device_id, device), (commands.c.event_id, event_id)):
        if wanted is not None:
            query = query.where(column == wanted)
    if status is not None:
        query = query.where(one_of(commands.c.status, status, STATUSES, "status"))
    if within is not None:
        query = query.where(statements.within(commands.c.area_code, commands.c.utility, within))
    rows, following = page(connection, query, (commands.c.at, commands.c.command_id), cursor, limit)
    return [_shown(row) for row in rows], following


def get_command(connection: Connection, command_id: str) -> Row:
    """One command. Raises UnknownIdError."""
    found = connection.execute(select(commands).where(commands.c.command_id == command_id)).mappings().first()
    if found is None:
        raise UnknownIdError(f"there is no command {command_id[:40]!r}")
    return _shown(dict(found))


def _shown(row: Row) -> Row:
    """With the numbers and the reply as values."""
    reply = None if row["reply"] is None else _json(row["reply"])
    return row | {"fields": orjson.loads(row["fields"]), "reply": reply}


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:  # cut at its longest
        return text
