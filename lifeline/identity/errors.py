"""Refusals of the accounts' door. Nothing was changed; the message says what can be done."""

from __future__ import annotations

from lifeline.core.errors import LifelineError


class IdentityError(LifelineError):
    """A request about accounts that cannot be done as asked: unknown or taken name, weak password, wrong role."""


class CredentialError(LifelineError):
    """A password, token or invitation that is not valid. The message never says which part was wrong."""
