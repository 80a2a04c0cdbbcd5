"""Accounts for the console: refusals as problems."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from lifeline.console.problem import ProblemError
from lifeline.identity import ChangedError, CredentialError, IdentityError, NoSuchError, StateError
from lifeline.identity.secret import csrf_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lifeline.core.principal import Principal
    from lifeline.identity import Accounts
    from lifeline.identity.signing_in import SignedIn


KINDS_OF: Final[dict[type[IdentityError], str]] = {
    NoSuchError: "not-found",
    StateError: "conflict",
    ChangedError: "changed",
}


@contextmanager
def refusals() -> Iterator[None]:
    """Refusals of the accounts as problems.

    Raises:
        ProblemError: in place of any ``CredentialError`` or ``IdentityError``.
    """
    try:
        yield
    except CredentialError as error:
        raise ProblemError("unauthenticated", str(error)) from error
    except IdentityError as error:
        raise ProblemError(KINDS_OF.get(type(error), "invalid"), str(error)) from error


class HttpAccounts:
    """``lifeline.console.ports.AccountsPort``."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def of_token(self, token: str, address: str = "") -> Principal | None:
        """As ``Accounts.of_token``."""
        return self._accounts.of_token(token, address)

    def of_session(self, cookie: str, address: str = "") -> Principal | None:
        """As ``Accounts.of_session``."""
        return self._accounts.of_session(cookie, address)

    def sign_in(self, name: str, password: str, address: str) -> SignedIn:
        """As ``Accounts.sign_in``."""
        with refusals():
            return self._accounts.sign_in(name, password, address)

    def sign_in_subject(self, subject: str, address: str) -> SignedIn:
        """As ``Accounts.sign_in_subject``."""
        with refusals():
            return self._accounts.sign_in_subject(subject, address)

    def redeem(self, word: str, address: str, name: str = "", password: str = "") -> SignedIn:
        """As ``Accounts.redeem``."""
        with refusals():
            return self._accounts.redeem(word, address, name, password)

    def kind_of(self, word: str) -> str | None:
        """As ``Accounts.kind_of``."""
        return self._accounts.kind_of(word)

    def sign_out(self, cookie: str) -> None:
        """As ``Accounts.sign_out``."""
        self._accounts.sign_out(cookie)

    def csrf_of(self, cookie: str) -> str:
        """As ``identity.secret.csrf_of``."""
        return csrf_of(cookie)
