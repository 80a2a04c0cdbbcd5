"""The judge ``habit`` against a naive twin that keeps every frame, and what it says of forged and stuck members."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rules.judges import OPTIONS
from rules.judges.habit import Habit
from rules.kernels.again import KEPT_MS
from rules.model import Learn, Model
from tests.rules.plain_habit import NaiveHabit

Matrix = NDArray[np.float64]
DEFAULTS = {name: bounds[0] for name, bounds in OPTIONS.items()} | {"recent_n": 4}
STEP_MS = 5000


def plant(n: int, seed: int = 3) -> tuple[NDArray[np.int64], Matrix]:
    """A valve, the flow through it, another flow, the tank between them, a spare pump that never runs."""
    random = np.random.default_rng(seed)
    valve, level = np.zeros(n), np.full(n, 600.0)
    outlet = 1.0 + 0.2 * np.sin(np.arange(n) / 50)
    for k in range(1, n):
        valve[k] = 1.0 if level[k - 1] < 550 else 0.0 if level[k - 1] > 650 else valve[k - 1]
        level[k] = level[k - 1] + 2.5 * valve[k] - outlet[k]
    noise = random.normal(0, 1, (n, 3)) * (0.02, 0.02, 0.3)
    frames = np.column_stack([valve, 2.5 * valve + noise[:, 0], outlet + noise[:, 1], level + noise[:, 2], np.ones(n)])
    return np.arange(n, dtype=np.int64) * STEP_MS, frames


LEARN = Learn(2000 * STEP_MS / 1000, follow=False)


def said(frames: Matrix, options: dict[str, float] = DEFAULTS) -> Matrix:
    ts = np.arange(len(frames), dtype=np.int64) * STEP_MS
    return Model(Habit, frames.shape[1], options, LEARN, None).process(ts, frames)


@settings(deadline=None, max_examples=12)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 60), min_size=2, max_size=4), st.data())
def test_it_says_what_the_naive_twin_says(seed: int, parts: list[int], data: st.DataObject) -> None:
    """Values that repeat, holes, a member that says nothing, gaps; fits where they come."""
    random = np.random.default_rng(seed)
    n = sum(parts)
    frames = np.column_stack([
        random.integers(0, 2, n).astype(float), np.cumsum(random.normal(size=n)), random.normal(size=n).round(1),
        np.full(n, np.nan),
    ])  # fmt: skip
    if data.draw(st.booleans()):
        frames[: parts[0], 0] = np.linspace(5.0, 0.0, parts[0])  # a start
    frames[random.random((n, 4)) < data.draw(st.sampled_from([0.0, 0.02, 0.3]))] = np.nan
    ts = np.cumsum(random.choice([5000.0, 5000.0, 5000.0, 60_000.0, 200_000.0], n, p=[0.4, 0.3, 0.25, 0.03, 0.02]))
    options = DEFAULTS | {"stays_s": 60.0, "recent_n": 7, "recent_s": 30.0}
    judge, twin, at = Habit(4, options), NaiveHabit(4, options), 0
    for k, length in enumerate(parts):
        part, follow = slice(at, at + length), k < len(parts) - 1
        out = judge.judge(ts[part], frames[part], follow=follow)
        for i in range(length):
            expected = twin.see(ts[at + i], frames[at + i].tolist(), follow)
            if expected is None:
                assert np.isnan(out[i]).all()
            else:
                assert out[i, 0] == pytest.approx(expected[0], rel=1e-6, abs=1e-6)
        at += length
        if follow:
            judge.fit()
            twin.fit()


@pytest.mark.parametrize("follow", [False, True])
def test_any_cut_of_the_frames_gives_the_same_bits(follow: bool) -> None:
    ts, frames = plant(500)
    learn = Learn(200 * STEP_MS / 1000, follow=follow)
    whole = Model(Habit, 5, DEFAULTS, learn, None).process(ts, frames)
    model, parts = Model(Habit, 5, DEFAULTS, learn, None), []
    for a in range(0, 500, 13):
        parts.append(model.process(ts[a : a + 13], frames[a : a + 13]))
        again = Model(Habit, 5, DEFAULTS, learn, None)
        again.load({name: array.copy() for name, array in model.arrays.items()})
        model = again
    assert np.concatenate(parts).tobytes() == whole.tobytes()
    assert np.isnan(whole[:199, 0]).all()
    assert not np.isnan(whole[210:, 0]).any()


WRONG = slice(2700, 2800)
"""Frames of an attack."""


@pytest.mark.parametrize(
    ("member", "change"),
    [
        pytest.param(3, lambda x: x * 0 + x[0], id="the level told stands still"),
        pytest.param(3, lambda x: x + 1.5 * np.arange(len(x)), id="it drifts away from its flows"),
        pytest.param(3, lambda x: x + 300, id="it is another"),
        pytest.param(1, lambda x: x * 0, id="a flow stands at nought while its valve is open"),
        pytest.param(2, lambda x: x - 1.5, id="a flow is told too low"),
        pytest.param(4, lambda x: x + 1, id="a spare pump runs"),
    ],
)
def test_an_attack_is_unusual_and_what_was_before_is_not(member: int, change: object) -> None:
    _, frames = plant(3000)
    assert said(frames)[2000:, 0].max() < 1.1
    frames[WRONG, member] = change(frames[WRONG, member])  # type: ignore[operator]
    out = said(frames)
    assert out[2000:2700, 0].max() < 1.1
    assert (out[WRONG, 0] > 1.1).sum() >= 10


def test_what_rests_too_long_is_unusual_until_it_is_the_new_usual() -> None:
    _, frames = plant(6000)
    frames[3000:, 2] = frames[3000, 2]
    out = said(frames, DEFAULTS | {"stays_s": 3600.0})
    assert out[3100:3600, 0].min() > 1.1
    stands = out[3900:, 1][out[3900:, 0] > 1.1]
    assert (stands != 2).all()


def test_what_it_does_time_and_again_is_told_three_times_and_then_what_goes_further() -> None:
    """A spare pump that runs each hour from now on; three spells or as long as ``stays_s``, whatever comes first."""
    _, frames = plant(9000)
    for start in range(2500, 8000, 700):
        frames[start : start + 60, 4] += 1.0
    frames[8500:, 4] += 2.0
    out = said(frames)
    told = (out[:, 0] > 1.1) & (out[:, 1] == 4)
    begins = np.flatnonzero(np.diff(told.astype(int)) == 1)
    assert [round(int(at) / 100) * 100 for at in begins] == [2500, 3200, 3900, 8500]
    assert told[8520:8560].all()


def test_what_goes_on_is_told_for_as_long_as_it_says_and_the_same_again_a_week_later() -> None:
    _, frames = plant(6000)
    frames[3000:4500, 4] += (np.arange(1500) % 600 < 400).astype(float)
    frames[5000:5100, 4] += 1.0
    frames[5800:5900, 4] += 1.0
    ts = np.arange(6000, dtype=np.int64) * STEP_MS
    ts[5500:] += int(KEPT_MS)
    out = Model(Habit, 5, DEFAULTS | {"stays_s": 1500.0}, LEARN, None).process(ts, frames)
    told = (out[:, 0] > 1.1) & (out[:, 1] == 4)
    assert told[3020:3290].all()
    assert told[3320:5500].sum() < 20
    assert told[5820:5890].all()


def test_what_another_one_made_unusual_is_no_habit_of_it() -> None:
    """A flow forged four times breaks its tank's balance too; the tank's own forgery is told all the same."""
    _, frames = plant(5000)
    for start in (2300, 2600, 2900, 3200):
        frames[start : start + 30, 1] += 8.0
    frames[4000:4050, 3] += 0.8 * np.arange(50)
    out = said(frames)
    assert (out[2300:3230, 1][out[2300:3230, 0] > 1.1] != 3).all()
    assert (out[4000:4050, 0] > 1.1).sum() >= 10
    assert set(out[4000:4050, 1][out[4000:4050, 0] > 1.1]) == {3.0}


def test_a_start_within_the_normal_period_does_not_hide_what_runs_since() -> None:
    """For six hours the tank is filled from nothing and the valve stands; then it goes to and fro 100 mm for days."""
    _, frames = plant(12_000)
    frames[:800, 3] = np.linspace(0.0, 600.0, 800)
    frames[:800, :3] = 0.0
    ts = np.arange(12_000, dtype=np.int64) * STEP_MS
    learn = Learn(10_000 * STEP_MS / 1000, follow=False)

    def unusual(frames: Matrix) -> Matrix:
        return Model(Habit, 5, DEFAULTS, learn, None).process(ts, frames)[:, 0] > 1.1

    assert unusual(frames)[10_000:].sum() == 0
    forged = frames.copy()
    forged[11_000:11_060, 3] = 480.0 + np.random.default_rng(1).normal(0, 0.3, 60)
    assert unusual(forged)[11_020:11_055].all()
    still = frames.copy()
    still[11_000:, :3] = 0.0
    still[11_000:, 3] = 600.0 + np.random.default_rng(1).normal(0, 0.3, 1000)
    assert unusual(still)[11_500:].mean() > 0.5


def test_a_member_that_falls_silent_for_good_does_not_take_the_relations_of_all_with_it() -> None:
    _, frames = plant(3000)
    frames[2200:, 0] = np.nan
    assert said(frames)[2000:, 0].max() < 1.1
    frames[WRONG, 1] = 2.5 - frames[WRONG, 1]  # within its range, but the tank does not follow
    out = said(frames)
    assert (out[WRONG, 0] > 1.1).sum() >= 10
    assert (out[WRONG, 1][out[WRONG, 0] > 1.1] != 0).all()


def test_frames_too_far_apart_say_nothing() -> None:
    ts, frames = plant(3000)
    out = Model(Habit, 5, DEFAULTS, Learn(2000 * 3600.0, follow=False), None).process(ts * 720, frames)
    assert np.isnan(out).all()


@pytest.mark.parametrize(("spacing_s", "slack_s"), [(5, 90), (300, 300)])
def test_a_rest_may_be_longer_by_a_window_or_a_frame_however_far_frames_may_be_apart(
    spacing_s: int, slack_s: int
) -> None:
    judge = Habit(5, DEFAULTS | {"apart_s": 1000})
    ts, frames = plant(2000)
    judge.judge(ts.astype(float) / STEP_MS * spacing_s * 1000, frames, follow=True)
    judge.fit()
    longest = judge.arrays["longest"][0]
    assert judge.arrays["rest_max"][0] == 1.5 * longest + slack_s * 1000
    assert longest > 0


def test_a_tank_on_its_way_back_is_not_told_and_one_that_stops_on_it_is() -> None:
    _, frames = plant(3000)
    frames[2300:, 4] = 1.0
    away = np.concatenate([np.linspace(0, 60, 40), np.linspace(60, 40, 60), np.full(300, 40.0)])
    frames = np.column_stack([frames, np.tile(np.arange(20.0), 150)])  # 0 to 19 over and over, then far above
    frames[2400:2800, 5] = 19.0 + away
    told = (said(frames)[:, 0] > 1.1) & (said(frames)[:, 1] == 5)
    assert told[2420:2445].all()
    assert not told[2490:2500].any()
    assert told[2640:2790].all()


def test_one_that_wandered_to_one_side_may_wander_to_the_other() -> None:
    _, frames = plant(3000)
    walk = np.interp(np.arange(3000), [0, 2000, 3000], [0.0, 10.0, 18.0])
    frames = np.column_stack([frames, walk + np.random.default_rng(1).normal(0, 0.1, 3000)])
    assert said(frames)[2000:, 0].max() < 1.1


@pytest.mark.parametrize("every", [2, 6])
def test_of_slow_frames_the_window_is_short_and_holes_in_it_are_no_event(every: int) -> None:
    """A window of four frames has a first and a last quarter of one; the same plant, a tenth of its values missing."""
    _, frames = plant(4000 * every // 2, seed=5)
    frames = frames[:: every // 2]
    frames[np.random.default_rng(2).random(frames.shape) < 0.1] = np.nan
    frames[3700:, 3] += 1.5 * np.arange(300)
    ts = np.arange(len(frames), dtype=np.int64) * STEP_MS * every
    learn = Learn(3000 * STEP_MS * every / 1000, follow=False)
    out = Model(Habit, 5, DEFAULTS | {"recent_n": 12}, learn, None).process(ts, frames)[:, 0]
    assert (out[3000:3700] > 1.1).mean() < 0.01
    assert (out[3720:3790] > 1.1).sum() > 20
