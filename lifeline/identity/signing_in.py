"""Who asks, and signing in and out: credentials become principals.

Every request looks its credential up again, so disabling an account holds from the next one on.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, NoReturn

import orjson
from sqlalchemy import delete, func, insert, select, update

from lifeline.core.principal import Grant, Principal, narrowed
from lifeline.identity import secret
from lifeline.identity.door import Door
from lifeline.identity.errors import CredentialError
from lifeline.identity.rows import checked_name, find_account, grants_from, of_subject
from lifeline.identity.schema import NAME_CHARS_MAX, accounts, invitations, sessions, tokens

SESSION_MS: Final = 12 * 3_600_000
"""A shift: longest life of a session."""
IDLE_MS: Final = 2 * 3_600_000
"""A session that nobody used for so long is over; an open console page is use."""
SEEN_MS: Final = 60_000
"""How exactly the last use is kept: one durable write a minute, not one a request."""
SESSIONS_MAX: Final = 20
"""Sessions of one account; the oldest ends when another begins."""
NO_SUCH: Final = "账号、密码或令牌无效 / account, password or token is not valid"


class SignedIn(NamedTuple):
    """A new session: ``cookie`` is told to the browser alone and kept nowhere."""

    cookie: str
    principal: Principal


class SigningIn(Door):
    """Principals of tokens and sessions; sessions that begin and end."""

    # --- who asks ----------------------------------------------------------------------------------------------

    def of_token(self, token: str, address: str = "") -> Principal | None:
        """Whose bearer token this is, None when it is unknown, expired, revoked or its account disabled."""
        if not token.startswith(secret.TOKEN_PREFIX):
            return None
        query = select(tokens, accounts.c.grants, accounts.c.grade, accounts.c.disabled_at).join(accounts)
        now = self._clock()
        with self._database.read() as connection:
            row = connection.execute(query.where(tokens.c.digest == secret.digest(token))).mappings().first()
        if row is None or row["revoked_at"] or row["disabled_at"] or row["expires_at"] <= now:
            return None
        if (row["used_at"] or 0) < now - SEEN_MS:
            with self._database.write() as connection:
                connection.execute(update(tokens).where(tokens.c.token_id == row["token_id"]).values(used_at=now))
        limits = orjson.loads(row["narrowed"])
        roles = None if limits["roles"] is None else tuple(limits["roles"])
        held = self._widened(row["account"], narrowed(grants_from(row["grants"]), roles), address)
        grants = narrowed(held, None, tuple(limits["areas"]), tuple(limits["utilities"]))
        return Principal(row["account"], grants, row["grade"], "token", address)

    def of_session(self, cookie: str, address: str = "") -> Principal | None:
        """Whose session this is, None when it is over or its account disabled."""
        now, key = self._clock(), secret.digest(cookie)
        query = select(sessions, accounts.c.grants, accounts.c.grade, accounts.c.disabled_at).join(accounts)
        with self._database.read() as connection:
            row = connection.execute(query.where(sessions.c.digest == key)).mappings().first()
        if row is None or row["disabled_at"] or row["expires_at"] <= now or row["seen_at"] <= now - IDLE_MS:
            return None
        if row["seen_at"] < now - SEEN_MS:
            with self._database.write() as connection:
                connection.execute(update(sessions).where(sessions.c.digest == key).values(seen_at=now))
        grants = self._widened(row["account"], grants_from(row["grants"]), address)
        return Principal(row["account"], grants, row["grade"], "session", address)

    def _widened(self, account: str, grants: tuple[Grant, ...], address: str) -> tuple[Grant, ...]:
        return grants if self._widen is None else (*grants, *self._widen(account, grants, address))

    # --- signing in and out ------------------------------------------------------------------------------------

    def sign_in(self, name: str, password: str, address: str) -> SignedIn:
        """A session for a name and its password; takes as long for a wrong name as for a wrong password.

        Raises:
            CredentialError: not valid, or disabled; both are audited.
        """
        with self._database.read() as connection:
            row = find_account(connection, name)
        right = secret.check_password(row["password"] if row else None, password)
        if row is None or not right or row["disabled_at"]:
            self._refused(name, address)
        return self._begin(row, address, "password")

    def sign_in_subject(self, subject: str, address: str) -> SignedIn:
        """A session for a person whom an identity provider vouches for (``issuer|sub``).

        Raises:
            CredentialError: no account belongs to that person, or it is disabled.
        """
        with self._database.read() as connection:
            row = of_subject(connection, subject)
        if row is None or row["disabled_at"]:
            self._refused(subject, address)
        return self._begin(row, address, "oidc")

    def redeem(self, word: str, address: str, name: str = "", password: str = "") -> SignedIn:
        """Use a one-time word: sign in, choose a password, or (the setup word) make the first account.

        Raises:
            CredentialError: unknown, used or expired.
            IdentityError: it asks for a name or a password that is missing or not acceptable; the word stays good.
        """
        now, key = self._clock(), secret.digest(word)
        with self._database.read() as connection:
            row = connection.execute(select(invitations).where(invitations.c.digest == key)).mappings().first()
        if row is None or row["used_at"] or row["expires_at"] <= now:
            self._refused("", address)
        hashed = None
        if row["kind"] != "sign-in":
            name = row["account"] or checked_name(name)
            hashed = secret.hash_password(name, password)
        with self._database.write() as connection:
            spent = update(invitations).where(invitations.c.digest == key, invitations.c.used_at.is_(None))
            if connection.execute(spent.values(used_at=now)).rowcount != 1:
                raise CredentialError(NO_SUCH)
            if row["kind"] == "setup":
                if connection.scalar(select(func.count()).select_from(accounts)):
                    raise CredentialError(NO_SUCH)
                self._insert(connection, name, name, (Grant("security"), Grant("viewer")), "general", "setup")
            if hashed is not None:
                connection.execute(update(accounts).where(accounts.c.name == name).values(password=hashed))
                self._audit(connection, name, "account.password", name, {"address": address})
        with self._database.read() as connection:
            found = find_account(connection, row["account"] or name)
        if found is None or found["disabled_at"]:
            raise CredentialError(NO_SUCH)
        return self._begin(found, address, row["kind"])

    def kind_of(self, word: str) -> str | None:
        """``setup``, ``password`` or ``sign-in`` for a word that is still good, else None."""
        with self._database.read() as connection:
            found = select(invitations).where(invitations.c.digest == secret.digest(word))
            row = connection.execute(found).mappings().first()
        return None if row is None or row["used_at"] or row["expires_at"] <= self._clock() else str(row["kind"])

    def sign_out(self, cookie: str) -> None:
        """End a session."""
        key = secret.digest(cookie)
        with self._database.write() as connection:
            account = connection.scalar(select(sessions.c.account).where(sessions.c.digest == key))
            if account is not None:
                connection.execute(delete(sessions).where(sessions.c.digest == key))
                self._audit(connection, account, "login.out", account, {})

    def _begin(self, row: dict[str, Any], address: str, how: str) -> SignedIn:
        now, cookie = self._clock(), secret.new_secret()
        with self._database.write() as connection:
            connection.execute(delete(sessions).where(sessions.c.expires_at <= now))
            of = select(sessions.c.digest).where(sessions.c.account == row["name"])
            old = connection.scalars(of.order_by(sessions.c.seen_at.desc()).offset(SESSIONS_MAX - 1)).all()
            connection.execute(delete(sessions).where(sessions.c.digest.in_(old)))
            connection.execute(
                insert(sessions).values(
                    digest=secret.digest(cookie),
                    account=row["name"],
                    created_at=now,
                    seen_at=now,
                    expires_at=now + SESSION_MS,
                    address=address,
                )
            )
            self._audit(connection, row["name"], "login.in", row["name"], {"address": address, "how": how})
        return SignedIn(cookie, Principal(row["name"], grants_from(row["grants"]), row["grade"], "session", address))

    def _refused(self, name: str, address: str) -> NoReturn:
        with self._database.write() as connection:
            shown = name[:NAME_CHARS_MAX] if name.isprintable() else "?"
            self._audit(connection, "anonymous", "login.refused", shown, {"address": address})
        raise CredentialError(NO_SUCH)
