"""Snapshots: the newest whole one wins, a damaged one costs a replay and nothing else."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifeline import files
from lifeline.core.errors import UnavailableError
from lifeline.engine.snapshots import SnapshotStore


def test_the_newest_snapshot_comes_back_and_the_older_is_gone(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path, "rules")
    store.save(7, b"seven")
    store.save(12, b"twelve")

    assert SnapshotStore(tmp_path, "rules").load() == (12, b"twelve")
    assert len(list(tmp_path.iterdir())) == 1


def test_no_snapshot_is_none(tmp_path: Path) -> None:
    assert SnapshotStore(tmp_path, "rules").load() is None


def test_names_do_not_mix(tmp_path: Path) -> None:
    SnapshotStore(tmp_path, "rules").save(1, b"a")

    assert SnapshotStore(tmp_path, "live").load() is None


@given(st.binary(min_size=1, max_size=200), st.data())
def test_any_flipped_bit_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, state: bytes, data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("snap")
    SnapshotStore(directory, "rules").save(3, state)
    path = next(directory.iterdir())
    whole = bytearray(path.read_bytes())
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    # bytes 8-15 are the lsn, which the file name repeats
    whole[bit // 8] ^= 1 << (bit % 8)
    path.write_bytes(whole)

    loaded = SnapshotStore(directory, "rules").load()

    assert loaded is None


def test_a_torn_newer_snapshot_falls_back_to_the_older(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path, "rules")
    store.save(7, b"seven")
    (tmp_path / f"rules-{9:020d}.snap").write_bytes(b"LLSNAP")

    assert store.load() == (7, b"seven")


def test_a_refusing_disk_is_an_unavailable_error_and_keeps_the_old(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path, "rules")
    store.save(7, b"seven")
    (tmp_path / f"rules-{8:020d}.snap").mkdir()  # a rename onto a folder is refused

    with pytest.raises(UnavailableError, match=r"rules-0+8\.snap"):
        store.save(8, b"eight")

    (tmp_path / f"rules-{8:020d}.snap").rmdir()
    assert store.load() == (7, b"seven")


@given(st.lists(st.binary(max_size=40), max_size=5), st.integers(1, 9))
def test_it_is_written_in_pieces(tmp_path_factory: pytest.TempPathFactory, parts: list[bytes], piece: int) -> None:
    store = SnapshotStore(tmp_path_factory.mktemp("snap"), "rules")
    written: list[int] = []
    sync = os.fdatasync
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "PIECE_BYTES", piece)
        patch.setattr(os, "fdatasync", lambda fd: (written.append(os.fstat(fd).st_size), sync(fd)))
        store.save(3, *parts)

    assert store.load() == (3, b"".join(parts))
    ends = [0, *written, next(store._directory.iterdir()).stat().st_size]
    assert all(end - start <= piece for start, end in pairwise(ends))


def test_a_snapshot_that_the_disk_does_not_give_is_asked_for_again(tmp_path: Path) -> None:
    """It may be there again in a moment, so it is not passed over for a replay of the whole log."""
    store = SnapshotStore(tmp_path, "rules")
    store.save(7, b"seven")
    (tmp_path / "rules-00000000000000000009.snap").mkdir()

    with pytest.raises(UnavailableError, match=r"9\.snap: cannot be read"):
        store.load()
