"""Refusals of the accounts' door. Nothing was changed; the message says what can be done."""

from __future__ import annotations

from lifeline.core.errors import LifelineError


class IdentityError(LifelineError):
    """A request about accounts that cannot be done as asked: unknown or taken name, weak password, wrong role."""


class NoSuchError(IdentityError):
    """There is no such account or token."""


class StateError(IdentityError):
    """Not possible now: the name is taken, the account is disabled, the request was carried out in another form."""


class ChangedError(IdentityError):
    """Somebody else was faster: the account is not as it was seen."""


class CredentialError(LifelineError):
    """A password, token or invitation that is not valid. The message never says which part was wrong."""
