"""Constant queries: the same rows as SQLAlchemy's own way, whatever the number of keys, on both databases."""

from __future__ import annotations

from typing import Final

import pytest
from sqlalchemy import bindparam, select

from lifeline.governance.asking import SIZES, ask, ask_one, ask_rows, fetch
from lifeline.governance.schema import holds
from lifeline.governance.statements import insert_rows
from tests.governance.conftest import Hands

ROWS: Final = 70
_ALL: Final = select(holds)
_SINCE: Final = (
    select(holds)
    .where(holds.c.since >= bindparam("_since"), holds.c.kind.in_(("shelved", "suppressed")))
    .order_by(holds.c.point)
)
_ONCE: Final = select(holds).where(holds.c.once.is_(True))


@pytest.fixture
def held(hands: Hands) -> Hands:
    rows = [
        {
            "rule_id": "r",
            "point": number,
            "kind": "shelved" if number % 2 else "out-of-service",
            "until": None if number % 3 else 5,
            "since": number,
            "actor": "li",
            "reason": "汛期",
            "once": number % 2 == 0,
        }
        for number in range(ROWS)
    ]
    with hands.queue._database.write() as connection:
        insert_rows(connection, holds, rows)
    return hands


@pytest.mark.parametrize("keys", [0, 1, 2, 4, 5, 64, 65, SIZES[-1] + 1])
def test_as_many_keys_as_there_are(held: Hands, keys: int) -> None:
    """Beyond the rows there are, between the sizes of questions, and given twice."""
    wanted = [*range(keys), *range(keys)]
    with held.queue._database.read() as connection:
        found = fetch(connection, _ALL, holds.c.point, wanted)
        naive = connection.execute(_ALL.where(holds.c.point.in_(wanted))).mappings()
        assert sorted(found, key=lambda row: row["point"]) == sorted(map(dict, naive), key=lambda row: row["point"])
        assert len(found) == min(keys, ROWS)
        assert all(row["once"] is (row["point"] % 2 == 0) for row in found)


def test_parameters_lists_and_truth(held: Hands) -> None:
    with held.queue._database.read() as connection:
        for since in (60, 0, 99):
            rows = ask_rows(connection, _SINCE, {"_since": since})
            assert rows == [dict(row) for row in connection.execute(_SINCE, {"_since": since}).mappings()]
            assert [tuple(row) for row in ask(connection, _SINCE, {"_since": since})] == [
                tuple(row.values()) for row in rows
            ]
        assert {row["once"] for row in ask_rows(connection, _ONCE)} == {True}
        assert ask_one(connection, _SINCE, {"_since": 60}) == "r"
        assert ask_one(connection, _SINCE, {"_since": 99}) is None
