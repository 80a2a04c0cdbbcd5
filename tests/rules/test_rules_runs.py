"""Runs of small records, taken in at once, against their naive twin: the same records one by one."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lifeline.core.batch import LogRecord
from lifeline.core.schema import Flag
from rules.batch import Batch

if TYPE_CHECKING:
    from lifeline.core.registry import Registry
    from rules.journal import Admitted

DEVICES = 22
"""Enough for the log to be deaf at times (``rules.deaf``)."""


def rules_text(kit: Any) -> str:
    """One rule of each kind of evaluation, with clock rules about points, devices, gateways and all together."""
    silent = {"evaluate": '"clock"', "params": "{}", "category": '"device"', "raise_after": "{ samples = 2 }"}
    return (
        kit.rule(raise_after="{ samples = 2 }", clear_after="{ seconds = 3 }")
        + kit.rule(id='"a.rate"', raise_='"rate > 0.5 OR value < ewma - 3"', clear='"rate <= 0.5"',
                   params="{ rate_window_s = 3, ewma_tau_s = 6 }")
        + kit.rule(id='"a.beside"', raise_='"value > device_c2h6"', clear='"value <= device_c2h6"')
        + kit.rule(id='"a.bad"', evaluate='"every"', raise_='"quality = 2"', clear='"quality < 2"', category='"device"')
        + kit.rule(id='"d.one"', where='"lead"', raise_='"device_silent_s > 3 AND silent_share < 0.9"',
                   clear='"device_silent_s <= 3"', **silent)
        + kit.rule(id='"d.gate"', where='"gateway_lead"', raise_='"gateway_silent_s > 5"',
                   clear='"gateway_silent_s <= 5"', **silent)
    )  # fmt: skip


def registry(kit: Any) -> Registry:
    return kit.registry(  # type: ignore[no-any-return]
        [
            {"device_id": f"D{d}", "quantity": q, "interval_s": 1.0, "gateway": f"W{d % 3}" if d % 4 else None}
            for d in range(DEVICES)
            for q in ("ch4", "c2h6")
        ]
    )


def records(kit: Any, seed: int, count: int) -> list[LogRecord]:
    """A dense stream in small records: late rows, repeats, outages, clock records, a clock that is set back."""
    rng = random.Random(seed)
    awake = rng.sample(range(2 * DEVICES), 30)
    now, log_time, result = kit.t0 + rng.randrange(10_000), 0, []
    for lsn in range(1, count + 1):
        now += rng.choice([0, 5, 40, 200, 200, 700]) if rng.random() < 0.97 else rng.choice([-400, 12_000, 70_000])
        rows = []
        for _ in range(rng.choice([0, 1, 1, 2, 3, 8]) if rng.random() < 0.5 else 2):
            ts = now - (0 if rng.random() < 0.95 else rng.choice([300, 2_000, 30_000]))
            value = rng.choice([0.0, 5.0, 12.0, 30.0, 30.0, 60.0, None])
            quality = rng.choice([0, 0, 0, 0, 0, 1, 2])
            flags = int(Flag.DUPLICATE) if rng.random() < 0.05 else 0
            rows.append((rng.choice(awake), ts, now, value, quality, flags))
        log_time = max(log_time, now)
        result.append(LogRecord(lsn, log_time, kit.readings(rows)))
    return result


def outcome(kit: Any, parts: list[list[LogRecord]], within: int | None) -> tuple[Any, ...]:
    machine = kit.machine(rules_text(kit), registry(kit), within=within)
    said = [repr(replace(change, detail="")) for part in parts for change in machine.process_all(part)]
    return said, machine.counters, machine.evaluated, machine.log_time, machine.checkpoint(), machine.snapshot()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**9), st.lists(st.integers(1, 119), max_size=10), st.sampled_from([7, 60, None]))
def test_a_run_is_what_its_records_are(kit: Any, seed: int, edges: list[int], within: int | None) -> None:
    """To the change, its log position, every counter and both checkpoints."""
    made = records(kit, seed, 120)
    bounds = sorted({0, len(made), *edges})
    parts = [made[a:b] for a, b in itertools.pairwise(bounds)]
    assert outcome(kit, parts, within) == outcome(kit, [[one] for one in made], within)


def test_the_property_sees_runs_whole_and_cut_short_and_every_rule(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would hold if nothing were ever taken in together."""
    taken: list[tuple[int, int]] = []
    plain = Batch.take

    def noting(self: Batch, run: list[LogRecord], *rest: Any) -> Admitted:
        admitted = plain(self, run, *rest)
        taken.append((len(run), admitted.taken))
        return admitted

    monkeypatch.setattr(Batch, "take", noting)
    said = [line for seed in range(5) for line in outcome(kit, [records(kit, seed, 600)], 60)[0]]

    assert sum(asked > 5 and got == asked for asked, got in taken) > 20
    assert sum(1 < got < asked for asked, got in taken) > 20
    for rule in kit.machine(rules_text(kit), registry(kit)).info():
        assert any(f"rule_id='{rule}'" in line for line in said), rule
