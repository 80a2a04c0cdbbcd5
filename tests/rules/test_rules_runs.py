"""Runs of small records, taken in at once, against their naive twin: the same records one by one."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.batch import Batch
from tests.rules.dense import records, registry

if TYPE_CHECKING:
    from lifeline.core.batch import LogRecord
    from rules.journal import Admitted


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
