"""When a read may wait: at rates that pay for it, and not for ever after one hold-up."""

from __future__ import annotations

import pytest

from ingest.collector import lingers
from lifeline.core.limits import LINGER_ROWS_MAX, LINGER_ROWS_MIN, LINGER_S


def reads(per_s: int, turn_s: float, held_up_s: float) -> list[float]:
    """Seconds between reads of a steady stream, three seconds of it; the third read is held up once."""
    gaps, waits = [], False
    while sum(gaps) < 3:
        gap = max(turn_s, LINGER_S if waits else 0.0) + (held_up_s if len(gaps) == 2 else 0.0)
        waits = lingers(round(per_s * gap), gap)
        gaps.append(gap)
    return gaps


@pytest.mark.parametrize("held_up_s", [0.0, 0.04, 0.2])
def test_the_fleet_one_a_message_is_read_at_once_again_after_a_hold_up(held_up_s: float) -> None:
    assert reads(219_300, 0.01, held_up_s)[-10:] == [0.01] * 10


@pytest.mark.parametrize("held_up_s", [0.0, 0.04, 0.2])
def test_the_fleet_in_packs_is_read_less_often(held_up_s: float) -> None:
    assert reads(624_500, 0.02, held_up_s)[-10:] == [LINGER_S] * 10


def test_few_rows_and_full_sockets_do_not_wait() -> None:
    assert not lingers(LINGER_ROWS_MIN - 1, 0.0001)
    assert not lingers(LINGER_ROWS_MAX + 1, 0.0001)
    assert lingers(LINGER_ROWS_MIN, 0.0001)
