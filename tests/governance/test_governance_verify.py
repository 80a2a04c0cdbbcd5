"""``verify_queue`` counts what is whole and names what is not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine

from lifeline.core.errors import CorruptionError
from lifeline.governance.verify import verify_queue
from tests.governance.conftest import SQLITE_ONLY, T0, raised

if TYPE_CHECKING:
    from tests.governance.conftest import Hands


def test_a_whole_queue_is_counted(hands: Hands) -> None:
    hands.apply(raised("ch4.high", 0, T0), raised("ch4.high", 1, T0))

    assert verify_queue(hands.url).startswith("2 events, 2 alarms, 2 log entries")


def test_an_orphan_is_named(hands: Hands) -> None:
    """Written by somebody who had switched the constraints off."""
    hands.apply(raised("ch4.high", 0, T0))
    engine = create_engine(hands.url)
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET session_replication_role = replica")
        connection.exec_driver_sql("UPDATE alarms SET event_id = 'gone'")
    engine.dispose()

    with pytest.raises(CorruptionError, match=r"alarms.event_id refers to 'gone'"):
        verify_queue(hands.url)


@SQLITE_ONLY
def test_a_damaged_page_is_named(hands: Hands, tmp_path: Path) -> None:
    hands.apply(*(raised("ch4.high", 0, T0 + 1000 * number) for number in range(500)))
    hands.close()
    path = tmp_path / "governance.db"
    page = bytearray(path.read_bytes())
    page[20 * 4096 : 21 * 4096] = b"\xff" * 4096
    path.write_bytes(page)

    with pytest.raises(CorruptionError, match=r"governance\.db"):
        verify_queue(hands.url)
