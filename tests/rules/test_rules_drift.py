"""The judge of ``drift`` against a naive twin, and what it makes of members that walk, leave and come back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rules.evaluate import RuleMachine
from rules.judges import OPTIONS
from rules.judges.drift import Drift
from rules.kernels import drift
from rules.model import Learn, Model
from rules.rule_set import RuleSet

Matrix = NDArray[np.float64]
MIDNIGHT = 1_795_132_800_000
"""2026-11-20 00:00 UTC."""
DEFAULTS = {name: bounds[0] for name, bounds in OPTIONS.items()}
RETURNS = DEFAULTS | {"block_n": 12, "gate": 3.8, "patience": 40, "back": 0.1}


def mixed(frames: int, members: int) -> Matrix:
    random = np.random.default_rng(3)
    values = random.normal(size=(frames, members)) @ random.normal(size=(members, members))
    values[random.random(values.shape) < 0.03] = np.nan
    return values


@settings(deadline=None, max_examples=40)
@given(
    st.integers(2, 6),
    st.booleans(),
    st.integers(0, 3),
    st.sampled_from([0.0, 0.1, 0.5]),
    st.sampled_from([[2.0, 3.0, 64.0], [math.inf] * 3]),
)
def test_drift_is_the_distance_of_the_last_block_from_the_level(
    n: int, follow: bool, patience: int, back: float, blocks: list[float]
) -> None:
    frames = mixed(60, 3)
    skipped = np.random.default_rng(n).choice([0, 0, 0, 0, 1, 3, 2 * n + 1, 7 * n], 60)
    skipped[:2] = 0
    ts = np.cumsum(60_000.0 * (1 + skipped))
    start = np.array([[0.5, 0.0, 0.0], [0.1, 0.2, 0.3], [0.4, 0.3, 0.0], [0.0, 0.1, 0.1], [0.0, 0.0, 0.0]])
    level, home, out = start.copy(), np.zeros((4, 3)), np.empty((60, 3))
    ring, sums, counts = np.full((n, 3), np.nan), np.zeros(3), np.zeros(3)
    clock = np.array([1e6 * n, np.nan, np.nan])  # it knows its spacing
    freedom = np.array([0.0, 5.0, 40.0])
    reach, far = np.array([[0.0, 9.0, 0.5], [0.0] * 3, [0.0] * 3, [1.0, 2.5, 1.0]]), np.empty(3)
    before = reach.copy()
    drift.judge(
        ts, frames, follow, 1.5, patience, back, clock, ring, sums, counts, level, home, freedom, np.array(blocks),
        reach, out, far,
    )  # fmt: skip
    most = before[drift.NOW]
    twin = NaiveDrift(start, n, freedom.tolist(), patience if follow else None, back, blocks)
    for i in range(60):
        for _ in range(min(skipped[i], 2 * n)):
            twin.take([math.nan] * 3)
        twin.wander(max(0, (skipped[i] - 2 * n) // n))
        told = twin.take(frames[i].tolist())
        for j, z in told.items():
            most[j] = max(most[j], z)
        distances = [z / before[drift.SCALE, j] for j, z in told.items()]
        assert out[i, 0] == pytest.approx(max(distances, default=math.nan), nan_ok=True)
        assert (out[i, 1] ** 2 * len(distances) if distances else 0) == pytest.approx(sum(z * z for z in distances))
    assert level[0] == pytest.approx([one.places[0][0] for one in twin.members])
    assert far == pytest.approx([told.get(j, math.nan) for j in range(3)], nan_ok=True)
    # of what stood between two frames the twin's distances are not at hand
    assert (reach[drift.NOW] >= most * (1 - 1e-9)).all()
    assert (reach[1:] == before[1:]).all()


class NaiveMember:
    """A member's places: the one it is at, and behind it the one it left, each [level, variance]."""

    def __init__(
        self, start: list[float], freedom: float, patience: int | None, back: float, known_from: float
    ) -> None:
        level, variance, self.r, self.q, _ = start
        self.places = [[level, variance]]
        self.f, self.patience, self.back, self.known_from = freedom, patience, back, known_from
        self.furthest, self.gated, self.usual = 0.0, 0, 0

    def unsure(self, gone: float) -> float:
        """A share of the way back, but for what noise lets go."""
        return self.back * max(0.0, self.furthest - abs(gone) - 1.5 * math.sqrt(self.r))

    def off(self, place: list[float], mean: float, doubt: float) -> float:
        """In deviations from a place; of the first one nobody knows where after an excursion it comes back to."""
        gone = mean - place[0]
        unsure = self.unsure(gone) if place is self.places[-1] else 0.0
        t, f = gone / math.sqrt(place[1] + doubt + unsure**2), self.f
        return abs((8 * f + 1) / (8 * f + 3) * math.sqrt(f * math.log(1 + t * t / f)) if f else t)

    def close(self, mean: float, own: float) -> None:
        """A block is over."""
        if len(self.places) == 2 and self.off(self.places[0], mean, own) > 1.5 >= self.off(self.places[1], mean, own):
            self.places, self.gated = self.places[1:], 0
        place = self.places[0]
        if self.off(place, mean, own) > 1.5:
            self.gated += 1
            self.furthest = max(self.furthest, abs(mean - self.places[-1][0]))
            if self.patience and (self.gated >= self.patience or self.gated >= self.known_from):
                if self.back and len(self.places) == 1:
                    self.usual = 1
                    self.places = [place, place]
                self.places[0], self.gated = [mean, own], 0
            return
        unsure = self.unsure(mean - place[0]) if len(self.places) == 1 else 0.0
        variance = place[1] + unsure**2
        place[0] += variance / (variance + own) * (mean - place[0])
        place[1] = variance * own / (variance + own)
        self.gated = 0
        if len(self.places) == 1:
            self.furthest *= 1 - 1 / max(self.patience or 0, drift.FORGOTTEN)
            return
        self.usual += 1
        if self.usual > (self.patience or 0):
            self.places, self.furthest = self.places[:1], 0.0


class NaiveDrift:
    """Levels followed frame by frame, with everything that was ever seen at hand."""

    def __init__(
        self, start: Matrix, n: int, freedom: list[float], patience: int | None, back: float, blocks: list[float]
    ) -> None:
        self.members = [NaiveMember(start[:, j].tolist(), freedom[j], patience, back, blocks[j]) for j in range(3)]
        self.n, self.follows = n, patience is not None
        self.past: list[list[float]] = []

    def wander(self, blocks: int) -> None:
        """So many blocks go by."""
        for one in self.members:
            for place in one.places:
                place[1] += one.q * blocks

    def take(self, frame: list[float]) -> dict[int, float]:
        """The distances of the members that have one."""
        n = self.n
        self.past.append(frame)
        found, means = {}, {}
        for j, one in enumerate(self.members):
            recent = [row[j] for row in self.past[-n:] if not math.isnan(row[j])]
            if one.r <= 0 or len(recent) < max(1, n / 2):
                continue
            own = one.r * n / len(recent)  # a mean of fewer is noisier
            means[j] = (sum(recent) / len(recent), own)
            found[j] = min(one.off(place, means[j][0], one.q + own) for place in one.places)
        if len(self.past) % n == 0:
            self.wander(1)
            for j, (mean, own) in means.items():
                if self.follows:
                    self.members[j].close(mean, own)
        return found


def test_a_single_wild_value_is_no_drift_with_a_median_of_three() -> None:
    """A probe that is rinsed tells nought now and then; at the end one indicator stands aside for good."""
    random, n = np.random.default_rng(2), 6000
    frames = np.cumsum(random.normal(0, 0.01, (n, 4)), axis=0) + random.normal(0, 0.1, (n, 4))
    frames[-30:, 0] += 1.0
    wild = (random.random((n, 4)) < 0.001) & (np.arange(n) < n - 30)[:, None]
    frames[wild] = -50.0
    told = {}
    for median_n in (1, 3):
        model = Model(Drift, 4, DEFAULTS | {"median_n": median_n}, Learn(5000 * 60.0, follow=True), None)
        distance = model.process(np.arange(n, dtype=np.int64) * 60_000, frames)[:, 0]
        told[median_n] = np.nanmax(distance[-20:]) / np.nanquantile(distance[5000:-30], 0.99)
    assert told[1] < 1.0
    assert told[3] > 2.0


@pytest.mark.parametrize("freedom", [3.0, 10.0, 33.0, 200.0])
def test_a_students_t_becomes_the_normal_deviation_that_is_as_rare(freedom: float) -> None:
    constant = math.gamma((freedom + 1) / 2) / math.gamma(freedom / 2) if freedom < 100 else math.sqrt(freedom / 2)
    constant /= math.sqrt(freedom * math.pi)
    for t in (0.5, 2.0, 4.5, 7.0):
        grid = np.geomspace(t, 1e6, 20_001)
        density = constant * (1 + grid**2 / freedom) ** (-(freedom + 1) / 2)
        beyond = float(np.sum((density[1:] + density[:-1]) / 2 * np.diff(grid)))
        z = drift.as_normal(t, freedom)
        assert drift.as_normal(-t, freedom) == -z
        assert math.erfc(z / math.sqrt(2)) / 2 == pytest.approx(beyond, rel=0.15, abs=1e-12)
    assert drift.as_normal(4.5, 0.0) == 4.5


def test_a_short_normal_period_asks_for_more() -> None:
    values = np.random.default_rng(9).normal(0, 1.0, 6000) + np.cumsum(np.random.default_rng(3).normal(0, 0.3, 6000))
    known = []
    for n in (200, 400, 6000):
        judge = Drift(1, DEFAULTS)
        judge.learn(np.arange(n) * 1000.0, values[:n].reshape(-1, 1))
        judge.fit()
        known.append(drift.as_normal(6.0, judge.arrays["freedom"][0]))
    assert known == sorted(known)
    assert known[0] < 5.0
    assert known[2] > 5.8


def learned(ts: NDArray[np.int64], values: Matrix) -> Matrix:
    """Level, its variance, noise and walk of one member."""
    judge = Drift(1, DEFAULTS)
    judge.learn(ts.astype(np.float64), values.reshape(-1, 1))
    judge.fit()
    return judge.arrays["level"][:4, 0]


def test_a_step_over_an_outage_is_no_walk_but_makes_the_level_uncertain() -> None:
    values = np.random.default_rng(9).normal(0, 1.0, 600) + np.cumsum(np.random.default_rng(3).normal(0, 0.1, 600))
    ts = np.arange(600, dtype=np.int64) * 1000
    torn = ts + np.where(np.arange(600) >= 300, 3_600_000, 0)
    jumped = values + np.where(np.arange(600) >= 300, 50.0, 0.0)
    calm, after = learned(ts, values), learned(torn, jumped)
    assert after[2:] == pytest.approx(calm[2:], rel=0.15)
    assert after[0] == pytest.approx(calm[0] + 50.0, abs=1.0)
    ending = learned(np.append(ts, ts[-1] + 200_000), np.append(values, values[-1]))
    assert ending[1] > 1.5 * calm[1]


@pytest.mark.parametrize("n", [40, 60, 200, 400])
def test_steps_over_several_blocks_are_those_between_their_means(n: int) -> None:
    frames = np.cumsum(np.random.default_rng(n).normal(size=(n, 2)), axis=0)
    frames[20:30, 1] = np.nan
    judge = Drift(2, DEFAULTS)
    judge.learn(np.arange(n) * 1000.0, frames)
    means = frames.reshape(-1, 10, 2).mean(axis=1)
    for k, lag in enumerate(drift.LAGS):
        steps = (means[lag:] - means[:-lag]) ** 2
        assert judge.arrays["lagged"][0, k] == pytest.approx(np.nansum(steps, axis=0))
        assert judge.arrays["lagged"][1, k].tolist() == np.count_nonzero(~np.isnan(steps), axis=0).tolist()


def test_one_that_trembles_slowly_about_its_level_does_not_walk_and_one_that_walks_does() -> None:
    """Noise that is alike for ten seconds looks, from block to block, like a walk."""
    random = np.random.default_rng(4)
    slow = np.repeat(random.normal(0, 1.0, 60), 10) + random.normal(0, 0.2, 600)
    walks = np.cumsum(random.normal(0, 0.3, 600)) + random.normal(0, 0.2, 600)
    trembling, walking = (learned(np.arange(600, dtype=np.int64) * 1000, x) for x in (slow, walks))
    assert trembling[2] == pytest.approx(1.0, rel=0.4)
    assert trembling[3] < 0.01
    assert walking[3] == pytest.approx(0.9, rel=0.4)


def test_nobody_counts_on_less_wandering_than_so_few_blocks_could_show() -> None:
    noise = np.random.default_rng(4).normal(0, 1.0, 3000)
    walks = [learned(np.arange(n, dtype=np.int64) * 1000, noise[:n])[3] for n in (60, 600)]
    assert walks[0] > 0.05 * 0.1
    assert walks[1] < 0.002 * 0.1


@pytest.mark.parametrize("member", [0, 1])
def test_who_left_its_level_in_the_normal_period_is_judged_by_how_far_it_went(member: int) -> None:
    frames = np.random.default_rng(5).normal(0, 1.0, (800, 2))
    frames[350:400, 0] += 8.0
    frames[700:, member] += 30.0
    told = []
    for reached in (0, 3):
        model = Model(Drift, 2, DEFAULTS | {"reached": reached}, Learn(500.0, follow=False), None)
        out = model.process(np.arange(800, dtype=np.int64) * 1000, frames)
        assert member == 0 or set(out[720:740, 2]) == {1.0}
        told.append(np.median(out[720:740, 0]))
    assert told[1] < 0.5 * told[0] if member == 0 else told[1] == told[0] > 4.0


def test_a_short_normal_period_is_learned_on_from_normal_frames_alone() -> None:
    """Of eighty frames little is known; once it is, a step shows, and does not become normal while it lasts."""
    random = np.random.default_rng(8)
    frames = random.normal(0, 1.0, (700, 3))
    frames[500:600, 1] += 2.5
    ts = np.arange(700, dtype=np.int64) * 1000
    on, off = (
        Model(Drift, 3, DEFAULTS, Learn(80.0, follow=follow), None).process(ts, frames) for follow in (True, False)
    )
    assert np.median(on[515:600, 0]) > 5.0 > 1.2 * np.nanmax(on[300:500, 0])
    assert np.median(on[515:600, 0]) > np.median(off[515:600, 0])
    assert set(on[515:600, 2]) == {1.0}


def test_of_eighty_frames_and_what_came_since_noise_and_walk_are_known() -> None:
    """Frames within two deviations, until there are 32 blocks, told noise twice as large and a walk half as large."""
    noise, false, step = [], [], []
    for seed in range(30):
        random = np.random.default_rng(seed)
        values = np.cumsum(random.normal(0, 0.3, 1280)) + random.normal(0, 1.0, 1280)
        values[-60:] += 20.0
        model = Model(Drift, 1, RETURNS, Learn(80.0, follow=True), None)
        out = model.process(np.arange(1280, dtype=np.int64) * 1000, values.reshape(-1, 1))[:, 0]
        noise.append(12 * model.arrays["level"][drift.NOISE, 0])
        false.append(np.mean(out[80:-60] > 4.0))
        step.append(np.median(out[-45:]))
    assert np.mean(noise) == pytest.approx(1.0, abs=0.3)
    assert np.mean(false) < 0.01
    assert min(step) > 4.0


@pytest.mark.parametrize(("rows", "told"), [(80, ["raised", "cleared"]), (600, ["raised"])])
def test_a_level_of_few_blocks_gives_way_after_as_many(kit: Any, rows: int, told: list[str]) -> None:
    """Six or eight blocks say little of where a member stays, as many others that agree say as much; fifty say more."""
    values = np.random.default_rng(6).normal(0, 1.0, rows + 400)
    values[rows + 40 :] += 30.0
    changes = changes_of_rig_drift(kit, values, MIDNIGHT + rows * 1000)
    assert [change.kind for change in changes] == told
    assert changes[0].raised_at <= MIDNIGHT + (rows + 60) * 1000
    for change in changes[1:]:
        assert change.cleared_at is not None
        assert 100_000 < change.cleared_at - MIDNIGHT - (rows + 40) * 1000 < 200_000


@pytest.mark.parametrize("first", [0.2, 1.0, 5.0])
def test_frames_of_a_clock_that_jitters_are_not_missing(first: float) -> None:
    """Whatever the first two are apart, no block has holes and there are no more of them than of an even clock."""
    random = np.random.default_rng(9)
    at = np.arange(600) + random.uniform(-0.4, 0.4, 600)
    at[0] = at[1] - first
    judge = Drift(1, DEFAULTS)
    judge.learn(1000.0 * at, random.normal(0, 1.0, (600, 1)))
    assert judge.arrays["block"][1, 0] == pytest.approx(60, abs=2)
    assert judge.arrays["learn_clock"][0] == pytest.approx(600, abs=12)


def test_where_blocks_begin_does_not_matter_for_the_level_at_the_end() -> None:
    values = 0.01 * np.arange(400.0) + np.random.default_rng(2).normal(0, 0.02, 400)
    ends = [learned(np.arange(400 - k, dtype=np.int64) * 1000, values[k:])[0] for k in range(10)]
    assert max(ends) - min(ends) < 0.05


def test_a_snapshot_from_before_degrees_of_freedom_goes_on_as_it_did() -> None:
    ts, frames = np.arange(300, dtype=np.int64) * 60_000, mixed(300, 4)
    model, again = (Model(Drift, 4, DEFAULTS, Learn(200 * 60.0, follow=True), None) for _ in range(2))
    model.process(ts[:250], frames[:250])
    old = {name: array for name, array in model.arrays.items() if name not in Drift.later}
    old |= dict.fromkeys(Drift.former, np.zeros((0, 0)))
    again.load(old)
    assert again.process(ts[250:], frames[250:])[:, 0].max() > model.process(ts[250:], frames[250:])[:, 0].max() > 0
    with pytest.raises(ValueError, match="another judge"):
        again.load({name: array for name, array in old.items() if name != "level"})


def changes_of_rig_drift(kit: Any, values: NDArray[np.float64], train_to: int | None = None) -> list[Any]:
    """What the library's rule tells of a member with a value a second."""
    registry = kit.registry([{"device_id": "X", "kind": "rig", "quantity": "accelerometer", "utility": None}])
    rule = next(rule for rule in RuleSet.standard().rules if rule.id == "rig.drift")
    machine = RuleMachine(RuleSet((rule,)), registry, "UTC", train_to=train_to)
    rows = [(0, t, t, float(value)) for k, value in enumerate(values) for t in [MIDNIGHT + k * 1000]]
    return list(machine.process(kit.record(1, rows)))


def excursion(away: float, left: float, frames: int = 1000) -> tuple[NDArray[np.int64], Matrix]:
    """A member about nought, ``away`` from frame 500 to 700, then ``left`` for good; another that stays."""
    values = np.random.default_rng(6).normal(0, 1.0, (frames, 2))
    values[500:700, 0] += away
    values[700:, 0] += left
    return np.arange(frames, dtype=np.int64) * 1000, values


@pytest.mark.parametrize("away", [300.0, -300.0])
def test_who_comes_back_from_far_is_told_no_longer_and_who_only_leaves_by_little_is(away: float) -> None:
    told = {}
    for name, options in (("back", RETURNS), ("strict", RETURNS | {"back": 0.0})):
        ts, frames = excursion(away, 4.0)
        out = Model(Drift, 2, options, Learn(400.0, follow=True), None).process(ts, frames)[:, 0]
        assert out[515:700].min() > 4.0
        told[name] = out[715:]
    assert told["back"].max() < 3.4  # where rig.drift's alarm ends, at once and for good
    assert np.median(told["strict"]) > 4.0
    ts, frames = excursion(4.0, 4.0)
    out = Model(Drift, 2, RETURNS, Learn(400.0, follow=True), None).process(ts, frames)[:, 0]
    assert np.median(out[515:]) > 4.0


def test_a_fault_of_a_few_deviations_keeps_its_level_though_it_trembles() -> None:
    """Its nearer blocks are no way back, so the level is not moved to it, and is where it was when it is over."""
    random = np.random.default_rng(5)
    frames = random.normal(0, 1.0, (1500, 4))
    frames[600:900] += 1.5
    told = []
    for back in (0.0, 0.1):
        model = Model(Drift, 4, RETURNS | {"back": back}, Learn(600.0, follow=True), None)
        told.append(model.process(np.arange(1500, dtype=np.int64) * 1000, frames)[600:, 0])
    assert np.median(told[0][15:300]) > 4.0
    assert told[1] == pytest.approx(told[0], abs=0.25)


def test_what_is_forgotten_of_an_excursion_is_told_again() -> None:
    """The tolerance of one that came back fades, so the next step of four deviations is a step."""
    ts, frames = excursion(100.0, 0.0, 3000)
    frames[2500:, 0] += 4.0
    out = Model(Drift, 2, RETURNS, Learn(400.0, follow=True), None).process(ts, frames)[:, 0]
    assert out[715:2500].max() < 4.0
    assert np.median(out[2515:2800]) > 4.0


def test_the_former_level_is_remembered_while_a_new_one_is_tried() -> None:
    """A fault of fifty blocks: after forty its level is taken, and coming home from it is no second fault."""
    values = np.random.default_rng(6).normal(0, 1.0, (1600, 1))
    values[500:1100] += 30.0
    ts = np.arange(1600, dtype=np.int64) * 1000
    out, strict = (
        Model(Drift, 1, RETURNS | {"back": back}, Learn(400.0, follow=True), None).process(ts, values)[:, 0]
        for back in (0.1, 0.0)
    )
    assert out[515:960].min() > 4.0
    assert out[1000:1090].max() < 4.0
    assert out[1115:].max() < 3.4
    assert np.median(strict[1115:1500]) > 4.0


@pytest.mark.parametrize(("rows", "patience", "starts"), [(80, 30, 0), (400, 8, 0), (900, 30, 0), (900, 30, 480)])
def test_cuts_and_snapshots_keep_what_is_known_of_an_excursion(rows: int, patience: int, starts: int) -> None:
    """After the normal period, in what is learned on with, or within it, of a member that came late too."""
    ts, frames = excursion(300.0, 4.0)
    if starts:
        frames[:starts, 0] = np.nan
        frames[500:540, 0] -= 300.0
    options = RETURNS | {"patience": patience}
    model, parts = Model(Drift, 2, options, Learn(float(rows), follow=True), None), []
    for a in range(0, len(ts), 37):
        parts.append(model.process(ts[a : a + 37], frames[a : a + 37]))
        again = Model(Drift, 2, options, Learn(float(rows), follow=True), None)
        again.load({name: array.copy() for name, array in model.arrays.items()})
        model = again
    whole = Model(Drift, 2, options, Learn(float(rows), follow=True), None)
    assert np.concatenate(parts).tobytes() == whole.process(ts, frames).tobytes()
    for name, array in whole.arrays.items():
        assert name == "meta" or model.arrays[name].tobytes() == array.tobytes()


@pytest.mark.parametrize(("left", "told"), [(0.01, ["raised", "cleared"]), (0.3, ["raised"])])
def test_rig_drift_is_over_with_the_excursion_but_for_a_tenth_of_it(kit: Any, left: float, told: list[str]) -> None:
    """A rotor out of balance shakes at 0.6 in place of 0.2; then about as before, or at half of what it did."""
    random = np.random.default_rng(3)
    shakes = 0.2 + random.normal(0, 0.002, 4800)
    shakes[4200:4300] += 0.4
    shakes[4300:4600] += left
    shakes = shakes[:4600]
    changes = changes_of_rig_drift(kit, shakes)
    assert [change.kind for change in changes] == told
    assert MIDNIGHT + 4_200_000 <= changes[0].raised_at <= MIDNIGHT + 4_215_000
    for change in changes[1:]:
        assert change.cleared_at is not None
        assert change.cleared_at <= MIDNIGHT + 4_330_000
