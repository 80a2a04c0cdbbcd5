"""The completeness follower: was every reading received that should have been? Per point and hour of event time.

```
 var/lake/completeness/manifest.json    position, log time, oldest hot hour, the file of each hour      (renamed last)
                      /first-*.npy      receive time of each point's first reading
                      /pending-*.npy    counts of old hours that wait for their file
                      /H-*.parquet      hour H since 1970: the rows of the view
```

Hot hours (the log's hour, the one before and the one after) are counted in dense arrays by a kernel. Counts of older
hours collect as (hour, point) pairs, and each snapshot rewrites at most OLD_HOURS of their files; the rest waits. So a
flood of readings from all over the past year costs memory for what it brings and no more disk work than calm does.

A snapshot (every SNAPSHOT_MS, and at the end) writes new files, fsyncs, and renames the manifest, which holds the log
position: after kill -9 the state is that of the manifest, and the replay from there gives the same numbers. A replaced
hour file stays for the grace period for readers of an older catalog.
"""

from __future__ import annotations

import io
import json
import uuid
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from lifeline.core.batch import together
from lifeline.core.errors import CorruptionError, UnavailableError
from lifeline.core.schema import Flag
from lifeline.files import write_atomic
from lifeline.lake.files import GRACE_MS, Trash, make_dir, sync_dir, sync_file
from lifeline.lake.hours import Sparse, hour_table, read_hour, write_hour
from lifeline.lake.kernels.counts import HOUR_MS, count_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lifeline.core.batch import LogRecord, Readings
    from lifeline.core.registry import RegistrySource
    from lifeline.lake.catalog import Catalog

SNAPSHOT_MS = 10_000
SOONER = 2 / 3
"""Of the first period: another third of ten seconds than that of the rules' checkpoint or the flush of last values."""
OLD_HOURS = 8
"""Files of old hours rewritten by one snapshot: each holds every point, some 50 ms at half a million."""

PENDING_MAX = 2_000_000
"""Waiting (hour, point) pairs that force snapshots: 56 MB."""

HOT_HOURS = 3


@dataclass(frozen=True, slots=True)
class _Manifest:
    """What the last snapshot made durable. File names are relative to the follower's directory."""

    position: int = 0
    log_time_ms: int = 0
    hot_first: int = 0
    """The oldest hour that is still counted in memory; 0 before the first record."""
    files: dict[int, str] = field(default_factory=dict)
    first: str = ""
    pending: str = ""


class CompletenessFollower:
    """A ``lifeline.core.ports.Follower`` behind the view ``completeness``.

    Args:
        data_dir: The site's data directory; everything is kept in ``lake/completeness``.
        source: Gives the points' reporting intervals.
        catalog: Told of the files after each snapshot; may be None.
        grace_ms: How long a replaced file stays readable.

    Raises:
        CorruptionError: the manifest, or a file that it names, is damaged.
        UnavailableError: the disk refuses.
    """

    name = "completeness"
    beat_s = 0.1

    def __init__(
        self, data_dir: Path, source: RegistrySource, catalog: Catalog | None = None, *, grace_ms: int = GRACE_MS
    ) -> None:
        self._root = data_dir.resolve() / "lake" / "completeness"
        make_dir(self._root)
        sync_dir(self._root)  # the manifest may come from a process that was killed before it could make it durable
        self._source = source
        self._catalog = catalog
        self._trash = Trash(grace_ms)
        self._saved = _load_manifest(self._root / "manifest.json")
        self._position = self._saved.position
        self._log_time_ms = self._saved.log_time_ms
        self._files = dict(self._saved.files)
        self._now_ms: int | None = None
        self._snapshot_ms = 0
        self._first_at = _load(self._root, self._saved.first, np.zeros(0, np.int64))
        self._first_saved = self._first_at.copy()
        pairs = _load(self._root, self._saved.pending, np.zeros((0, 5), np.int64))
        self._pending = Sparse(pairs[:, :2], pairs[:, 2:].astype(np.int32))
        self._cold: list[Sparse] = []
        self._cold_rows = 0
        self._hot_first = self._saved.hot_first
        self._hot = np.zeros((HOT_HOURS, 0, 3), np.int32)
        self._written: dict[int, tuple[int, int]] = {}
        self._grow(len(source.current()))
        for index in range(HOT_HOURS):
            self._hot[index] = self._enter(self._hot_first + index)
        self._publish()

    @property
    def position(self) -> int:
        """The lsn of the last consumed record."""
        return self._position

    @property
    def durable(self) -> int:
        """The position of the last snapshot."""
        return self._saved.position

    def consume(self, records: Sequence[LogRecord]) -> None:
        """Count records.

        Raises:
            UnavailableError: the disk refuses the file of an hour that is over, or a snapshot that must be made now;
                the records before are counted.
        """
        position = self._position
        news = (record for record in records if record.lsn > position)
        for readings, last in together(news, lambda record: record.received_at // HOUR_MS):
            self._advance(last.received_at)
            if len(readings):
                self._count(readings)
            self._position = last.lsn
        if len(self._pending) > PENDING_MAX:
            self.snapshot()

    def tick(self, now_ms: int) -> None:
        """Snapshot every SNAPSHOT_MS, for the first time SOONER.

        Raises:
            UnavailableError: the disk refuses; memory still holds everything, and the next tick tries again.
        """
        if self._now_ms is None:
            used = set(self._saved.files.values())
            self._trash.add([p for p in self._root.glob("*.parquet") if p.name not in used], now_ms)
            self._snapshot_ms = now_ms - int(SNAPSHOT_MS * SOONER)
        self._now_ms = now_ms
        since = now_ms - self._snapshot_ms
        if (since >= SNAPSHOT_MS or since < 0) and (self._position > self.durable or len(self._pending)):
            self.snapshot()
            self._snapshot_ms = now_ms
        self._trash.empty(now_ms)

    def close(self) -> None:
        """Snapshot everything, all old hours included."""
        if self._position > self.durable:
            self.snapshot()
        while len(self._pending):
            self.snapshot()

    def snapshot(self) -> None:
        """Make counts and position durable and visible.

        Raises:
            UnavailableError: the disk refuses; the last snapshot stands, and memory still holds everything.
        """
        self._fold()
        chosen = np.unique(self._pending.keys[:, 0])[-OLD_HOURS:]
        files = dict(self._files)
        for hour in map(int, chosen):
            counts = self._stored(hour) + self._pending.dense(hour, len(self._first_at))
            files[hour] = self._write(hour, counts, (hour + 1) * HOUR_MS)
        pending = self._pending.without(chosen)
        written = dict(self._written)
        for index, counts in enumerate(self._hot):
            hour = self._hot_first + index
            state = (int(counts.sum()), min(self._log_time_ms, (hour + 1) * HOUR_MS))
            begun = hour * HOUR_MS < self._log_time_ms
            if self._hot_first and (begun or state[0]) and self._written.get(hour) != state:
                files[hour] = self._write(hour, counts, self._log_time_ms)
                written[hour] = state
        before, self._saved = self._saved, self._save(files, pending)
        self._files, self._pending, self._written = files, pending, written
        self._publish()
        replaced = set(before.files.values()) - set(files.values())
        self._trash.add([self._root / name for name in replaced], self._now_ms or 0)
        for name in {before.first, before.pending} - {self._saved.first, self._saved.pending, ""}:
            (self._root / name).unlink(missing_ok=True)

    def _advance(self, log_time_ms: int) -> None:
        """Move the log's clock; write the last state of the hours that it leaves behind."""
        hour = log_time_ms // HOUR_MS
        if self._hot_first == 0:
            self._hot_first = hour - 1
        while self._hot_first < hour - 1:
            self._fold()
            done, ahead = self._hot_first, self._hot_first + HOT_HOURS
            self._files[done] = self._write(done, self._hot[0], (done + 1) * HOUR_MS)
            self._hot = np.concatenate([self._hot[1:], self._enter(ahead)[None]])
            self._pending = self._pending.without(np.array([ahead]))
            self._written.pop(done, None)
            self._hot_first += 1
        self._log_time_ms = max(self._log_time_ms, log_time_ms)

    def _enter(self, hour: int) -> NDArray[np.int32]:
        """Counts of an hour that becomes hot: from its file and from what waited."""
        return self._stored(hour) + self._pending.dense(hour, len(self._first_at))

    def _stored(self, hour: int) -> NDArray[np.int32]:
        name = self._files.get(hour)
        if name is None:
            return np.zeros((len(self._first_at), 3), np.int32)
        return read_hour(self._root / name, len(self._first_at))

    def _count(self, rows: Readings) -> None:
        self._grow(int(rows.point.max()) + 1)
        cold = np.empty(len(rows), np.int64)
        found = count_rows(
            rows.point,
            rows.ts,
            rows.received_at,
            rows.flags,
            int(Flag.DUPLICATE),
            int(Flag.LATE),
            self._first_at,
            self._hot_first,
            self._hot,
            cold,
        )
        if not found:
            return
        at = cold[:found]
        flags = rows.flags[at]
        repeat, late = (flags & np.uint8(Flag.DUPLICATE)) != 0, (flags & np.uint8(Flag.LATE)) != 0
        self._cold.append(Sparse.of_rows(rows.ts[at] // HOUR_MS, rows.point[at], repeat, late))
        self._cold_rows += len(self._cold[-1])
        if self._cold_rows > PENDING_MAX // 4:
            self._fold()

    def _fold(self) -> None:
        if self._cold:
            self._pending = Sparse.sum([self._pending, *self._cold])
            self._cold, self._cold_rows = [], 0

    def _grow(self, points: int) -> None:
        have = self._hot.shape[1]
        if points <= have:
            return
        points = max(points, len(self._source.current()), len(self._first_at))
        self._first_at = np.concatenate([self._first_at, np.zeros(points - len(self._first_at), np.int64)])
        self._hot = np.concatenate([self._hot, np.zeros((HOT_HOURS, points - have, 3), np.int32)], axis=1)

    def _write(self, hour: int, counts: NDArray[np.int32], log_time_ms: int) -> str:
        interval_ms = np.zeros(len(self._first_at), np.int64)
        known = self._source.current().interval_ms[: len(interval_ms)]
        interval_ms[: len(known)] = known
        path = self._root / f"{hour}-{uuid.uuid4().hex[:12]}.parquet"
        try:
            write_hour(path, hour_table(hour, counts, self._first_at, interval_ms, log_time_ms))
            sync_file(path)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise UnavailableError(f"{path}: cannot be written: {error}") from error
        return path.name

    def _save(self, files: dict[int, str], pending: Sparse) -> _Manifest:
        first, waiting = self._saved.first, ""
        if not np.array_equal(self._first_at, self._first_saved):
            first = f"first-{uuid.uuid4().hex[:12]}.npy"
            _store(self._root / first, self._first_at)
        if len(pending):
            waiting = f"pending-{uuid.uuid4().hex[:12]}.npy"
            _store(self._root / waiting, np.concatenate([pending.keys, pending.counts], axis=1))
        saved = _Manifest(self._position, self._log_time_ms, self._hot_first, dict(files), first, waiting)
        sync_dir(self._root)
        write_atomic(self._root / "manifest.json", json.dumps(asdict(saved)).encode())
        self._first_saved = self._first_at.copy()
        return saved

    def _publish(self) -> None:
        if self._catalog is not None:
            self._catalog.set_files(
                "completeness", [self._root / name for _, name in sorted(self._saved.files.items())]
            )
            self._catalog.publish()


def _load_manifest(path: Path) -> _Manifest:
    if not path.exists():
        return _Manifest()
    try:
        fields = json.loads(path.read_bytes())
        fields["files"] = {int(hour): str(name) for hour, name in fields["files"].items()}
        return _Manifest(**fields)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptionError(
            f"{path}: cannot be read: {error}; remove {path.parent} if the log still holds everything"
        ) from error


def _load(root: Path, name: str, missing: NDArray[np.int64]) -> NDArray[np.int64]:
    if not name:
        return missing
    try:
        array: NDArray[np.int64] = np.load(root / name, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise CorruptionError(
            f"{root / name}: cannot be read: {error}; remove {root} if the log still holds everything"
        ) from error
    return array


def _store(path: Path, array: NDArray[np.int64]) -> None:
    buffer = io.BytesIO()
    np.save(buffer, array)
    write_atomic(path, buffer.getbuffer())
