"""The ledger: numbers are for ever, whatever happens to files and processes."""

import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifeline.core.errors import CorruptionError, UnavailableError
from lifeline.core.limits import POINTS_PER_DEVICE_MAX
from lifeline.core.registry import RegistrySource
from lifeline.registry.files import POINTS_FILE
from lifeline.registry.ledger import LISTED, REGISTERED, RETIRED, RegistryLedger


def file_of(*rows: tuple[str, str], **columns: list[str | None]) -> pa.Table:
    """A registry file's table: rows of (device, quantity), further columns by name."""
    table = {"device_id": [d for d, _ in rows], "quantity": [q for _, q in rows], **columns}
    return pa.table([pa.array(table.get(f.name, [None] * len(rows)), f.type) for f in POINTS_FILE], schema=POINTS_FILE)


def pairs(ledger: RegistrySource) -> list[tuple[str | None, str | None]]:
    registry = ledger.current()
    return list(zip(registry.column("device_id"), registry.column("quantity"), strict=True))


def test_a_fresh_ledger_follows_row_order(tmp_path: Path) -> None:
    ledger: RegistrySource = RegistryLedger(tmp_path / "state", file_of(("b", "x"), ("a", "x"), ("b", "y")))
    assert pairs(ledger) == [("b", "x"), ("a", "x"), ("b", "y")]
    assert ledger.current().points["point"].to_pylist() == [0, 1, 2]


def test_numbers_survive_edits_and_attributes_follow_the_file(tmp_path: Path) -> None:
    RegistryLedger(tmp_path, file_of(("a", "x"), ("b", "x"), ("c", "x"), unit=["m", "m", "m"]))
    ledger = RegistryLedger(tmp_path, file_of(("new", "x"), ("c", "x"), ("a", "x"), unit=["n", "cm", None]))
    assert pairs(ledger) == [("a", "x"), ("b", "x"), ("c", "x"), ("new", "x")]
    assert ledger.current().points["unit"].to_pylist() == [None, "m", "cm", "n"]
    assert ledger.standing.tolist() == [LISTED, RETIRED, LISTED, LISTED]
    back = RegistryLedger(tmp_path, file_of(("b", "x")))
    assert back.standing.tolist() == [RETIRED, LISTED, RETIRED, RETIRED]
    assert back.current().points["unit"].to_pylist() == [None, None, "cm", "n"]


def test_registered_points_survive_and_can_be_listed_later(tmp_path: Path) -> None:
    ledger = RegistryLedger(tmp_path, file_of(("a", "x")))
    before = ledger.current()
    after = ledger.register([("r", "x", "gas"), ("a", "x", "gas"), ("r", "x", "gas"), ("r", "y", "oil")])
    assert len(before) == 1
    assert after is ledger.current()
    assert pairs(ledger) == [("a", "x"), ("r", "x"), ("r", "y")]
    assert after.points["utility"].to_pylist() == [None, "gas", None]
    assert ledger.register([("r", "x", "gas")]) is after
    assert ledger.standing.tolist() == [LISTED, REGISTERED, REGISTERED]
    again = RegistryLedger(tmp_path, file_of(("q", "x"), ("r", "y")))
    assert pairs(again) == [("a", "x"), ("r", "x"), ("r", "y"), ("q", "x")]
    assert again.standing.tolist() == [RETIRED, REGISTERED, LISTED, LISTED]


def test_a_crash_between_merge_and_removal_changes_nothing(tmp_path: Path) -> None:
    ledger = RegistryLedger(tmp_path, file_of(("a", "x")))
    ledger.register([("r", "x", "gas")])
    ledger.register([("s", "x", "gas")])
    shutil.copy(tmp_path / "points-added.parquet", tmp_path / "kept")
    RegistryLedger(tmp_path, file_of(("a", "x"), ("z", "x")))
    shutil.copy(tmp_path / "kept", tmp_path / "points-added.parquet")
    again = RegistryLedger(tmp_path, None)
    assert pairs(again) == [("a", "x"), ("r", "x"), ("s", "x"), ("z", "x")]
    assert not (tmp_path / "points-added.parquet").exists()


def test_every_new_registry_is_synced_before_it_is_visible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = RegistryLedger(tmp_path, file_of(("a", "x")))
    calls = []
    real_fsync, real_replace = os.fsync, Path.replace

    def fsync(handle: int) -> None:
        calls.append(("fsync", os.path.realpath(f"/proc/self/fd/{handle}"), len(ledger.current())))
        real_fsync(handle)

    def replace(self: Path, target: Path) -> Path:
        calls.append(("rename", str(target), len(ledger.current())))
        return real_replace(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    ledger.register([("r", "x", "gas")])
    home, added = str(tmp_path.resolve()), str(tmp_path.resolve() / "points-added.parquet")
    assert [(call, seen) for call, _, seen in calls] == [("fsync", 1), ("rename", 1), ("fsync", 1)]
    assert [path for _, path, _ in calls[1:]] == [added, home]
    assert Path(calls[0][1]).parent == Path(home)
    assert len(ledger.current()) == 2


def test_a_failed_fsync_appends_nothing_and_can_be_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = RegistryLedger(tmp_path, file_of(("a", "x")))

    def broken(_handle: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", broken)
        with pytest.raises(UnavailableError, match="points-added"):
            ledger.register([("r", "x", "gas")])
    assert len(ledger.current()) == 1
    assert len(ledger.register([("s", "x", "gas")])) == 2
    assert pairs(RegistryLedger(tmp_path, None)) == [("a", "x"), ("s", "x")]


def test_the_cap_holds_across_restarts(tmp_path: Path) -> None:
    ledger = RegistryLedger(tmp_path, None, registered_max=3)
    ledger.register([(f"d{i}", "x", "gas") for i in range(5)])
    assert len(ledger.current()) == 3
    assert ledger.refused == 2
    again = RegistryLedger(tmp_path, file_of(("listed", "x")), registered_max=3)
    assert len(again.register([("other", "x", "gas")])) == 4
    assert again.refused == 1


def test_a_device_cannot_register_without_end(tmp_path: Path) -> None:
    ledger = RegistryLedger(tmp_path, file_of(("d", "first")))
    ledger.register([("d", f"q{i}", "gas") for i in range(POINTS_PER_DEVICE_MAX + 10)])
    assert len(ledger.current()) == POINTS_PER_DEVICE_MAX
    assert ledger.refused == 11


@pytest.mark.parametrize("name", ["", " a", "a\x1fb", "a\nb", "\ud800", "x" * 129, "界" * 43])
def test_unusable_names_are_refused(tmp_path: Path, name: str) -> None:
    ledger = RegistryLedger(tmp_path, None)
    assert len(ledger.register([(name, "x", "gas"), ("good", "x", "gas")])) == 1
    assert ledger.refused == 1


def test_damage_is_named_never_renumbered(tmp_path: Path) -> None:
    RegistryLedger(tmp_path, file_of(*((f"device-{i}", "x") for i in range(200))))
    path = tmp_path / "points.parquet"
    whole = path.read_bytes()
    for at in (4, 40, len(whole) // 2, len(whole) - 20):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        with pytest.raises(CorruptionError, match=r"points\.parquet"):
            RegistryLedger(tmp_path, file_of(("a", "x")))
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorruptionError, match=r"points\.parquet"):
        RegistryLedger(tmp_path, file_of(("a", "x")))


def test_a_lost_ledger_is_an_error_when_data_refers_to_it(tmp_path: Path) -> None:
    with pytest.raises(CorruptionError, match="backup"):
        RegistryLedger(tmp_path, file_of(("a", "x")), must_exist=True)


def test_added_points_that_contradict_are_corruption(tmp_path: Path) -> None:
    ledger = RegistryLedger(tmp_path / "one", file_of(("a", "x")))
    ledger.register([("r", "x", "gas")])
    RegistryLedger(tmp_path / "two", file_of(("b", "x"), ("c", "x"), ("d", "x")))
    shutil.copy(tmp_path / "one" / "points-added.parquet", tmp_path / "two" / "points-added.parquet")
    with pytest.raises(CorruptionError, match="contradicts"):
        RegistryLedger(tmp_path / "two", None)


def test_threads_register_without_losing_or_doubling(tmp_path: Path) -> None:
    ledger = RegistryLedger(tmp_path, None)
    barrier = threading.Barrier(4)

    def work(worker: int) -> None:
        barrier.wait()
        for i in range(10):
            seen = ledger.register([(f"shared{i}", "x", "gas"), (f"own{worker}-{i}", "x", "gas")])
            assert len(seen) <= len(ledger.current())

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    names = pairs(ledger)
    assert len(names) == len(set(names)) == 50
    assert pairs(RegistryLedger(tmp_path, None)) == names


PAIR = st.tuples(st.sampled_from("abcde"), st.sampled_from("xyz"))
STEP = st.one_of(
    st.lists(PAIR, unique=True, max_size=8).map(lambda rows: ("file", rows)),
    st.lists(PAIR, max_size=4).map(lambda rows: ("register", rows)),
)


@settings(max_examples=40, deadline=None)
@given(steps=st.lists(STEP, max_size=6))
def test_model_numbers_never_move(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, list[tuple[str, str]]]]
) -> None:
    state = tmp_path_factory.mktemp("ledger")
    ledger = RegistryLedger(state, None)
    numbers: list[tuple[str | None, str | None]] = []
    for kind, rows in steps:
        if kind == "file":
            ledger = RegistryLedger(state, file_of(*rows))
            assert set(np.flatnonzero(ledger.standing == LISTED)) == {pairs(ledger).index(row) for row in rows}
        else:
            ledger.register([(device, quantity, "gas") for device, quantity in rows])
        numbers += [row for row in dict.fromkeys(rows) if row not in numbers]
        assert pairs(ledger) == numbers
    assert pairs(RegistryLedger(state, None)) == numbers
