"""Inner hashes of the audit's tree, so that a proof reads some hundred rows and not every entry."""

from __future__ import annotations

from hashlib import sha256

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_WORDS = "the audit is append-only"
_WIDTH = 256


def upgrade() -> None:
    """The table, the hashes over the entries that there are (read once), and the guards."""
    op.create_table(
        "audit_nodes",
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("level", "number"),
    )
    _fill(op.get_bind())
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_nodes_no_{verb.lower()} BEFORE {verb} ON audit_nodes "
                f"BEGIN SELECT RAISE(ABORT, '{_WORDS}'); END"
            )
        return
    for verb in ("UPDATE", "DELETE", "TRUNCATE"):
        op.execute(
            f"CREATE TRIGGER audit_nodes_no_{verb.lower()} BEFORE {verb} ON audit_nodes "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
        )


def _fill(connection: sa.Connection) -> None:
    nodes = sa.table("audit_nodes", sa.column("level"), sa.column("number"), sa.column("hash"))
    query = sa.text("SELECT leaf FROM audit WHERE entry >= :first AND entry < :end ORDER BY entry")
    level, number = 1, 0
    while len(leaves := list(connection.scalars(query, {"first": number * _WIDTH, "end": (number + 1) * _WIDTH}))) == (
        _WIDTH
    ):
        connection.execute(nodes.insert(), {"level": level, "number": number, "hash": _root(leaves)})
        number += 1
    above = sa.text("SELECT hash FROM audit_nodes WHERE level = :level ORDER BY number")
    while number >= _WIDTH:
        below = list(connection.scalars(above, {"level": level}))
        level, number = level + 1, number // _WIDTH
        rows = [
            {"level": level, "number": one, "hash": _root(below[one * _WIDTH : (one + 1) * _WIDTH])}
            for one in range(number)
        ]
        connection.execute(nodes.insert(), rows)


def _root(hashes: list[str]) -> str:
    """Of a full subtree over these."""
    row = [bytes.fromhex(one) for one in hashes]
    while len(row) > 1:
        row = [sha256(b"\x01" + row[k] + row[k + 1]).digest() for k in range(0, len(row), 2)]
    return row[0].hex()
