"""What a killed process left in the page cache, the next one reads as if it were durable: it must make it so first.

The sequence that random kills and cuts hit once in hundreds of cycles, placed on purpose: a commit, no fsync, the end;
a new process that builds on it and makes its own work durable; then the power goes.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from lifeline.core.batch import LogRecord
from lifeline.core.errors import CorruptionError
from lifeline.governance.database import Database
from lifeline.lake import table as table_module
from lifeline.lake.catalog import Catalog
from lifeline.lake.verify import verify_lake
from lifeline.lake.writer import LakeFollower
from lifeline.live.layout import HEADER
from lifeline.live.values import LiveValues
from tests.crash import figures
from tests.crash.campaign import Campaign, lake_content, wait_until
from tests.crash.disks import FILE_SYSTEMS, LOGFLUSH, NOLOGFLUSH, LoopDisk
from tests.crash.tracer import Tracer, inject
from tests.lake.conftest import Source, make_record, make_registry

pytestmark = [pytest.mark.slow]


def store(data: Path, records: list[LogRecord]) -> LakeFollower:
    """One flush a record."""
    lake = LakeFollower(data, compact=False)
    for record in records:
        lake.consume([record])
        lake.flush()
    return lake


def killed_before_the_fsync(data: Path, records: list[LogRecord], monkeypatch: pytest.MonkeyPatch) -> None:
    """The last record's commit is written, and never synced."""
    store(data, records[:-1])
    real = table_module.sync_file
    with monkeypatch.context() as patch:
        patch.setattr(table_module, "sync_file", lambda path: None if path.suffix == ".json" else real(path))
        patch.setattr(table_module, "sync_dir", lambda _: None)
        store(data, records)


@pytest.mark.parametrize("kind", FILE_SYSTEMS)
@pytest.mark.parametrize(("how", "stored_before"), [(NOLOGFLUSH, 3), (LOGFLUSH, 0)], ids=["journal lost", "kept"])
def test_a_lake_commit_that_its_process_never_synced(
    how: int, kind: str, stored_before: int, loop_disk: Callable[..., LoopDisk], monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = loop_disk(mib=64, kind=kind)
    data = disk.mount_point / "var"
    records = [make_record(lsn, duplicates=False) for lsn in range(1, stored_before + 4)]
    killed_before_the_fsync(data, records[: stored_before + 1], monkeypatch)
    store(data, records[: stored_before + 2])
    disk.cut(how)
    disk.power_on()
    last = LakeFollower(data, Catalog(data), compact=False)
    last.consume(records)
    last.close()

    rows, _ = lake_content(data)
    assert len(rows) == len(set(rows)) == sum(len(record.readings) for record in records)
    assert verify_lake(data, full=True).problem is None


def test_a_queue_commit_that_its_process_never_synced(loop_disk: Callable[..., LoopDisk]) -> None:
    """Who opens the queue may have told others by now what it read there."""
    disk = loop_disk(mib=64)
    path = disk.mount_point / "governance.db"
    Database(f"sqlite:///{path}").close()
    writes = (
        "import os, sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "db.execute('PRAGMA synchronous=OFF')\n"
        "db.execute(\"INSERT INTO followers (name, position) VALUES ('rules', 4711)\")\n"
        "os._exit(9)\n"
    )
    opens = (
        "import os, sys\n"
        "from lifeline.governance.database import Database\n"
        "database = Database(f'sqlite:///{sys.argv[1]}')\n"
        "os._exit(9)\n"
    )
    for script in (writes, opens):
        assert subprocess.run([sys.executable, "-c", script, path], check=False).returncode == 9
    disk.cut()
    disk.power_on()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT position FROM followers WHERE name = 'rules'").fetchall() == [(4711,)]


def test_a_position_of_last_values_that_its_process_never_synced(loop_disk: Callable[..., LoopDisk]) -> None:
    """The log is trimmed up to it: it must not go back."""
    disk = loop_disk(mib=64)
    path = disk.mount_point / "live.bin"
    live = LiveValues(path, Source(make_registry(40)))
    live.consume([make_record(lsn) for lsn in range(1, 6)])
    live.close()
    header = np.memmap(path, HEADER, mode="r+", shape=1)
    header["durable"] = 9
    del header
    again = LiveValues(path, Source(make_registry(40)))
    assert again.durable == 9
    again._detach()
    disk.cut()
    disk.power_on()

    after = LiveValues(path, Source(make_registry(40)))
    assert after.durable == 9
    after._detach()


def test_an_empty_commit_among_others_is_damage(tmp_path: Path) -> None:
    """Delta readers pass over it without a word; what it added would be missing for ever."""
    store(tmp_path, [make_record(lsn) for lsn in range(1, 5)])
    commits = sorted((tmp_path / "lake/readings/_delta_log").glob("*.json"))
    commits[2].write_bytes(b"")
    assert "is empty" in str(verify_lake(tmp_path).problem)
    with pytest.raises(CorruptionError, match=commits[2].name):
        LakeFollower(tmp_path)


def test_a_torn_checkpoint_that_nothing_points_at_yet_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint is written before its pointer: a power cut in between leaves the older pointer."""
    monkeypatch.setattr(table_module, "CHECKPOINT_COMMITS", 3)
    records = [make_record(lsn) for lsn in range(1, 8)]
    store(tmp_path, records[:4])
    log = tmp_path / "lake/readings/_delta_log"
    pointer = (log / "_last_checkpoint").read_bytes()
    store(tmp_path, records)
    checkpoints = sorted(log.glob("*.checkpoint.parquet"))
    assert len(checkpoints) == 2
    checkpoints[-1].write_bytes(b"")
    (log / "_last_checkpoint").write_bytes(pointer)

    assert LakeFollower(tmp_path).position == 7
    assert verify_lake(tmp_path, full=True).problem is None


@pytest.mark.only_soak
@pytest.mark.timeout(3600)
def test_a_whole_engine_killed_at_the_kth_fsync_followed_by_another_and_a_cut(
    campaign: Callable[..., Campaign], loop_disk: Callable[..., LoopDisk]
) -> None:
    """The same without knowing where the commits are: any fsync of any thread may be the last."""
    run = campaign(kind="engine", disk=loop_disk())
    killed = 0
    for k in range(1, 61, 2):
        run.cycles += 1
        run.start(hold=True)
        tracer = Tracer(run.pid, inject("fsync", "signal=SIGKILL", when=str(k)))
        until = time.monotonic() + 10
        wait_until(lambda until=until: run.zygote.status(run.pid) is not None or time.monotonic() > until, "the end")
        killed += run.zygote.status(run.pid) is not None
        run.kill()
        tracer.close()
        run.start()
        run.work(300)
        time.sleep(1.0)  # a flush or two of the new engine
        run.cut_or_flush()
    books = run.settle()
    figures.add("killed at an fsync, then a cut", run.cycles, books, run.seed, run.recoveries_s)
    print(f"\n{run.cycles} cycles, {killed} killed at their fsync, {books}")
    assert books.clean, (run.seed, books)
    assert killed > run.cycles // 2
