"""Accounts of a site for the command line and for the first start. Whoever has a shell here owns the files anyway."""

from __future__ import annotations

import getpass
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from lifeline.app.clock import now_ms
from lifeline.app.http.audit import audit_with
from lifeline.app.site import load_site
from lifeline.core.principal import Grant
from lifeline.governance.database import Database
from lifeline.identity import Accounts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from lifeline.app.site import Site
    from lifeline.core.ports import Clock

DEMO_ACCOUNT: Final = "demo"
DEMO_ROLES: Final = ("viewer", "operator", "dispatcher", "analyst")


def make_accounts(database: Database, widen: Any = None, clock: Clock = now_ms) -> Accounts:
    """The door to the accounts of a database; every change is audited with it.

    ``widen``: what somebody may for a while beyond what was granted (``identity.door.Widen``).
    """
    return Accounts(database, clock, audit_with(clock), widen)


@contextmanager
def accounts_of(site: Site) -> Iterator[Accounts]:
    """The accounts of a site; its database is made when the engine has not run yet."""
    database = Database(site.database_url)
    try:
        yield make_accounts(database)
    finally:
        database.close()


def shell_actor() -> str:
    """Who acts on the command line."""
    return f"shell:{getpass.getuser()}"


def add_user(
    config: Path,
    name: str,
    *,
    roles: Sequence[str],
    areas: Sequence[str],
    utilities: Sequence[str],
    grade: str,
    display: str,
    subject: str | None,
    password: str | None,
) -> dict[str, Any]:
    """A new account: ``{name, roles, one_time, link}``; the one-time word lets its owner choose a password.

    Raises:
        IdentityError: the name is taken, or a role, area, utility or grade is wrong.
    """
    site = load_site(config)
    grants = [Grant(role, tuple(areas), tuple(utilities)) for role in roles]
    with accounts_of(site) as accounts:
        accounts.add(
            name, grants, actor=shell_actor(), display=display, grade=grade, password=password, subject=subject
        )
        word = None
        if password is None and subject is None:
            word = accounts.invite(name, "password", actor=shell_actor())
    return {"name": name, "roles": list(roles), "one_time": word, "link": word and link(site, word)}


def sign_in_link(config: Path, name: str) -> str:
    """A link that signs in once.

    Raises:
        IdentityError: no such account, or it is disabled.
    """
    site = load_site(config)
    with accounts_of(site) as accounts:
        return link(site, accounts.invite(name, "sign-in", actor=shell_actor()))


def list_users(config: Path) -> list[dict[str, Any]]:
    """Accounts by name, without secrets."""
    with accounts_of(load_site(config)) as accounts:
        return accounts.list_accounts()


def disable_user(config: Path, name: str) -> None:
    """Close an account; its sessions and tokens end at once.

    Raises:
        IdentityError: no such account, or it is closed already.
    """
    with accounts_of(load_site(config)) as accounts:
        accounts.disable(name, actor=shell_actor())


def create_token(
    config: Path,
    name: str,
    *,
    label: str,
    days: float,
    roles: Sequence[str] | None,
    areas: Sequence[str],
    utilities: Sequence[str],
) -> dict[str, Any]:
    """``{token_id, token, account, days}``; the token is told this once.

    Raises:
        IdentityError: no such account, a role that it does not hold, or a life beyond a year.
    """
    with accounts_of(load_site(config)) as accounts:
        token_id, token = accounts.create_token(
            name, actor=shell_actor(), label=label, days=days, roles=roles, areas=areas, utilities=utilities
        )
    return {"token_id": token_id, "token": token, "account": name, "days": days}


def list_tokens(config: Path, name: str | None) -> list[dict[str, Any]]:
    """Tokens, newest first, without their secrets."""
    with accounts_of(load_site(config)) as accounts:
        return accounts.list_tokens(name)


def revoke_token(config: Path, token: str) -> str:
    """Revoke a token by its id; returns the id.

    Raises:
        IdentityError: there is no such token.
    """
    with accounts_of(load_site(config)) as accounts:
        return accounts.revoke_token(token, actor=shell_actor())


def first_words(site: Site) -> list[str]:
    """What the first start says: how to make the first account. Nothing once there is one."""
    with accounts_of(site) as accounts:
        if not accounts.is_empty:
            return []
        word = accounts.invite(None, "setup", actor="system")
    return [
        "no accounts yet: open this link once to become the security administrator (valid for 24 h)",
        f"首次启动，请用此一次性链接设置安全管理员: {link(site, word)}",
    ]


def demo_words(site: Site) -> list[str]:
    """An account that may do everything but administer, and a link that signs it in once."""
    with accounts_of(site) as accounts:
        if accounts.is_empty:
            grants = [Grant(role) for role in DEMO_ROLES]
            accounts.add(DEMO_ACCOUNT, grants, actor="system", display="演示 Demo", grade="important")
        word = accounts.invite(DEMO_ACCOUNT, "sign-in", actor="system")
    return [
        f"console: {link(site, word)}",
        f"the link signs in once 此链接只能登录一次; another: lifeline user link {DEMO_ACCOUNT} -c {site.config.path}",
    ]


def link(site: Site, word: str) -> str:
    """The sign-in page with a one-time word in the fragment, which browsers tell no server."""
    return f"{site.config.http.base_url}/login#{word}"
