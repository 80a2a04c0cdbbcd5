"""Keeping accounts and tokens, for the console: the security administrator's desk.

Every change is audited in its transaction with the person's address; what is refused leaves an entry too. Secrets (a
one-time word, a token) leave in one answer, once: a request that is repeated with its idempotency key is answered
without them.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from lifeline.app.http.accounts import refusals
from lifeline.app.http.audit import audit_with
from lifeline.app.http.refusing import refusals as queue_refusals
from lifeline.console.problem import ProblemError
from lifeline.core.principal import Grant
from lifeline.governance import idempotency
from lifeline.governance.statements import read_cursor
from lifeline.identity.keeping import INVITATION_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection

    from lifeline.app.http.audit import HttpAudit
    from lifeline.console.ports import Page, Row
    from lifeline.core.ports import Clock
    from lifeline.core.principal import Principal
    from lifeline.identity import Accounts

SHOWN: Final = ("name", "display", "grants", "grade", "subject", "has_password", "created_at", "disabled_at", "version")


class HttpAdmin:
    """``lifeline.console.ports.AdminPort`` over the accounts; ``link`` makes an address of a one-time word."""

    def __init__(self, accounts: Accounts, audit: HttpAudit, clock: Clock, link: Callable[[str], str]) -> None:
        self._accounts = accounts
        self._audit = audit
        self._clock = clock
        self._link = link

    # --- accounts ----------------------------------------------------------------------------------------------

    def list_accounts(self, *, cursor: str | None = None, limit: int = 100) -> Page:
        """By name."""
        rows = self._accounts.list_accounts(cursor or "", limit + 1)
        return [_account(row) for row in rows[:limit]], rows[limit - 1]["name"] if len(rows) > limit else None

    def get_account(self, name: str) -> Row:
        """One account."""
        with refusals():
            return _account(self._accounts.get_account(name))

    def add_account(self, who: Principal, fields: Mapping[str, Any], key: str | None) -> Row:
        """A new account with ``one_time`` and ``link``; both null for people of an identity provider."""
        name, subject = fields["name"].strip().lower(), fields.get("subject")
        mine, once = self._mine(who), Once(who.name, key, ("account", fields), self._clock)
        with self._told(who, "account.refused", name), queue_refusals():
            made = mine.add(
                name,
                _grants(fields["grants"]),
                actor=who.name,
                display=fields.get("display", ""),
                grade=fields.get("grade", "general"),
                subject=subject,
                once=once,
            )
            word = mine.invite(name, "password", actor=who.name) if made and subject is None else None
        return self.get_account(name) | self._word(word)

    def set_grants(self, who: Principal, name: str, fields: Mapping[str, Any], version: str | None) -> Row:
        """Replace what an account may."""
        with self._told(who, "account.refused", name):
            grants = _grants(fields["grants"])
            self._mine(who).set_grants(name, grants, fields["grade"], actor=who.name, version=version)
        return self.get_account(name)

    def disable(self, who: Principal, name: str) -> Row:
        """Close an account; one that is closed stays as it is."""
        if self.get_account(name)["disabled_at"] is None:
            with self._told(who, "account.refused", name):
                self._mine(who).disable(name, actor=who.name)
        return self.get_account(name)

    def invite(self, who: Principal, name: str) -> Row:
        """A fresh one-time word with which the account's owner chooses a password."""
        with self._told(who, "account.refused", name):
            return {"name": name} | self._word(self._mine(who).invite(name, "password", actor=who.name))

    def _word(self, word: str | None) -> Row:
        known = word is not None
        expires = self._clock() + INVITATION_MS if known else None
        return {"one_time": word, "link": self._link(word) if word else None, "one_time_expires_at": expires}

    # --- tokens ------------------------------------------------------------------------------------------------

    def list_tokens(self, *, account: str | None = None, cursor: str | None = None, limit: int = 100) -> Page:
        """Newest first."""
        with queue_refusals():
            before = None if cursor is None else read_cursor(cursor)
        rows = self._accounts.list_tokens(account, limit + 1, before)
        last = rows[limit - 1] if len(rows) > limit else None
        return rows[:limit], None if last is None else f"{last['created_at']}-{last['token_id']}"

    def create_token(self, who: Principal, fields: Mapping[str, Any], key: str | None) -> Row:
        """A new token: ``token`` is told in this answer only, null when the request is repeated."""
        account, once = fields["account"].strip().lower(), Once(who.name, key, ("token", fields), self._clock)
        given = {name: fields[name] for name in ("label", "days", "roles", "areas", "utilities") if name in fields}
        with self._told(who, "token.refused", account), queue_refusals():
            token_id, token = self._mine(who).create_token(account, actor=who.name, once=once, **given)
        return self._accounts.get_token(token_id) | {"token": token or None}

    def revoke_token(self, who: Principal, token_id: str) -> Row:
        """Revoke a token by its id; one that is revoked stays so."""
        with self._told(who, "token.refused", token_id):
            self._accounts.get_token(token_id)  # by its id alone: a token in an address would be in every proxy's log
            self._mine(who).revoke_token(token_id, actor=who.name)
        return self._accounts.get_token(token_id)

    # --- how ---------------------------------------------------------------------------------------------------

    def _mine(self, who: Principal) -> Accounts:
        return self._accounts.audited_by(audit_with(self._clock, who))

    @contextmanager
    def _told(self, who: Principal, action: str, subject: str) -> Iterator[None]:
        """Refusals as problems, each in the audit."""
        try:
            with refusals():
                yield
        except ProblemError as problem:
            self._audit.record(who, action, subject[:200], {"purpose": problem.detail})
            problem.recorded = True
            raise


class Once:
    """``lifeline.identity.door.Once`` over the queue's keys."""

    def __init__(self, actor: str, key: str | None, request: Sequence[Any], clock: Clock) -> None:
        self._actor, self._key, self._clock = actor, key, clock
        self._digest = idempotency.digest_of(*request)

    def known(self, connection: Connection) -> str | None:
        """As the protocol; raises ConflictError."""
        return idempotency.known(connection, self._actor, self._key, self._digest)

    def remember(self, connection: Connection, made: str) -> None:
        """As the protocol."""
        idempotency.remember(connection, self._actor, self._key, self._digest, made, self._clock())


def _account(row: Row) -> Row:
    return {name: row[name] for name in SHOWN}


def _grants(given: Sequence[Mapping[str, Any]]) -> list[Grant]:
    return [Grant(one["role"], tuple(one.get("areas", ())), tuple(one.get("utilities", ()))) for one in given]
