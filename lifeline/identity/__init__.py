"""Accounts, sessions, tokens and invitations: who somebody is, and what they were granted.

``secret`` makes and digests what only its holder may know, ``schema`` is the tables, ``accounts`` the one door to
them, ``errors`` what it refuses. Rights themselves are values of ``lifeline.core.principal``.
"""

from lifeline.identity.accounts import Accounts
from lifeline.identity.errors import ChangedError, CredentialError, IdentityError, NoSuchError, StateError

__all__ = ["Accounts", "ChangedError", "CredentialError", "IdentityError", "NoSuchError", "StateError"]
