"""Tables of accounts, beside the queue's in the same database. Times are epoch milliseconds UTC; no secret is here.

accounts ◄── sessions      a signed-in browser: digest of its cookie
         ◄── tokens        a program's bearer token: its digest, what it was narrowed to
         ◄── invitations   a one-time word that signs in once, or lets a password be chosen
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, ForeignKey, Index, MetaData, String, Table, Text

IDENTITY_VERSION: Final = 1
"""Raised by one with every change of the tables below, together with a migration from the version before."""
VERSION_TABLE: Final = "identity_version"

identity_metadata: Final = MetaData()

NAME_CHARS_MAX: Final = 64

accounts: Final = Table(
    "accounts",
    identity_metadata,
    Column("name", String(NAME_CHARS_MAX), primary_key=True),
    Column("display", Text, nullable=False),
    Column("password", Text),
    Column("subject", Text, unique=True),
    Column("grants", Text, nullable=False),
    Column("grade", String(16), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("disabled_at", BigInteger),
)
"""``password``: argon2id hash, null for people of an identity provider; ``subject``: its issuer and subject;
``grants``: JSON list of {role, areas, utilities}."""

sessions: Final = Table(
    "sessions",
    identity_metadata,
    Column("digest", String(64), primary_key=True),
    Column("account", String(NAME_CHARS_MAX), ForeignKey("accounts.name"), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("address", Text, nullable=False),
)

tokens: Final = Table(
    "tokens",
    identity_metadata,
    Column("token_id", String(12), primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("account", String(NAME_CHARS_MAX), ForeignKey("accounts.name"), nullable=False),
    Column("label", Text, nullable=False),
    Column("narrowed", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Column("used_at", BigInteger),
)

invitations: Final = Table(
    "invitations",
    identity_metadata,
    Column("digest", String(64), primary_key=True),
    Column("account", String(NAME_CHARS_MAX), ForeignKey("accounts.name")),
    Column("kind", String(16), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
)
"""``kind``: ``setup`` (no account yet: makes the first), ``password`` (chooses one), ``sign-in`` (signs in once)."""

Index("sessions_by_account", sessions.c.account)
Index("sessions_by_expiry", sessions.c.expires_at)
Index("tokens_by_account", tokens.c.account)
