"""Secrets: made here, shown once, kept only as digests.

A password is what a person can remember, so its digest is slow (argon2id). Tokens, sessions and invitations carry 256
bits of randomness, so SHA-256 is enough for them (ASVS 5.0, 6.5.2) and a look-up costs microseconds; an argon2 for
every request would be a lever for denial of service. The prefixes let secret scanners find what was leaked.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from functools import cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from lifeline.identity.errors import IdentityError

TOKEN_PREFIX: Final = "lft_"  # noqa: S105 - a prefix, no secret
INVITATION_PREFIX: Final = "llo_"
SECRET_BYTES: Final = 32
PASSWORD_CHARS_MIN: Final = 12
"""ASVS 5.0, 6.2.1 asks for 8 and recommends 15; no rules about kinds of characters (6.2.5)."""
PASSWORD_CHARS_MAX: Final = 256
HASHES_AT_ONCE: Final = 2
"""Each takes 64 MiB and a core for some 50 ms: many logins wait for one another instead of for memory."""

_hasher = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
_turn = threading.BoundedSemaphore(HASHES_AT_ONCE)


@cache
def _dummy() -> str:
    """Checked when there is no such account, so that a wrong name takes as long as a wrong password."""
    return _hasher.hash(secrets.token_hex())


def new_secret(prefix: str = "") -> str:
    """256 random bits as text."""
    return prefix + secrets.token_urlsafe(SECRET_BYTES)


def digest(secret: str) -> str:
    """What is kept of a random secret, 64 hex digits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def csrf_of(session: str) -> str:
    """The token that a page of this session sends with every act: made of the cookie, which scripts cannot read."""
    return hmac.new(session.encode(), b"lifeline csrf", hashlib.sha256).hexdigest()


def same(one: str, other: str) -> bool:
    """Comparison in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())


def hash_password(name: str, password: str) -> str:
    """The argon2id hash of an acceptable password.

    Raises:
        IdentityError: too short, too long, or made of the account's name.
    """
    if not PASSWORD_CHARS_MIN <= len(password) <= PASSWORD_CHARS_MAX:
        raise IdentityError(
            f"密码须为 {PASSWORD_CHARS_MIN} 至 {PASSWORD_CHARS_MAX} 个字符 / "
            f"a password has {PASSWORD_CHARS_MIN} to {PASSWORD_CHARS_MAX} characters"
        )
    if name.lower() in password.lower() or len(set(password)) < 5:
        raise IdentityError(
            "密码不得包含账号名，也不得只重复少数字符 / "
            "a password must not contain the account's name or repeat few letters"
        )
    with _turn:
        return _hasher.hash(password)


def check_password(kept: str | None, password: str) -> bool:
    """Whether ``password`` belongs to the hash; takes the same time when there is none."""
    if len(password) > PASSWORD_CHARS_MAX:
        return False
    with _turn:
        try:
            _hasher.verify(kept or _dummy(), password)
        except (VerificationError, InvalidHashError):
            return False
    return kept is not None
