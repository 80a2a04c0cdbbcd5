"""What people and the engine are on record for: the logs of events and alarms against the audit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import func

from lifeline.governance.actor import ENGINE
from lifeline.governance.audit import TEXT_CHARS_MAX
from lifeline.governance.integrity.streams import DamageError, Groups, Row, stream
from lifeline.governance.schema import audit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection


def audited(connection: Connection, subject: str) -> Groups:
    """Acts of people on events or alarms that were carried out, in order."""
    begins = f"{subject}/"
    of = (func.substr(audit.c.object, 1, len(begins)) == begins) & (audit.c.kind == "data") & (audit.c.result == "done")
    rows = stream(connection, audit, audit.c.object, audit.c.entry, where=of)
    return Groups(rows, lambda row: str(row["object"]).removeprefix(begins))


def said(line: Row) -> tuple[Any, ...]:
    """What a line of a log and the audit's entry of the same act both say."""
    before, after = ("from_status", "to_status") if "from_status" in line else ("from_state", "to_state")
    return line["actor"], line["role"], line["action"], line["note"][: TEXT_CHARS_MAX - 1], line[before], line[after]


def check_engine(where: str, lines: Sequence[Row], *, anybody: frozenset[str] = frozenset()) -> None:
    """``anybody``: actions in which another name may stand, unless it is the engine's with one character changed."""
    for line in lines:
        if line["role"] == ENGINE.role and line["actor"] != ENGINE.id:
            if line["action"] in anybody and not _is_one_character_off(line["actor"], ENGINE.id):
                continue
            raise DamageError(
                f"{where}: {ascii(line['actor'])[:60]} is not the {line['role']!r} of entry {line['entry']}"
            )


def _is_one_character_off(one: str, other: str) -> bool:
    return len(one) == len(other) and sum(a != b for a, b in zip(one, other, strict=True)) == 1


def check_acts(where: str, lines: Sequence[tuple[Any, ...]], entries: Sequence[Row]) -> None:
    """The newest of a log's lines (as ``said``) are the audit's entries. Raises DamageError."""
    kept = []
    for entry in entries:
        fields = orjson.loads(entry["fields"])
        note = entry["reason"][: TEXT_CHARS_MAX - 1]
        kept.append((entry["actor"], entry["role"], entry["action"], note, fields.get("from"), fields.get("to")))
    if kept and list(lines[-len(kept) :]) != kept:
        raise DamageError(f"{where}: is not what the audit says that people did")
