"""Whose alarms they are and which: the load of one console, its busiest sources, and what has stood longest."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from lifeline.app.load import LoadGauge
from lifeline.cli.alarm_load import tell_load
from lifeline.core.metrics import Metrics
from lifeline.core.registry import Registry
from lifeline.governance.places import PlaceLookup
from lifeline.governance.queue import GovernanceQueue
from tests.governance.conftest import RULES, T0, Hands, cleared, raised, registry

HOUR, DAY = 3_600_000, 86_400_000
CODES = ("410105", "R4101050010001", "D4101020010001", "410102001")


def scattered() -> Registry:
    """The small city with a rural grid of 410105 and a dedicated grid of 410102."""
    points = registry().points
    codes = pa.array(CODES, points.schema.field("area_code").type)
    place = points.schema.get_field_index("area_code")
    return Registry(points.set_column(place, points.schema.field("area_code"), codes), registry().areas)


@pytest.fixture
def load(queue_url: str) -> Hands:
    """Four alarms at point 0, two at 1, one at 2; of the last two one stands for two days."""
    hands = Hands(queue_url)
    with_grids = GovernanceQueue(hands.url, RULES, PlaceLookup(scattered), lambda: hands.now)
    alarms = [
        raised("ch4.high", point, T0 + k * HOUR) for point, often in ((0, 4), (1, 2), (2, 1)) for k in range(often)
    ]
    over = [cleared(alarm, alarm.raised_at + HOUR // 2) for alarm in alarms if alarm.point < 2]
    stands = raised("stuck", 3, T0)
    with_grids.apply([*alarms, *over, stands], 1, hands.now)
    with_grids.close()
    return hands


def test_a_console_has_the_alarms_of_its_rural_and_dedicated_grids_too(load: Hands) -> None:
    end = T0 + 2 * DAY
    of_area = {area: sum(load.desk.alarm_load(T0, end, area=area).windows) for area in ("410105", "410102", "410100")}
    assert of_area == {"410105": 6, "410102": 2, "410100": 8}, "the city takes in its districts"
    assert load.desk.alarm_load(T0, end).areas == {"410105": 6, "410102": 2}
    assert load.desk.nuisances(T0, end, area="410105") == []
    load.close()


def test_the_busiest_sources_and_what_has_stood_longest_are_named(load: Hands) -> None:
    told = load.desk.alarm_load(T0, T0 + 2 * DAY)
    assert [(one.device_id, one.alarms) for one in told.top] == [
        ("G00000", 4),
        ("G00001", 2),
        ("G00002", 1),
        ("G00003", 1),
    ]
    assert (told.standing, told.stale) == (2, 2)
    assert [(one.rule_id, one.device_id) for one in told.oldest] == [("ch4.high", "G00002"), ("stuck", "G00003")]
    assert load.desk.alarm_load(T0, T0 + DAY // 2).oldest == ()
    load.close()


def test_what_comes_back_all_day_is_repeating(hands: Hands) -> None:
    """A sensor that reports by the quarter of an hour can never chatter by the minute."""
    quarter = 900_000
    often = [raised("ch4.high", 0, T0 + k * 2 * quarter) for k in range(6)]
    seldom = [raised("ch4.high", 1, T0 + k * DAY // 2) for k in range(6)]
    for alarm in (*often, *seldom):
        hands.apply(alarm, cleared(alarm, alarm.raised_at + quarter))
    (found,) = hands.desk.nuisances(T0, T0 + 7 * DAY)
    assert (found.point, found.kind, found.alarms, found.fleeting) == (0, "repeating", 6, 0)
    assert "one cause" in found.proposal_en


def test_what_is_shown_is_by_the_day_and_the_busiest_district(capsys: pytest.CaptureFixture[str]) -> None:
    """Two days of 300 alarms are 150 a day, and the mean of a city hides that one district has 140 of them."""
    told = {
        "start": T0, "end": T0 + 2 * DAY, "alarms": 300, "areas": {"410105": 280, "410102": 9}, "levels": {"blue": 9},
        "mean_per_window": 1.04, "max_per_window": 9, "flood_share": 0.0, "top_share": 0.04, "standing": 1, "stale": 1,
        "top": [{"rule_id": "stuck", "device_id": "G1", "quantity": "ch4", "alarms": 12}],
        "oldest": [
            {"level": "blue", "rule_id": "stuck", "device_id": "G1", "quantity": "ch4", "alarm_id": "81c0",
             "detected_at": datetime(2026, 7, 28, tzinfo=UTC)},
        ],
        "nuisances": [],
    }  # fmt: skip
    tell_load(told, UTC)
    lines = capsys.readouterr().out.splitlines()
    assert any("alarms a day " in line and " 150 " in line for line in lines)
    assert any("busiest district 410105" in line and " 140 " in line for line in lines)
    assert any("standing longest" in line for line in lines)
    assert any("81c0" in line for line in lines)


def test_metrics_tell_the_split_of_priorities_and_each_console_in_turn(load: Hands) -> None:
    metrics, now = Metrics(), [T0 + 5 * HOUR]
    gauge = LoadGauge(load.desk, metrics, lambda: now[0])
    for _ in range(2):  # districts 410105 and 410102, one a minute
        gauge.keep()
        gauge.keep()  # within the minute: nothing
        now[0] += 60_000

    def told(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(name, labels)

    assert told("lifeline_alarm_load", figure="alarms") == 8
    shares = {told("lifeline_alarm_load", figure=f"share_{level}") for level in ("red", "yellow")}
    assert told("lifeline_alarm_load", figure="share_orange") == 7 / 8
    assert told("lifeline_alarm_load", figure="share_blue") == 1 / 8
    assert shares == {0.0}
    assert told("lifeline_alarm_load_console", area="410105", figure="alarms") == 6
    assert told("lifeline_alarm_load_console", area="410102", figure="standing") == 2
    load.close()
