"""Requests that are carried out once, however often they are repeated: by actor and key, kept with what they did.

``known`` and ``remember`` belong into the transaction that carries the request out. Opens no transaction.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import orjson
from sqlalchemy import delete, insert, select

from lifeline.governance.errors import ConflictError
from lifeline.governance.schema import idempotency

if TYPE_CHECKING:
    from sqlalchemy import Connection

KEPT_MS: Final = 7 * 86_400_000
"""A day is promised; a program that was down over a weekend finds its key as well."""


def digest_of(*request: Any) -> str:
    """What a request asks for, as 32 hex digits."""
    return blake2b(orjson.dumps(request, default=str, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()


def known(connection: Connection, actor: str, key: str | None, digest: str) -> str | None:
    """The id of what this request has made already, None when it is new.

    Raises:
        ConflictError: the key was used for another request.
    """
    if key is None:
        return None
    of = (idempotency.c.actor == actor) & (idempotency.c.key == key)
    found = connection.execute(select(idempotency).where(of)).mappings().first()
    if found is None:
        return None
    if found["digest"] != digest:
        raise ConflictError(f"the key {key!r} was used for another request")
    return str(found["object_id"])


def remember(connection: Connection, actor: str, key: str | None, digest: str, object_id: str, now_ms: int) -> None:
    """Keep what a request has made (id up to 24 characters)."""
    if key is not None:
        row = {"actor": actor, "key": key, "digest": digest, "object_id": object_id, "at": now_ms}
        connection.execute(insert(idempotency).values(row))


def forget(connection: Connection, now_ms: int) -> None:
    """Keys older than ``KEPT_MS``; what they did stays done, but they may be used again."""
    connection.execute(delete(idempotency).where(idempotency.c.at < now_ms - KEPT_MS))
