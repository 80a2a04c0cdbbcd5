"""Keeping accounts: adding, inviting, granting, disabling. Each act is audited in its transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, func, insert, select, update

from lifeline.identity import secret
from lifeline.identity.door import LIST_MAX, Door
from lifeline.identity.errors import ChangedError, IdentityError, NoSuchError, StateError
from lifeline.identity.rows import (
    check_grants,
    checked_name,
    find_account,
    grants_text,
    of_subject,
    shown_account,
    told,
    version_of,
)
from lifeline.identity.schema import accounts, invitations, sessions, tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lifeline.core.principal import Grant
    from lifeline.identity.door import Once

INVITATION_MS: Final = 24 * 3_600_000


class Keeping(Door):
    """What the security administrator does with accounts."""

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
        check_grants(grants, grade)
        hashed = None if password is None else secret.hash_password(name, password)
        with self._database.write() as connection:
            if once is not None and once.known(connection) is not None:
                return False
            if find_account(connection, name) is not None:
                raise StateError(f"there is an account {name!r} already; names are never used again")
            if subject is not None and of_subject(connection, subject) is not None:
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
                name = self._enabled(connection, name)["name"]
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
        with self._database.write() as connection:
            row = self._enabled(connection, name)
            name = row["name"]
            if name == actor:
                raise IdentityError("nobody changes their own rights")
            check_grants(grants, grade)
            if version is not None and version != version_of(row):
                raise ChangedError(f"account {name!r} has changed since; look again, then decide")
            values = {"grants": grants_text(grants), "grade": grade}
            connection.execute(update(accounts).where(accounts.c.name == name).values(values))
            self._audit(connection, actor, "account.grants", name, told(grants, grade))

    def disable(self, name: str, *, actor: str) -> None:
        """Close an account: its sessions, tokens and invitations end with this commit.

        Raises:
            IdentityError: no such account, it is closed already, or the actor's own.
        """
        now = self._clock()
        with self._database.write() as connection:
            name = self._enabled(connection, name)["name"]
            if name == actor:
                raise IdentityError("nobody closes their own account")
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
            return [shown_account(dict(row)) for row in connection.execute(query).mappings()]

    def get_account(self, name: str) -> dict[str, Any]:
        """One account as in ``list_accounts``.

        Raises:
            NoSuchError: there is none.
        """
        with self._database.read() as connection:
            row = find_account(connection, name)
        if row is None:
            raise NoSuchError(f"there is no account {name!r}")
        return shown_account(row)

    @property
    def is_empty(self) -> bool:
        """Whether nobody has an account yet."""
        with self._database.read() as connection:
            return not connection.scalar(select(func.count()).select_from(accounts))
