"""Power cuts at any call, during any step, also during recovery; and the mutants that the same oracle must catch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lifeline.log.recovery
import lifeline.log.scan
import lifeline.log.store
from lifeline.core.errors import LifelineError
from lifeline.testing import MemoryDisk

STEP = st.tuples(
    st.sampled_from(["commit", "crash", "cut", "scatter", "close", "trim", "fault", "reopen", "dirfault"]),
    st.integers(0, 39),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=st.lists(STEP, max_size=30), seed=st.integers(0, 2**32))
def test_any_history_recovers_exactly_what_was_acknowledged(
    world: Callable[..., Any], script: list[tuple[str, int]], seed: int
) -> None:
    world().run(script, seed)


def test_a_thousand_random_histories_lose_nothing(
    world: Callable[..., Any], script_of: Callable[[int], list[tuple[str, int]]]
) -> None:
    crashes = acknowledged = 0
    for seed in range(1000):
        done = world().run(script_of(seed), seed)
        crashes += done.crashes
        acknowledged += done.acknowledged

    assert crashes > 2000
    assert acknowledged > 5000
    print(f"power cuts {crashes}, acknowledged {acknowledged}, lost 0")


class ForgetfulDisk(MemoryDisk):
    """Directory fsync does nothing."""

    def sync_directory(self, directory: Any) -> None:
        self._count()

    def crash(self, random: Any, *, scatter: bool = False) -> Any:
        found = super().crash(random, scatter=scatter)
        found.__class__ = ForgetfulDisk
        return found


def without_sync(monkeypatch: pytest.MonkeyPatch) -> MemoryDisk:
    return MemoryDisk(lying=True)


def without_directory_sync(monkeypatch: pytest.MonkeyPatch) -> MemoryDisk:
    return ForgetfulDisk()


def without_cutting_before_reuse(monkeypatch: pytest.MonkeyPatch) -> MemoryDisk:
    """Reopen goes on where it was and leaves what was refused in the file."""

    def reopen(store: Any) -> None:
        store._broken = False

    monkeypatch.setattr(lifeline.log.store.Store, "reopen", reopen)
    return MemoryDisk()


def without_making_recovered_durable(monkeypatch: pytest.MonkeyPatch) -> MemoryDisk:
    monkeypatch.setattr(lifeline.log.recovery, "_make_durable", lambda *_: None)
    return MemoryDisk()


def without_rewriting_the_uncertain(monkeypatch: pytest.MonkeyPatch) -> MemoryDisk:
    """Recovery cuts and fsyncs, and trusts the page cache for the rest."""

    def only_cut(files: Any, path: Any, view: Any, scan: Any) -> None:
        fd = files.open(path, "write")
        files.truncate(fd, scan.end)
        files.sync_data(fd)
        files.close(fd)

    monkeypatch.setattr(lifeline.log.recovery, "_make_durable", only_cut)
    return MemoryDisk()


def without_checksum(monkeypatch: pytest.MonkeyPatch) -> MemoryDisk:
    monkeypatch.setattr("lifeline.log.scan.check_frame", lambda *_: None)
    return MemoryDisk()


def acknowledging_before_sync(monkeypatch: pytest.MonkeyPatch) -> MemoryDisk:
    """The group counts as committed although its fdatasync failed."""
    real = lifeline.log.store.Store._commit

    def commit(store: Any, records: Any) -> None:
        sync, store._files = store._files, _NoFault(store._files)
        try:
            real(store, records)
        finally:
            store._files = sync

    monkeypatch.setattr(lifeline.log.store.Store, "_commit", commit)
    return MemoryDisk()


class _NoFault:
    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def sync_data(self, fd: int) -> None:
        try:
            self._inner.sync_data(fd)
        except OSError:
            if self._inner.inner.off:
                raise


def trimming_without_order(monkeypatch: pytest.MonkeyPatch) -> MemoryDisk:
    """Trimming deletes newest first, so that a power cut leaves a gap."""

    def trim(store: Any, before: int) -> None:
        doomed = []
        while len(store._segments) > 1 and store._segments[1].first_lsn <= before:
            doomed.append(store._segments.pop(0))
        try:
            for segment in reversed(doomed):
                store._files.remove(segment.path)
        except OSError:
            pass

    monkeypatch.setattr(lifeline.log.store.Store, "trim", trim)
    return MemoryDisk()


def trusting_the_seal(monkeypatch: pytest.MonkeyPatch) -> MemoryDisk:
    """A sealed segment is taken as it is, although the seal's own fdatasync may have failed."""
    real = lifeline.log.recovery._make_durable

    def unless_sealed(files: Any, path: Any, view: Any, scan: Any) -> None:
        if not scan.sealed:
            real(files, path, view, scan)

    monkeypatch.setattr(lifeline.log.recovery, "_make_durable", unless_sealed)
    return MemoryDisk()


def taking_any_later_frame_for_a_proof(monkeypatch: pytest.MonkeyPatch) -> MemoryDisk:
    """A later sound frame always counts as corruption: then a power cut inside one group stops the engine for ever."""

    def proof(view: Any, scan: Any) -> int | None:
        return next(lifeline.log.scan._frames_after(view, scan.damage.offset), None)

    monkeypatch.setattr(lifeline.log.recovery, "proof_of_loss", proof)
    return MemoryDisk()


@pytest.mark.parametrize(
    "mutant",
    [
        without_sync,
        without_directory_sync,
        without_cutting_before_reuse,
        without_making_recovered_durable,
        without_rewriting_the_uncertain,
        without_checksum,
        acknowledging_before_sync,
        trimming_without_order,
        trusting_the_seal,
        taking_any_later_frame_for_a_proof,
    ],
)
def test_the_oracle_goes_red_for_a_mutant(
    mutant: Callable[[pytest.MonkeyPatch], MemoryDisk],
    world: Callable[..., Any],
    script_of: Callable[[int], list[tuple[str, int]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for seed in range(1000):
        disk = mutant(monkeypatch)
        try:
            world(disk=disk).run(script_of(seed), seed)
        except (AssertionError, LifelineError, KeyError, ValueError, OSError):
            print(f"{mutant.__name__}: caught at seed {seed}")
            return
    pytest.fail(f"{mutant.__name__} survived 1000 histories")
