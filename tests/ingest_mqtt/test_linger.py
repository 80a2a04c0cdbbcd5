"""When a read may wait: at rates that pay for it, not for ever after one hold-up, and never for a broker that waits."""

from __future__ import annotations

import random

import pytest

from ingest.linger import Linger, linger_s
from lifeline.core.limits import (
    COMPANY_ROWS,
    COMPANY_S,
    LINGER_ROWS_MAX,
    LINGER_ROWS_MIN,
    LINGER_S,
    LINGER_WINDOW,
    RECEIVE_MAXIMUM,
)

READ_S = 0.35e-6
COMMIT_S = 0.005
"""What a row costs the reader, and the time from the end of a read to its PUBACKs."""
LEARNED_S = 0.1
SIZE = 80
"""Bytes of a message."""
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


def company(
    per_s: float, seconds: float = 2.0, window: int = 0, commit_s: float = 0.001, unsteady: float = 0.0
) -> tuple[float, float, Linger]:
    """(messages a second, messages a read) of a broker that sends ``per_s`` while less than ``window`` are in flight.

    The first tenth of a second, in which rate and window are learned, does not count.

    The reader is woken as a socket wakes it: by any byte, or by so many bytes or at the time that ``least`` asks for.
    """
    step, now, linger, rng = 0.0001, 0.0, Linger(0.0), random.Random(5)
    arrived = read = reads = acknowledged = before = 0
    debt, commits = 0.0, list[tuple[float, int]]()
    while now < seconds + LEARNED_S:
        now += step
        if now < LEARNED_S:
            before, reads = read, 0
        while commits and commits[0][0] <= now:
            acknowledged = commits.pop(0)[1]
        debt = min(debt + per_s * step, max(1.0, per_s * 0.001))
        come = int(min(debt, window - (arrived - acknowledged) if window else debt))
        debt, arrived = debt - come, arrived + come
        least, _ = linger.least(now)
        if (arrived - read) * SIZE >= least and now >= linger.read_s:
            rows, read, reads = arrived - read, arrived, reads + 1
            done = now + commit_s * rng.uniform(1 - unsteady, 1 + unsteady)
            commits.append((max(done, commits[-1][0]) if commits else done, read))
            linger.read(now, rows, rows * SIZE, taken=rows, window=RECEIVE_MAXIMUM, in_flight=read - acknowledged)
    return (read - before) / seconds, (read - before) / reads, linger


@pytest.mark.parametrize("per_s", [20_000, 91_000, 219_300])
def test_a_stream_of_small_packets_is_read_in_company(per_s: int) -> None:
    """By twenty milliseconds or some 1,500 rows, whichever comes first, by half in a stream without any irregularity.

    And nothing is held up by it.
    """
    rate, together, _ = company(per_s)
    assert rate > 0.98 * per_s
    assert together > 0.5 * min(COMPANY_ROWS, per_s * COMPANY_S)


@pytest.mark.parametrize("per_s", [10, 1_000, 9_000])
def test_few_messages_are_never_waited_for(per_s: int) -> None:
    assert company(per_s)[1] < 2


@pytest.mark.parametrize("unsteady", [0.0, 0.8])
@pytest.mark.parametrize(("window", "commit_s"), [(20, 0.0005), (20, 0.003), (100, 0.001), (1000, 0.005)])
def test_a_broker_whose_window_is_full_is_not_waited_for(
    window: int, commit_s: float, unsteady: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would send nothing more before its acknowledgements. What it sends to a reader that never waits, it sends."""
    waiting = company(400_000, 4.0, window, commit_s, unsteady)[0]
    monkeypatch.setattr("ingest.linger.COMPANY_PER_S", 1e9)
    assert waiting > 0.95 * company(400_000, 4.0, window, commit_s, unsteady)[0]


def test_a_broker_that_was_slow_and_has_a_window_is_not_held_at_its_old_rate() -> None:
    """Two hundred in every pause would look like a rate of ten thousand for ever."""
    assert company(1_000_000, 3.0, 200, 0.001)[0] > 100_000


def test_a_reading_after_a_stream_is_read_at_once() -> None:
    linger = company(91_000)[2]
    linger.read(2.2, 1_500, 1_500 * SIZE, taken=1_500, window=RECEIVE_MAXIMUM, in_flight=1_500)
    assert linger.least(2.2)[0] > 1
    assert linger.least(2.2 + COMPANY_S)[0] == 1
    linger.read(3.0, 1, SIZE, taken=1, window=RECEIVE_MAXIMUM, in_flight=1)
    assert linger.least(3.0)[0] == 1


def test_a_declared_window_bounds_the_company() -> None:
    """What MQTT 5 was told (``receive_maximum``) is known without trying."""
    linger = Linger(0.0)
    for i in range(1, 40):
        linger.read(i * 0.001, 91, 91 * SIZE, taken=91, window=182, in_flight=182)
        assert linger.least(i * 0.001)[0] == 1
