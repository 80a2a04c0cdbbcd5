"""A storm: ten thousand alarms as fast as they come, some of them chattering, while people list and act."""

from __future__ import annotations

import statistics
import threading
import time
from typing import TYPE_CHECKING

from sqlalchemy import create_engine, text

from lifeline.governance.actor import Actor
from lifeline.governance.desk import GovernanceDesk
from lifeline.governance.places import PlaceLookup
from lifeline.governance.queue import GovernanceQueue
from tests.governance.conftest import RULES, T0, cleared, raised, registry

if TYPE_CHECKING:
    from lifeline.core.alarm import AlarmChange

DEVICES = 4_000
CHATTERING = 500
AGAIN = 4
TURN = 250
ALARMS = 2 * DEVICES + AGAIN * CHATTERING


def storm() -> list[AlarmChange]:
    """Each device passes both of its limits; some fall back and rise again, every two seconds."""
    changes = [raised(rule_id, point, T0) for rule_id in ("ch4.high", "ch4.highhigh") for point in range(DEVICES)]
    for number in range(1, AGAIN + 1):
        onset = T0 + number * 2_000
        for point in range(CHATTERING):
            before = raised("ch4.high", point, onset - 2_000 if number > 1 else T0)
            changes += [cleared(before, onset - 1_000), raised("ch4.high", point, onset)]
    return changes


def test_ten_thousand_alarms_fold_into_their_places_while_people_work_q03(queue_url: str) -> None:
    city = registry(DEVICES)
    now = T0 + 20_000
    queue = GovernanceQueue(queue_url, RULES, PlaceLookup(lambda: city), lambda: now)
    desk = GovernanceDesk(queue_url, lambda: now)
    changes = storm()
    opened: list[str] = []
    failed: list[BaseException] = []

    def fold() -> None:
        try:
            for lsn, first in enumerate(range(0, len(changes), TURN), 1):
                opened.extend(queue.apply(changes[first : first + TURN], lsn, now))
        except BaseException as error:  # noqa: BLE001  # told to the test
            failed.append(error)

    folding = threading.Thread(target=fold)
    folding.start()
    listed_s, acted_s = [], []
    chief = Actor("chief", "dispatcher")
    while folding.is_alive():
        began = time.perf_counter()
        found = desk.list_events(level="red", limit=100)
        listed_s.append(time.perf_counter() - began)
        if opened:
            began = time.perf_counter()
            desk.act(opened[-1], "note", chief, "seen")
            acted_s.append(time.perf_counter() - began)
    folding.join()
    assert not failed, failed

    places = {f"V-{point // 4}" if point % 2 == 0 else f"G{point:05d}" for point in range(DEVICES)}
    assert len(opened) == len(set(opened)) == len(places), "one event a place and kind"
    engine = create_engine(queue_url)
    with engine.connect() as connection:
        count = lambda query: connection.execute(text(query)).scalar_one()
        assert count("SELECT count(*) FROM alarms") == ALARMS == 10_000
        assert count("SELECT count(*) FROM alarms WHERE event_id IS NULL") == 0
        assert count("SELECT sum(alarm_count) FROM events") == ALARMS
        assert count("SELECT count(*) FROM alarms WHERE cleared_at IS NOT NULL") == AGAIN * CHATTERING
        assert count("SELECT count(*) FROM event_log WHERE action = 'note'") == len(acted_s)
    engine.dispose()
    assert len(found) > 0
    assert len(listed_s) > 5, "people got their turns"
    print(
        f"{ALARMS} alarms in {len(opened)} events; {len(listed_s)} lists, median {statistics.median(listed_s):.3f} s, "
        f"longest {max(listed_s):.3f} s; {len(acted_s)} acts, longest {max(acted_s, default=0):.3f} s"
    )
    desk.close()
    queue.close()
