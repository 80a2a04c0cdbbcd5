"""What people decide about the queue while it runs: policy, units and the responsibility matrix, each with versions.

    settings.policy, units, duties   what is in force; every door reads it in its own transaction
    regulations                      every version with its text, who, when and why; never changed
    settings.file.NAME               the file that keeps one of them, "" for none

One of them is kept in one place. Where ``[governance]`` names a file, the file does: it is taken over at every start as
a version of its own, and what people want to change here is refused with the file's name. Where it names none, the
database keeps what was last in force, whoever brought it. Opens no transaction.
"""

from __future__ import annotations

import difflib
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Literal

import orjson
from sqlalchemy import func, select

from lifeline.core.errors import ConfigurationError
from lifeline.governance import reference
from lifeline.governance.actor import ENGINE
from lifeline.governance.errors import ConflictError, FieldError, ForbiddenError, IllegalActionError, UnknownIdError
from lifeline.governance.fields import text
from lifeline.governance.journal import Change
from lifeline.governance.policy import read_policy
from lifeline.governance.schema import areas, duties, regulations, units
from lifeline.governance.settings import read_setting, write_setting
from lifeline.governance.statements import insert_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from lifeline.core.errors import Problem
    from lifeline.governance.actor import Actor
    from lifeline.governance.journal import Journal

Row = dict[str, Any]
Door = Literal["api", "shell"]
"""Where people decide."""

NAMES: Final = ("policy", "units", "duties")
KEEPERS: Final = ("admin", "dispatcher")
"""Roles that may change them: the system administrator, and the city's centre."""
ROWS_MAX: Final = 20_000
KEPT_BYTES_MAX: Final = 4 << 20
"""Longer tables come from files and are kept by their digest alone."""
DIFF_CHARS_MAX: Final = 3_000
VERSIONS_MAX: Final = 1000
_TABLES: Final = {"units": units, "duties": duties}


class WrongTextError(FieldError):
    """A policy that cannot be; ``problems`` name every place."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(f"{one.key or one.file}: {one.message}" for one in problems))


def get(connection: Connection, name: str) -> Row:
    """What is in force: ``{name, version, at, actor, source, reason, file, text | rows}``.

    Version 0: nobody has decided anything (the built-in policy, empty tables).

    Raises:
        UnknownIdError: no such name.
    """
    content = _content(connection, name)
    told = {"text": content} if name == "policy" else {"rows": _rows(content)}
    return {"name": name, "file": read_setting(connection, f"file.{name}") or None} | _newest(connection, name) | told


def list_versions(connection: Connection, name: str, before: int | None, limit: int) -> tuple[list[Row], int | None]:
    """Versions, newest first, without their content; ``before`` of the next page, None at the end.

    Raises:
        UnknownIdError, FieldError: no such name; a limit that cannot be.
    """
    _known(name)
    if not 1 <= limit <= VERSIONS_MAX:
        raise FieldError(f"limit must be 1 to {VERSIONS_MAX}, not {limit}")
    query = select(*_ABOUT).where(regulations.c.name == name)
    if before is not None:
        query = query.where(regulations.c.version < before)
    found = connection.execute(query.order_by(regulations.c.version.desc()).limit(limit + 1)).mappings()
    rows = [dict(row) for row in found]
    return rows[:limit], rows[limit - 1]["version"] if len(rows) > limit else None


def get_version(connection: Connection, name: str, version: int) -> Row:
    """One version with its ``text`` or ``rows``; null when it was too long to be kept. Raises UnknownIdError."""
    _known(name)
    query = select(*_ABOUT, regulations.c.content)
    query = query.where(regulations.c.name == name, regulations.c.version == version)
    found = connection.execute(query).mappings().first()
    if found is None:
        raise UnknownIdError(f"there is no version {version} of {name}")
    row = dict(found)
    content = row.pop("content")
    if name == "policy":
        return row | {"text": content}
    return row | {"rows": None if content is None else _rows(content)}


def set_policy(
    connection: Connection,
    given: str,
    reason: str,
    actor: Actor,
    version: int,
    now_ms: int,
    *,
    journal: Journal,
    faults: Sequence[Problem] = (),
    source: Door = "api",
) -> Row:
    """Put a policy (TOML) into force for whatever begins from now on; deadlines that run keep theirs.

    ``faults``: what else is wrong with it, as far as the caller knows. ``source``: the door it came by.

    Raises:
        ForbiddenError, IllegalActionError, ConflictError, WrongTextError: nothing was changed.
    """
    why = _may(connection, "policy", actor, version, reason)
    try:
        read_policy(given, read_setting(connection, "timezone") or "UTC")
    except ConfigurationError as error:
        raise WrongTextError(error.problems) from None
    if faults:
        raise WrongTextError(faults)
    before = _content(connection, "policy")
    write_setting(connection, "policy", given)
    return _decided(connection, "policy", before, given, why, actor, now_ms, journal, source)


def set_rows(
    connection: Connection,
    name: str,
    rows: Sequence[Mapping[str, Any]],
    reason: str,
    actor: Actor,
    version: int,
    now_ms: int,
    *,
    journal: Journal,
    source: Door = "api",
) -> Row:
    """Make these the units or duties, whole; the next proposal goes by them.

    Raises:
        ForbiddenError, IllegalActionError, ConflictError, FieldError: nothing was changed; the
            message names row and column.
    """
    if name not in _TABLES:
        raise UnknownIdError(f"there is no table {name[:40]!r}; there are {', '.join(_TABLES)}")
    why = _may(connection, name, actor, version, reason)
    if len(rows) > ROWS_MAX:
        raise FieldError(f"{name}: more than {ROWS_MAX} rows; bring them by a file")
    before = _content(connection, name)
    reference.replace(connection, name, rows)
    # the file that was last read is not what is in force any longer: named again, it is read again
    write_setting(connection, f"source.{name}", "")
    return _decided(connection, name, before, _content(connection, name), why, actor, now_ms, journal, source)


def taken_from_file(connection: Connection, name: str, file: str, before: str, now_ms: int) -> None:
    """The engine has brought ``name`` from its file, or (``file`` empty) none is named: note who keeps it.

    ``before``: the content as it was (``content_of``); a different one is a version of its own.
    """
    if read_setting(connection, f"file.{name}") != file:
        write_setting(connection, f"file.{name}", file)
    if file and (after := _content(connection, name)) != before:
        _append(connection, name, after, ENGINE, "file", f"{file}", now_ms)


def content_of(connection: Connection, name: str) -> str:
    """The text of a policy, or a table as lines of JSON."""
    return _content(connection, name)


# --- how -----------------------------------------------------------------------------------------------------------

_ABOUT: Final = (*(regulations.c[name] for name in ("version", "at", "actor", "role", "source", "reason", "digest")),)


def _known(name: str) -> None:
    if name not in NAMES:
        raise UnknownIdError(f"there is no {name[:40]!r}; there are {', '.join(NAMES)}")


def _content(connection: Connection, name: str) -> str:
    _known(name)
    if name == "policy":
        return read_setting(connection, "policy") or ""
    table = _TABLES[name]
    order = table.c.entry if name == "duties" else table.c.unit
    columns = [column for column in table.columns if column.name != "entry"]
    found = connection.execute(select(*columns).order_by(order)).mappings()
    return "".join(orjson.dumps({str(key): row[key] for key in row}).decode() + "\n" for row in found)


def _rows(content: str) -> list[Row]:
    return [orjson.loads(line) for line in content.splitlines()]


def _newest(connection: Connection, name: str) -> Row:
    query = select(*_ABOUT).where(regulations.c.name == name).order_by(regulations.c.version.desc()).limit(1)
    found = connection.execute(query).mappings().first()
    if found is not None:
        return dict(found)
    return {"version": 0, "at": None, "actor": None, "role": None, "source": "built-in", "reason": "", "digest": None}


def _may(connection: Connection, name: str, actor: Actor, version: int, reason: str) -> str:
    """The reason, when the actor may and nobody was faster."""
    if actor.role not in KEEPERS:
        raise ForbiddenError(f"changing {name} is for {', '.join(KEEPERS)} of the whole city, not for {actor.role!r}")
    districts = list(connection.scalars(select(areas.c.area_code).where(areas.c.level == "district")))
    for code in districts if actor.areas and districts else [None]:
        actor.check({"area_code": code, "utility": None}, f"{name} is the whole city's, and it")
    file = read_setting(connection, f"file.{name}")
    if file:
        raise IllegalActionError(
            f"{name} is kept in {file}: change it there and start again, or take governance.{name} out of lifeline.toml"
        )
    known = _newest(connection, name)["version"]
    if known != version:
        raise ConflictError(f"{name} is at version {known}, not {version}: look again, then decide")
    try:
        return text(reason, 1000)
    except ValueError as error:
        raise FieldError(f"reason {error}") from None


def _decided(
    connection: Connection,
    name: str,
    before: str,
    after: str,
    reason: str,
    actor: Actor,
    now_ms: int,
    journal: Journal,
    source: Door,
) -> Row:
    version = _append(connection, name, after, actor, source, reason, now_ms)
    fields = {"version": version, "sha256": sha256(after.encode()).hexdigest(), "diff": _difference(before, after)}
    states = f"version {version}", f"version {version - 1}"
    journal.write(connection, [Change(actor, now_ms, "settings", name, "set", *states, reason, fields)])
    return get(connection, name)


def _append(connection: Connection, name: str, content: str, actor: Actor, source: str, why: str, at: int) -> int:
    highest = connection.scalar(select(func.max(regulations.c.version)).where(regulations.c.name == name)) or 0
    row: Row = {"name": name, "version": highest + 1, "at": at, "actor": actor.id, "role": actor.role}
    data = content.encode()
    kept = content if len(data) <= KEPT_BYTES_MAX else None
    row |= {"source": source, "reason": why, "digest": sha256(data).hexdigest(), "content": kept}
    insert_rows(connection, regulations, [row])
    return highest + 1


def _difference(before: str, after: str) -> str:
    """Changed lines for the audit, by their beginning when they are many."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    told = "\n".join(line for line in lines if not line.startswith(("---", "+++", "@@")))
    return told if len(told) <= DIFF_CHARS_MAX else told[:DIFF_CHARS_MAX] + "…"
