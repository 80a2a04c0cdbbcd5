"""Rows of accounts and tokens: how they are found, checked and shown; and rights as text. Opens no transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import select

from lifeline.core.principal import GRADES, ROLES, SEPARATED, Grant
from lifeline.core.schema import UTILITIES
from lifeline.identity import secret
from lifeline.identity.errors import IdentityError
from lifeline.identity.schema import NAME_CHARS_MAX, accounts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection


def checked_name(name: str) -> str:
    """A name in lower case: letters, digits and ``. _ - @``.

    Raises:
        IdentityError: it is none.
    """
    clean = name.strip().lower()
    if not (0 < len(clean) <= NAME_CHARS_MAX and all(char.isalnum() or char in "._-@" for char in clean)):
        raise IdentityError(f"{name[:80]!r} is no account name: letters, digits and . _ - @, up to {NAME_CHARS_MAX}")
    if clean in {"anonymous", "engine", "system", "setup"}:
        raise IdentityError(f"{clean!r} is reserved")
    return clean


def check_grants(grants: Sequence[Grant], grade: str) -> None:
    """Raises IdentityError for what cannot be granted: unknown names, or roles that must be kept apart."""
    for grant in grants:
        if grant.role not in ROLES:
            raise IdentityError(f"there is no role {grant.role!r}; there are {', '.join(ROLES)}")
        if not all(area.isalnum() for area in grant.areas):
            raise IdentityError(f"{', '.join(grant.areas)}: an area is a code of letters and digits")
        check_utilities(grant.utilities)
    if not grants:
        raise IdentityError("an account needs at least one role")
    apart = [role for role in SEPARATED if any(grant.role == role for grant in grants)]
    if len(apart) > 1:
        raise IdentityError(f"系统、安全、审计管理员须由不同人担任 / {' and '.join(apart)} must be different people")
    if grade not in GRADES:
        raise IdentityError(f"there is no data grade {grade!r}; there are {', '.join(GRADES)}")


def check_utilities(utilities: Sequence[str]) -> None:
    """Raises IdentityError for one that there is not."""
    unknown = [name for name in utilities if name not in UTILITIES]
    if unknown:
        raise IdentityError(f"there is no utility {unknown[0]!r}; there are {', '.join(UTILITIES)}")


def find_account(connection: Connection, name: str) -> dict[str, Any] | None:
    """The account of a name, however it is written, or None."""
    row = connection.execute(select(accounts).where(accounts.c.name == name.strip().lower())).mappings().first()
    return None if row is None else dict(row)


def of_subject(connection: Connection, subject: str) -> dict[str, Any] | None:
    """The account of a person of the identity provider, or None."""
    row = connection.execute(select(accounts).where(accounts.c.subject == subject)).mappings().first()
    return None if row is None else dict(row)


def version_of(row: Mapping[str, Any]) -> str:
    """Changes with the rights of an account."""
    return secret.digest(f"{row['grants']}\x1f{row['grade']}\x1f{row['disabled_at']}")[:16]


def shown_account(row: dict[str, Any]) -> dict[str, Any]:
    """An account without its password."""
    version, password = version_of(row), row.pop("password")
    return row | {"has_password": password is not None, "grants": orjson.loads(row["grants"]), "version": version}


def shown_token(row: dict[str, Any]) -> dict[str, Any]:
    """A token without its digest, its limits as columns."""
    limits: dict[str, Any] = orjson.loads(row["narrowed"])
    return {name: value for name, value in row.items() if name not in {"digest", "narrowed"}} | limits


def grants_from(text: str) -> tuple[Grant, ...]:
    """Grants from their JSON."""
    return tuple(Grant(entry["role"], tuple(entry["areas"]), tuple(entry["utilities"])) for entry in orjson.loads(text))


def grants_text(grants: Sequence[Grant]) -> str:
    """Grants as JSON, for a row."""
    listed = [{"role": g.role, "areas": list(g.areas), "utilities": list(g.utilities)} for g in grants]
    return orjson.dumps(listed).decode()


def told(grants: Sequence[Grant], grade: str) -> dict[str, Any]:
    """What the audit is told of rights."""
    return {"grants": orjson.loads(grants_text(grants)), "grade": grade}
