"""Bearer tokens: made once, shown once, narrowed, revoked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
from sqlalchemy import and_, insert, or_, select, update

from lifeline.identity import secret
from lifeline.identity.door import LIST_MAX, Door
from lifeline.identity.errors import IdentityError, NoSuchError
from lifeline.identity.rows import check_utilities, grants_from, shown_token
from lifeline.identity.schema import tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lifeline.identity.door import Once

TOKEN_DAYS_MAX: Final = 366


class Bearer(Door):
    """What is kept of tokens; the secrets themselves are not."""

    def create_token(
        self,
        name: str,
        *,
        actor: str,
        label: str = "",
        days: float = 90.0,
        roles: Sequence[str] | None = None,
        areas: Sequence[str] = (),
        utilities: Sequence[str] = (),
        once: Once | None = None,
    ) -> tuple[str, str]:
        """(token_id, token); the token is told this once. Its rights are the account's, narrowed to what is named.

        When ``once`` knows that this very request has made it already, the token is "": nobody can tell it again.

        Raises:
            IdentityError: no such account, a role that it does not hold, or a life beyond a year.
        """
        if not 0 < days <= TOKEN_DAYS_MAX:
            raise IdentityError(f"a token lives up to {TOKEN_DAYS_MAX} days")
        now, token = self._clock(), secret.new_secret(secret.TOKEN_PREFIX)
        limits = {"roles": None if roles is None else list(roles), "areas": list(areas), "utilities": list(utilities)}
        token_id = secret.digest(token)[:12]
        with self._database.write() as connection:
            known = None if once is None else once.known(connection)
            if known is not None:
                return known, ""
            row = self._enabled(connection, name)
            held = {grant.role for grant in grants_from(row["grants"])}
            missing = [role for role in roles or () if role not in held]
            if missing:
                raise IdentityError(f"{name} does not hold {', '.join(missing)}; it holds {', '.join(sorted(held))}")
            check_utilities(utilities)
            connection.execute(
                insert(tokens).values(
                    token_id=token_id,
                    digest=secret.digest(token),
                    account=row["name"],
                    label=label[:200],
                    narrowed=orjson.dumps(limits).decode(),
                    created_at=now,
                    expires_at=now + int(days * 86_400_000),
                )
            )
            self._audit(connection, actor, "token.create", token_id, {"account": row["name"], "days": days, **limits})
            if once is not None:
                once.remember(connection, token_id)
        return token_id, token

    def revoke_token(self, given: str, *, actor: str) -> str:
        """Revoke a token by its id (or by itself); returns the id.

        Raises:
            IdentityError: there is no such token.
        """
        with self._database.write() as connection:
            found = select(tokens).where(or_(tokens.c.token_id == given, tokens.c.digest == secret.digest(given)))
            row = connection.execute(found).mappings().first()
            if row is None:
                raise NoSuchError("there is no such token; `token list` shows their ids")
            if row["revoked_at"] is None:
                gone = update(tokens).where(tokens.c.token_id == row["token_id"])
                connection.execute(gone.values(revoked_at=self._clock()))
                self._audit(connection, actor, "token.revoke", row["token_id"], {"account": row["account"]})
            return str(row["token_id"])

    def list_tokens(
        self, name: str | None = None, limit: int = LIST_MAX, before: tuple[int, str] | None = None
    ) -> list[dict[str, Any]]:
        """Tokens, newest first, without their secrets; ``before``: (created_at, token_id) of the last one seen."""
        created, key = tokens.c.created_at, tokens.c.token_id
        query = select(tokens).order_by(created.desc(), key.desc()).limit(limit)
        if name is not None:
            query = query.where(tokens.c.account == name.strip().lower())
        if before is not None:
            query = query.where(or_(created < before[0], and_(created == before[0], key < before[1])))
        with self._database.read() as connection:
            return [shown_token(dict(row)) for row in connection.execute(query).mappings()]

    def get_token(self, token_id: str) -> dict[str, Any]:
        """One token by its id, as in ``list_tokens``.

        Raises:
            NoSuchError: there is none.
        """
        with self._database.read() as connection:
            found = connection.execute(select(tokens).where(tokens.c.token_id == token_id)).mappings().first()
        if found is None:
            raise NoSuchError(f"there is no token {token_id!r}")
        return shown_token(dict(found))
