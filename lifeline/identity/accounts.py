"""The one door to accounts, sessions and tokens. Each method is one transaction on the queue's database.

Whatever changes an account is audited in the same transaction (``audit``), so an act that cannot be audited fails.
Disabling an account ends its sessions and tokens with the same commit: every request looks its credential up again.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

import orjson
from sqlalchemy import and_, column, delete, func, insert, inspect, or_, select, table, update

from lifeline.core.errors import ConfigurationError, Problem
from lifeline.core.principal import GRADES, ROLES, SEPARATED, Grant, Principal, narrowed
from lifeline.core.schema import UTILITIES
from lifeline.identity import secret
from lifeline.identity.errors import ChangedError, CredentialError, IdentityError, NoSuchError, StateError
from lifeline.identity.schema import (
    IDENTITY_VERSION,
    NAME_CHARS_MAX,
    VERSION_TABLE,
    accounts,
    invitations,
    sessions,
    tokens,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import Protocol

    from sqlalchemy import Connection

    from lifeline.core.ports import Clock

    class Transactions(Protocol):
        """A governance database."""

        def read(self) -> AbstractContextManager[Connection]:
            """One consistent snapshot."""
            ...

        def write(self) -> AbstractContextManager[Connection]:
            """One durable transaction."""
            ...

    Audit = Callable[[Connection, str, str, str, dict[str, Any]], None]
    """(connection, actor, action, object, details) in the transaction of the change."""
    Widen = Callable[[str, Sequence[Grant], str], Sequence[Grant]]
    """(account, grants, address): what somebody may for a while beyond what was granted."""

    class Once(Protocol):
        """Requests that are carried out once, in the transaction that does."""

        def known(self, connection: Connection) -> str | None:
            """The name or id that this request has made already; raises when its key was used for another one."""
            ...

        def remember(self, connection: Connection, made: str) -> None:
            """Keep what it has made."""
            ...


SESSION_MS: Final = 12 * 3_600_000
"""A shift: longest life of a session."""
IDLE_MS: Final = 2 * 3_600_000
"""A session that nobody used for so long is over; an open console page is use."""
SEEN_MS: Final = 60_000
"""How exactly the last use is kept: one durable write a minute, not one a request."""
INVITATION_MS: Final = 24 * 3_600_000
TOKEN_DAYS_MAX: Final = 366
SESSIONS_MAX: Final = 20
"""Sessions of one account; the oldest ends when another begins."""
LIST_MAX: Final = 1000
NO_SUCH: Final = "账号、密码或令牌无效 / account, password or token is not valid"


class SignedIn(NamedTuple):
    """A new session: ``cookie`` is told to the browser alone and kept nowhere."""

    cookie: str
    principal: Principal


class Accounts:
    """Accounts in the database that ``database`` opens; makes its tables, and brings older ones up to date.

    Args:
        database: ``lifeline.governance.database.Database`` or one like it.
        clock: Epoch milliseconds.
        audit: Writes the audit entry of a change in its transaction.

    Raises:
        ConfigurationError: the tables are a newer program's.
        UnavailableError: the database refuses.
    """

    def __init__(self, database: Transactions, clock: Clock, audit: Audit, widen: Widen | None = None) -> None:
        self._database = database
        self._clock = clock
        self._audit = audit
        self._widen = widen
        with database.read() as connection:
            found = _tables_version(connection)
        if found == IDENTITY_VERSION:
            return
        if found > IDENTITY_VERSION:
            message = f"the accounts' tables are version {found}, this program knows version {IDENTITY_VERSION}"
            raise ConfigurationError([Problem("lifeline.toml", "governance.database", message, "upgrade Lifeline")])
        from lifeline.identity.migrate import upgrade  # Alembic is a third of a second, and seldom needed

        with database.write() as connection:
            upgrade(connection)

    def audited_by(self, audit: Audit) -> Accounts:
        """The same door, for somebody whose acts are audited in another way."""
        other = copy.copy(self)
        other._audit = audit  # noqa: SLF001 - our own copy
        return other

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
        held = self._widened(row["account"], narrowed(_grants(row["grants"]), roles), address)
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
        grants = self._widened(row["account"], _grants(row["grants"]), address)
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
            row = _account(connection, name)
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
            row = _of_subject(connection, subject)
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
            found = _account(connection, row["account"] or name)
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
        return SignedIn(cookie, Principal(row["name"], _grants(row["grants"]), row["grade"], "session", address))

    def _refused(self, name: str, address: str) -> NoReturn:
        with self._database.write() as connection:
            shown = name[:NAME_CHARS_MAX] if name.isprintable() else "?"
            self._audit(connection, "anonymous", "login.refused", shown, {"address": address})
        raise CredentialError(NO_SUCH)

    # --- keeping accounts --------------------------------------------------------------------------------------

    def add(
        self,
        name: str,
        grants: Sequence[Grant],
        *,
        actor: str,
        display: str = "",
        grade: str = "general",
        password: str | None = None,
        subject: str | None = None,
        once: Once | None = None,
    ) -> bool:
        """A new account; False when ``once`` knows that this very request has made it already.

        Raises:
            StateError: the name is taken.
            IdentityError: the name is none, a role or grade does not exist, roles that must be kept
                apart are asked for, or the password is weak.
        """
        name = checked_name(name)
        _check_grants(grants, grade)
        hashed = None if password is None else secret.hash_password(name, password)
        with self._database.write() as connection:
            if once is not None and once.known(connection) is not None:
                return False
            if _account(connection, name) is not None:
                raise StateError(f"there is an account {name!r} already; names are never used again")
            if subject is not None and _of_subject(connection, subject) is not None:
                raise StateError("another account belongs to this person of the identity provider")
            self._insert(connection, name, display or name, tuple(grants), grade, actor, hashed, subject)
            if once is not None:
                once.remember(connection, name)
        return True

    def invite(self, name: str | None, kind: str, *, actor: str, days: float = 1.0) -> str:
        """A one-time word for an account (``password`` or ``sign-in``), or for the first one (``setup``, no name).

        Raises:
            IdentityError: no such account, or it is disabled.
        """
        now, word = self._clock(), secret.new_secret(secret.INVITATION_PREFIX)
        with self._database.write() as connection:
            if name is not None:
                self._enabled(connection, name)
            if kind == "setup":  # the newest word counts, earlier ones may lie in old logs
                connection.execute(delete(invitations).where(invitations.c.kind == "setup"))
            connection.execute(
                insert(invitations).values(
                    digest=secret.digest(word),
                    account=name,
                    kind=kind,
                    created_at=now,
                    expires_at=now + int(days * INVITATION_MS),
                )
            )
            self._audit(connection, actor, "account.invite", name or "setup", {"kind": kind})
        return word

    def set_grants(
        self, name: str, grants: Sequence[Grant], grade: str, *, actor: str, version: str | None = None
    ) -> None:
        """Replace what an account was granted; holds from the next request on.

        ``version``: of the account as it was seen (``get_account``).

        Raises:
            ChangedError: the account is not that version any more.
            IdentityError: no such account, it is the actor's own, or as ``add``.
        """
        if name == actor:
            raise IdentityError("nobody changes their own rights")
        _check_grants(grants, grade)
        with self._database.write() as connection:
            row = self._enabled(connection, name)
            if version is not None and version != _version(row):
                raise ChangedError(f"account {name!r} has changed since; look again, then decide")
            values = {"grants": _json(grants), "grade": grade}
            connection.execute(update(accounts).where(accounts.c.name == name).values(values))
            self._audit(connection, actor, "account.grants", name, _told(grants, grade))

    def disable(self, name: str, *, actor: str) -> None:
        """Close an account: its sessions, tokens and invitations end with this commit.

        Raises:
            IdentityError: no such account, it is closed already, or the actor's own.
        """
        if name == actor:
            raise IdentityError("nobody closes their own account")
        now = self._clock()
        with self._database.write() as connection:
            self._enabled(connection, name)
            connection.execute(update(accounts).where(accounts.c.name == name).values(disabled_at=now))
            connection.execute(delete(sessions).where(sessions.c.account == name))
            connection.execute(delete(invitations).where(invitations.c.account == name))
            live = update(tokens).where(tokens.c.account == name, tokens.c.revoked_at.is_(None))
            connection.execute(live.values(revoked_at=now))
            self._audit(connection, actor, "account.disable", name, {})

    def list_accounts(self, after: str = "", limit: int = LIST_MAX) -> list[dict[str, Any]]:
        """Accounts by name after ``after``, without secrets; ``version`` changes with the rights."""
        query = select(accounts).where(accounts.c.name > after).order_by(accounts.c.name).limit(limit)
        with self._database.read() as connection:
            return [_shown(dict(row)) for row in connection.execute(query).mappings()]

    def get_account(self, name: str) -> dict[str, Any]:
        """One account as in ``list_accounts``.

        Raises:
            NoSuchError: there is none.
        """
        with self._database.read() as connection:
            row = _account(connection, name)
        if row is None:
            raise NoSuchError(f"there is no account {name!r}")
        return _shown(row)

    @property
    def is_empty(self) -> bool:
        """Whether nobody has an account yet."""
        with self._database.read() as connection:
            return not connection.scalar(select(func.count()).select_from(accounts))

    # --- tokens ------------------------------------------------------------------------------------------------

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
            held = {grant.role for grant in _grants(row["grants"])}
            missing = [role for role in roles or () if role not in held]
            if missing:
                raise IdentityError(f"{name} does not hold {', '.join(missing)}; it holds {', '.join(sorted(held))}")
            _check_utilities(utilities)
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
            query = query.where(tokens.c.account == name)
        if before is not None:
            query = query.where(or_(created < before[0], and_(created == before[0], key < before[1])))
        with self._database.read() as connection:
            return [_shown_token(dict(row)) for row in connection.execute(query).mappings()]

    def get_token(self, token_id: str) -> dict[str, Any]:
        """One token by its id, as in ``list_tokens``.

        Raises:
            NoSuchError: there is none.
        """
        with self._database.read() as connection:
            found = connection.execute(select(tokens).where(tokens.c.token_id == token_id)).mappings().first()
        if found is None:
            raise NoSuchError(f"there is no token {token_id!r}")
        return _shown_token(dict(found))

    # --- how ---------------------------------------------------------------------------------------------------

    def _enabled(self, connection: Connection, name: str) -> dict[str, Any]:
        row = _account(connection, name)
        if row is None:
            raise NoSuchError(f"there is no account {name!r}; `user list` shows them")
        if row["disabled_at"]:
            raise StateError(f"account {name!r} is disabled")
        return row

    def _insert(
        self,
        connection: Connection,
        name: str,
        display: str,
        grants: Sequence[Grant],
        grade: str,
        actor: str,
        password: str | None = None,
        subject: str | None = None,
    ) -> None:
        connection.execute(
            insert(accounts).values(
                name=name,
                display=display,
                password=password,
                subject=subject,
                grants=_json(grants),
                grade=grade,
                created_at=self._clock(),
            )
        )
        self._audit(connection, actor, "account.add", name, _told(grants, grade))


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


def _check_grants(grants: Sequence[Grant], grade: str) -> None:
    for grant in grants:
        if grant.role not in ROLES:
            raise IdentityError(f"there is no role {grant.role!r}; there are {', '.join(ROLES)}")
        if not all(area.isalnum() for area in grant.areas):
            raise IdentityError(f"{', '.join(grant.areas)}: an area is a code of letters and digits")
        _check_utilities(grant.utilities)
    if not grants:
        raise IdentityError("an account needs at least one role")
    apart = [role for role in SEPARATED if any(grant.role == role for grant in grants)]
    if len(apart) > 1:
        raise IdentityError(f"系统、安全、审计管理员须由不同人担任 / {' and '.join(apart)} must be different people")
    if grade not in GRADES:
        raise IdentityError(f"there is no data grade {grade!r}; there are {', '.join(GRADES)}")


def _check_utilities(utilities: Sequence[str]) -> None:
    unknown = [name for name in utilities if name not in UTILITIES]
    if unknown:
        raise IdentityError(f"there is no utility {unknown[0]!r}; there are {', '.join(UTILITIES)}")


def _tables_version(connection: Connection) -> int:
    """The version of the tables there are, 0 for none and for those that were made before there were versions."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return 0
    return int(connection.scalar(select(column("version_num")).select_from(table(VERSION_TABLE))) or 0)


def _account(connection: Connection, name: str) -> dict[str, Any] | None:
    row = connection.execute(select(accounts).where(accounts.c.name == name.strip().lower())).mappings().first()
    return None if row is None else dict(row)


def _of_subject(connection: Connection, subject: str) -> dict[str, Any] | None:
    row = connection.execute(select(accounts).where(accounts.c.subject == subject)).mappings().first()
    return None if row is None else dict(row)


def _version(row: Mapping[str, Any]) -> str:
    """Changes with the rights of an account."""
    return secret.digest(f"{row['grants']}\x1f{row['grade']}\x1f{row['disabled_at']}")[:16]


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    version, password = _version(row), row.pop("password")
    return row | {"has_password": password is not None, "grants": orjson.loads(row["grants"]), "version": version}


def _shown_token(row: dict[str, Any]) -> dict[str, Any]:
    limits: dict[str, Any] = orjson.loads(row["narrowed"])
    return {name: value for name, value in row.items() if name not in {"digest", "narrowed"}} | limits


def _grants(text: str) -> tuple[Grant, ...]:
    return tuple(Grant(entry["role"], tuple(entry["areas"]), tuple(entry["utilities"])) for entry in orjson.loads(text))


def _json(grants: Sequence[Grant]) -> str:
    listed = [{"role": g.role, "areas": list(g.areas), "utilities": list(g.utilities)} for g in grants]
    return orjson.dumps(listed).decode()


def _told(grants: Sequence[Grant], grade: str) -> dict[str, Any]:
    return {"grants": orjson.loads(_json(grants)), "grade": grade}
