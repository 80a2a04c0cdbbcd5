"""Torn tails at every byte, flipped bits anywhere, missing pieces: what recovery cuts, and what it and verify name."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from random import Random
from typing import Any

import pytest

from lifeline.core.errors import ConfigurationError, CorruptionError
from lifeline.log import LocalLog, verify
from lifeline.log.segment import encode_body
from lifeline.log.store import Store
from lifeline.testing import MemoryDisk, all_records, sample_batch, tags

RECORDS = 12
Place = re.compile(r"^(?P<file>.*\.log): offset (?P<offset>\d+): lsn (?P<lsn>\d+): ")


def write_log(directory: Path, *, sealed: bool, segment_bytes: int = 1 << 20) -> None:
    """Twelve records, each its own group; without the seal as after a kill."""
    store = Store(directory, segment_bytes=segment_bytes)
    for tag in range(1, RECORDS + 1):
        batch = sample_batch(tag, tag % 4, rejects=tag % 3 if tag < RECORDS - 2 else 0)
        store.commit([(encode_body(batch.readings, batch.rejects), tag)])
    if not sealed:
        store._sealed = True  # as if: nothing is written by close
    store.close()


def last_segment(directory: Path) -> Path:
    return max(directory.glob("*.log"))


def offsets_of(directory: Path) -> list[int]:
    store = Store(directory, segment_bytes=1 << 20)
    found = [*store._active.offsets, store._active.end]
    store._sealed = True
    store.close()
    return found


def test_a_tail_torn_at_every_byte_of_the_last_three_records_is_cut(tmp_path: Path) -> None:
    """Written to the real disk; each cut copy is opened on a disk in memory, which saves the fsyncs."""
    write_log(tmp_path, sealed=False)
    offsets = offsets_of(tmp_path)
    path = last_segment(tmp_path)
    whole = path.read_bytes()
    for size in range(offsets[-4], offsets[-1]):
        disk = MemoryDisk()
        fd = disk.open(path, "create")
        disk.write(fd, [memoryview(whole[:size])], 0)
        sound = sum(end <= size for end in offsets[1:])
        report = verify(tmp_path, files=disk)
        assert (report.ok, report.records, report.tail_bytes) == (True, sound, size - offsets[sound])

        store = Store(tmp_path, files=disk, segment_bytes=1 << 20)
        assert (store.committed, store.recovery.records) == (sound, sound)
        assert store.recovery.torn_bytes == size - offsets[sound]
        assert (store.recovery.torn_at is None) == (size == offsets[sound])
        assert disk.size(fd) == offsets[sound]
        store.commit([(encode_body(sample_batch(99).readings, None), 99)])
        assert store.read(sound, 1, 1)[0].readings.seq[0] == 99
        store.close()


def test_a_garbled_tail_at_every_byte_of_the_last_record_is_cut(tmp_path: Path) -> None:
    """Without a later frame nobody can tell a power cut from rot: recovery cuts and says where, verify says bad."""
    write_log(tmp_path / "whole", sealed=False)
    offsets = offsets_of(tmp_path / "whole")
    whole = last_segment(tmp_path / "whole").read_bytes()
    victim = tmp_path / "victim"
    victim.mkdir()
    file = victim / last_segment(tmp_path / "whole").name
    for at in range(offsets[-2], offsets[-1]):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        report = verify(victim)
        assert report.bad is not None
        assert (report.bad.offset, report.bad.lsn) == (offsets[-2], RECORDS)

        store = Store(victim, segment_bytes=1 << 20)
        assert (store.committed, store.recovery.torn_bytes) == (RECORDS - 1, offsets[-1] - offsets[-2])
        assert f"offset {offsets[-2]}: lsn {RECORDS}" in str(store.recovery.torn_at)
        store._sealed = True
        store.close()


def outcome_of(directory: Path, segment_bytes: int) -> tuple[str, Store | None]:
    try:
        return "", Store(directory, segment_bytes=segment_bytes)
    except CorruptionError as error:
        return str(error), None


@pytest.mark.parametrize("segment_bytes", [1 << 20, 1500])
def test_each_of_five_hundred_flipped_bits_is_detected_and_named(tmp_path: Path, segment_bytes: int) -> None:
    """In a cleanly closed log; a flip in the seal itself (64 bytes) loses nothing and is reported as a torn tail."""
    source = tmp_path / "source"
    write_log(source, sealed=True, segment_bytes=segment_bytes)
    files = sorted(source.glob("*.log"))
    seal = (files[-1], files[-1].stat().st_size - 64)
    random = Random(20_260)
    total = sum(file.stat().st_size for file in files)
    named = in_seal = 0
    for _ in range(500):
        place = random.randrange(total * 8)
        file, offset = _file_at(files, place // 8)
        victim = tmp_path / "victim"
        shutil.copytree(source, victim)
        raw = bytearray((victim / file.name).read_bytes())
        raw[offset] ^= 1 << place % 8
        (victim / file.name).write_bytes(raw)
        report = verify(victim)
        assert report.bad is not None, f"verify missed bit {place}"
        assert report.bad.file == str(victim / file.name)
        assert report.bad.offset <= offset
        error, store = outcome_of(victim, segment_bytes)
        if store is None:
            match = Place.match(error)
            assert match is not None, error
            found = (match["file"], int(match["offset"]), int(match["lsn"]))
            assert found == (report.bad.file, report.bad.offset, report.bad.lsn)
            named += 1
        else:
            assert (file, offset >= seal[1]) == (seal[0], True), f"recovery missed bit {place}"
            assert (store.recovery.torn_bytes, store.committed) == (64, RECORDS)
            store.close()
            in_seal += 1
        shutil.rmtree(victim)

    assert named + in_seal == 500
    assert named > 450
    print(f"flipped bits detected {named + in_seal}/500 (named as corruption {named}, in the seal {in_seal})")


def _file_at(files: list[Path], offset: int) -> tuple[Path, int]:
    for file in files:
        if offset < file.stat().st_size:
            return file, offset
        offset -= file.stat().st_size
    raise AssertionError(offset)


def test_damage_found_while_reading_is_named(tmp_path: Path, no_clock: dict[str, Any]) -> None:
    write_log(tmp_path, sealed=True)
    with LocalLog(tmp_path, **no_clock) as log:
        file = last_segment(tmp_path)
        offset = log._store._active.offsets[4]
        with file.open("r+b") as raw:
            raw.seek(offset + 70)
            raw.write(b"!")
        with pytest.raises(CorruptionError, match=rf"{file.name}: offset {offset}: lsn 5: the record fails"):
            log.read(0)
        report = verify(tmp_path)

    assert (report.live, report.bad and report.bad.lsn) == (True, 5)


def test_a_missing_segment_is_named(tmp_path: Path) -> None:
    write_log(tmp_path, sealed=True, segment_bytes=1500)
    second = sorted(tmp_path.glob("*.log"))[1]
    first_lsn = int(second.stem)
    second.unlink()

    with pytest.raises(CorruptionError, match=f"lsn {first_lsn}: records {first_lsn} to .* are missing"):
        Store(tmp_path, segment_bytes=1500)
    report = verify(tmp_path)
    assert report.bad is not None
    assert report.bad.lsn == first_lsn


def test_a_segment_cut_short_in_the_middle_of_the_log_is_named(tmp_path: Path) -> None:
    write_log(tmp_path, sealed=True, segment_bytes=1500)
    first = min(tmp_path.glob("*.log"))
    first.write_bytes(first.read_bytes()[:-64])

    with pytest.raises(CorruptionError, match=first.name):
        Store(tmp_path, segment_bytes=1500)
    assert not verify(tmp_path).ok


def test_a_renamed_segment_is_named(tmp_path: Path) -> None:
    write_log(tmp_path, sealed=True)
    last_segment(tmp_path).rename(tmp_path / f"{5:020d}.log")

    with pytest.raises(CorruptionError, match="begins with lsn 1"):
        Store(tmp_path, segment_bytes=1500)
    assert not verify(tmp_path).ok


def test_a_log_of_another_version_is_a_configuration_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_log(tmp_path, sealed=True)
    monkeypatch.setattr("lifeline.log.segment.VERSION", 2)

    with pytest.raises(ConfigurationError, match=r"format version 1, this program writes 2.*version that wrote it"):
        Store(tmp_path, segment_bytes=1500)


def test_a_refused_opening_changes_nothing_and_frees_the_directory(tmp_path: Path) -> None:
    write_log(tmp_path, sealed=True)
    file = last_segment(tmp_path)
    good = file.read_bytes()
    bad = good[:200] + bytes([good[200] ^ 1]) + good[201:]
    file.write_bytes(bad)
    with pytest.raises(CorruptionError):
        Store(tmp_path, segment_bytes=1 << 20)

    assert file.read_bytes() == bad
    file.write_bytes(good)
    store = Store(tmp_path, segment_bytes=1 << 20)
    assert store.committed == RECORDS
    store.close()


def test_verify_beside_a_running_writer_finds_nothing_bad(tmp_path: Path, no_clock: dict[str, Any]) -> None:
    with LocalLog(tmp_path, segment_bytes=4000, **no_clock) as log:
        for round_ in range(60):
            for tag in range(5):
                log.append(sample_batch(round_ * 5 + tag, 20), lambda _: None)
            log.trim(log.committed - 10)
            report = verify(tmp_path)
            assert report.live
            assert report.bad is None, str(report.bad)
    report = verify(tmp_path)

    assert (report.live, report.ok, report.last, report.tail_bytes) == (False, True, 300, 0)
    with LocalLog(tmp_path, **no_clock) as log:
        assert tags(all_records(log))[-1] == 299
