"""When a read may wait: at rates that pay for it, and not for ever after one hold-up."""

from __future__ import annotations

import pytest

from ingest.collector import linger_s
from lifeline.core.limits import LINGER_ROWS_MAX, LINGER_ROWS_MIN, LINGER_S, LINGER_WINDOW, RECEIVE_MAXIMUM

READ_S = 0.35e-6
COMMIT_S = 0.005
"""What a row costs the reader, and the time from the end of a read to its PUBACKs."""
SOCKET = 25_000
"""Messages that a socket's buffers hold."""


def reads(per_s: int, turn_s: float, held_up_s: float) -> list[float]:
    """Seconds between reads of a steady stream, three seconds of it; the third read is held up once."""
    gaps: list[float] = []
    pause_s = 0.0
    while sum(gaps) < 3:
        gap = max(turn_s, pause_s) + (held_up_s if len(gaps) == 2 else 0.0)
        pause_s = linger_s(round(per_s * gap), gap)
        gaps.append(gap)
    return gaps


def per_s_by_window(window: int, readings: int) -> float:
    """Readings a second of a broker that has as much as one takes, and sends while its window has room."""
    now = last = 0.0
    read, waiting, acknowledged = 0, window, [(0.0, 0)]
    while now < 2:
        while acknowledged and acknowledged[0][0] <= now:
            waiting += acknowledged.pop(0)[1]
        taken = min(waiting, SOCKET)
        waiting -= taken
        rows = taken * readings
        done = now + rows * READ_S
        acknowledged.append((done + COMMIT_S, taken))
        pause_s, last = linger_s(rows, now - last, taken, window), now
        read += rows
        now = max(done, now + pause_s, 0.0 if taken else acknowledged[0][0])
    return read / now


@pytest.mark.parametrize("held_up_s", [0.0, 0.04, 0.2])
def test_the_fleet_one_a_message_is_read_at_once_again_after_a_hold_up(held_up_s: float) -> None:
    assert reads(219_300, 0.01, held_up_s)[-10:] == [0.01] * 10


@pytest.mark.parametrize("held_up_s", [0.0, 0.04, 0.2])
def test_the_fleet_in_packs_is_read_less_often(held_up_s: float) -> None:
    assert reads(624_500, 0.02, held_up_s)[-10:] == [LINGER_S] * 10


@pytest.mark.parametrize("readings", [1, 100])
def test_a_broker_does_not_wait_for_a_reader_that_waits(readings: int) -> None:
    """The reader is busy nine tenths of the time, as if it never waited."""
    assert per_s_by_window(RECEIVE_MAXIMUM, readings) > 0.9 / READ_S


def test_the_pause_keeps_reads_together_at_qos_1_too() -> None:
    assert linger_s(20_000, 0.04, 20_000, RECEIVE_MAXIMUM) == pytest.approx(RECEIVE_MAXIMUM * LINGER_WINDOW / 500_000)


def test_few_rows_and_full_sockets_do_not_wait() -> None:
    assert linger_s(LINGER_ROWS_MIN - 1, 0.0001) == 0.0
    assert linger_s(LINGER_ROWS_MAX + 1, 0.0001) == 0.0
    assert linger_s(LINGER_ROWS_MIN, 0.0001) == LINGER_S
