"""The published catalog: a small DuckDB file of views that anybody may open while the engine writes.

```
 var/catalog/lifeline.duckdb     views over explicit file lists; replaced by rename, never written to in place
 var/catalog/catalog.sql         the same views as text, for any DuckDB version
 var/catalog/manifest.json       the lists, so that a restarted engine does not forget what others published
 var/catalog/tables/*.parquet    snapshots of points, areas, shadow_differences
 var/catalog/mapped/*.arrow      points once more, as a registry keeps them (``lifeline.lake.points``)
 var/catalog/parts/*.parquet     alarms, events, event_log in parts and a tail (``lifeline.lake.parted``)
```

The .duckdb file is written in storage version 64 (DuckDB 0.10 and later read it). Nothing here is fsynced: a catalog is
derived, and a start writes it anew. A replaced snapshot stays for the grace period, so that a query on the catalog of a
minute ago still finds its files. All methods may be called from several threads.
"""

from __future__ import annotations

import io
import json
import threading
import time
import uuid
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from lifeline.core.errors import UnavailableError
from lifeline.core.registry import plain_schema
from lifeline.core.schema import TIME
from lifeline.files import write_atomic
from lifeline.lake.files import GRACE_MS, Trash, make_dir
from lifeline.lake.points import mapped_path, write_points
from lifeline.lake.views import COLUMNS, FILES, KEYS, TABLES, view_queries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lifeline.core.ports import Clock

STORAGE_VERSION = "v0.10.2"

_ARROW = {
    "VARCHAR": pa.string(),
    "INTEGER": pa.int32(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "BLOB": pa.binary(),
    "TIMESTAMP WITH TIME ZONE": TIME,
}


def _wall_clock() -> int:
    return time.time_ns() // 1_000_000


def conform(name: str, table: pa.Table, *, coded: bool = False) -> pa.Table:
    """A table in the stable columns and types of view ``name``; further columns follow, missing ones are null.

    Times may come as epoch milliseconds (int64). ``coded``: dictionaries stay what they are.

    Raises:
        ValueError: a column cannot be converted; names view and column.
    """
    columns: dict[str, pa.ChunkedArray | pa.Array] = {}
    for column, kind in COLUMNS[name].items():
        wanted = _ARROW[kind]
        if column not in table.column_names:
            columns[column] = pa.nulls(table.num_rows, wanted)
            continue
        if coded and plain_schema(pa.schema([table.field(column)])).types == [wanted]:
            columns[column] = table[column]
            continue
        try:
            columns[column] = table[column].cast(wanted)
        except pa.ArrowException as error:
            raise ValueError(f"view {name}, column {column}: {error}") from error
    columns.update({c: table[c] for c in table.column_names if c not in columns})
    return pa.table(columns)


class Catalog:
    """Publisher of ``data_dir/catalog``. One in a process; it takes up what the last one published.

    Args:
        data_dir: The site's data directory.
        grace_ms: How long replaced snapshots stay.
        clock: Epoch milliseconds.
        rest_ms: Between two publications that may wait (``publish``): each is 20 ms of computing.

    Raises:
        UnavailableError: the directory cannot be made.
    """

    def __init__(
        self, data_dir: Path, grace_ms: int = GRACE_MS, clock: Clock = _wall_clock, *, rest_ms: int = 0
    ) -> None:
        self.root = data_dir.resolve() / "catalog"
        self._tables = self.root / "tables"
        self._mapped = mapped_path(self._tables / "points.parquet").parent
        for folder in (self._tables, self._mapped):
            make_dir(folder)
        self._clock = clock
        self._rest_ms = rest_ms
        self._published_ms = clock() - rest_ms
        self._lock = threading.RLock()
        self._trash = Trash(grace_ms)
        self._files: dict[str, list[str]] = {}
        self._extra: dict[str, list[str]] = {}
        self._tails: dict[str, str] = {}
        self._digests: dict[str, bytes] = {}
        self._connection = duckdb.connect()
        self._dirty = True
        self._take_up()

    def set_files(self, name: str, files: Sequence[str | Path]) -> None:
        """Say which Parquet files make up ``readings``, ``rejects`` or ``completeness``; visible after ``publish``.

        Raises:
            ValueError: no such view, or a path with a control character.
        """
        if name not in FILES:
            raise ValueError(f"set_files knows {', '.join(FILES)}, not {name!r}")
        listed = [str(path) for path in files]
        with self._lock:
            if self._files.get(name, []) != listed:
                self._files[name] = listed
                self._dirty = True

    def shows(self, name: str) -> bool:
        """Whether a view has files of its own yet, of this process or one before it."""
        return bool(self._files.get(name))

    @property
    def rests(self) -> bool:
        """Whether it was published so lately that what may wait waits."""
        return 0 <= self._clock() - self._published_ms < self._rest_ms

    def publish_table(self, name: str, table: pa.Table) -> None:
        """Take a snapshot of one of ``TABLES`` (``points``, ``areas``, ``alarms`` …); visible after ``publish``.

        A table equal to the last one is only read: its digest is known, the table itself is not kept.

        Raises:
            ValueError: no such view, or a column of a wrong type.
            UnavailableError: the disk refuses.
        """
        if name not in TABLES:
            raise ValueError(f"publish_table knows {', '.join(TABLES)}, not {name!r}")
        snapshot = conform(name, table, coded=name == "points")
        with self._lock:
            digest = _digest(snapshot)
            if self._digests.get(name) == digest:
                return
            path = self._tables / f"{name}-{uuid.uuid4().hex}.parquet"
            try:
                if name == "points":
                    write_points(snapshot, path)
                else:
                    pq.write_table(snapshot, path, compression="zstd")
            except OSError as error:
                for one in (path, mapped_path(path)):
                    one.unlink(missing_ok=True)
                raise UnavailableError(f"{path}: cannot be written: {error}") from error
            self._discard(name)
            self._digests[name] = digest
            self._tails.pop(name, None)
            self._files[name] = [str(path)]
            self._extra[name] = snapshot.column_names[len(COLUMNS[name]) :]
            self._dirty = True

    def publish_parts(
        self, name: str, parts: Sequence[str], tail: str, columns: Sequence[str], *, apart: bool = False
    ) -> None:
        """Say which Parquet files make up a table whose rows change; visible after ``publish``.

        ``tail`` holds newer rows: those of the parts with the same key are not shown. ``columns``: of all files, in
        order, as ``conform`` puts them. ``apart``: no key of the tail is in a part, so nothing need be looked for at
        each query. Whoever wrote the files keeps them as long as a query may last.

        Raises:
            ValueError: no such view.
        """
        if name not in KEYS:
            raise ValueError(f"publish_parts knows {', '.join(KEYS)}, not {name!r}")
        with self._lock:
            instead = {} if apart else {name: tail}
            if self._files.get(name) == [*parts, tail] and self._tails.get(name) == instead.get(name):
                return
            self._discard(name)
            self._digests.pop(name, None)
            self._files[name] = [*parts, tail]
            self._tails.pop(name, None)
            self._tails |= instead
            self._extra[name] = list(columns[len(COLUMNS[name]) :])
            self._dirty = True

    def publish(self, *, may_wait: bool = False) -> bool:
        """Replace the catalog when something changed since the last time; whether it did.

        ``may_wait``: who calls will soon call again, so it need not be done within ``rest_ms`` of the last time.

        Raises:
            UnavailableError: the disk refuses; the old catalog is untouched.
        """
        with self._lock:
            self._trash.empty(self._clock())
            if not self._dirty or (may_wait and self.rests):
                return False
            queries = view_queries(self._files, self._extra, self._tails)
            manifest = {"files": self._files, "extra": self._extra, "tails": self._tails}
            try:
                self._write_database(queries)
            except (duckdb.Error, OSError) as error:
                self._renew_connection()
                raise UnavailableError(f"{self.root}: catalog cannot be written: {error}") from error
            text = "".join(f"CREATE OR REPLACE VIEW {name} AS\n{query};\n" for name, query in queries.items())
            write_atomic(self.root / "catalog.sql", text.encode(), durable=False)
            write_atomic(self.root / "manifest.json", json.dumps(manifest).encode(), durable=False)
            self._dirty = False
            self._published_ms = self._clock()
            return True

    def _discard(self, name: str) -> None:
        """The snapshot of a table, if there is one, is no longer referred to."""
        old = [path for path in map(Path, self._files.get(name, [])) if path.parent == self._tables]
        self._trash.add([*old, *map(mapped_path, old)], self._clock())

    def _renew_connection(self) -> None:
        """After a failed fsync DuckDB refuses everything until it is opened anew; the next attempt finds it so."""
        with suppress(duckdb.Error):
            self._connection.close()
        self._connection = duckdb.connect()

    def _write_database(self, queries: dict[str, str]) -> None:
        target = self.root / "lifeline.duckdb"
        draft = self.root / f".draft-{uuid.uuid4().hex[:8]}.duckdb"
        run = self._connection.execute
        try:
            run(f"ATTACH '{str(draft).replace(chr(39), chr(39) * 2)}' AS draft (STORAGE_VERSION '{STORAGE_VERSION}')")
            try:
                run("BEGIN")
                for name, query in queries.items():
                    run(f"CREATE VIEW draft.{name} AS {query}")
                run("COMMIT")
            except duckdb.Error:
                with suppress(duckdb.Error):  # the first error is the one to tell
                    run("ROLLBACK")
                    run("DETACH draft")
                raise
            run("CHECKPOINT draft")  # not by closing, which may come after the rename while anything still refers to it
            run("DETACH draft")
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
            draft.with_suffix(".duckdb.wal").unlink(missing_ok=True)

    def _take_up(self) -> None:
        """Continue with the lists of the last process; what it no longer refers to starts its grace period."""
        try:
            manifest = json.loads((self.root / "manifest.json").read_bytes())
            files = {str(k): [str(p) for p in v] for k, v in manifest["files"].items()}
            extra = {str(k): [str(c) for c in v] for k, v in manifest["extra"].items()}
            tails = {str(k): str(v) for k, v in manifest.get("tails", {}).items()}
        except (OSError, ValueError, KeyError, AttributeError):
            files, extra, tails = {}, {}, {}
        for name in (*TABLES, *FILES):
            if files.get(name) and all(_readable(path) for path in files[name]):
                self._files[name] = files[name]
                self._extra[name] = extra.get(name, [])
                if name in tails:
                    self._tails[name] = tails[name]
        used = {Path(path) for name in TABLES for path in self._files.get(name, [])}
        used |= set(map(mapped_path, used))
        there = [*self._tables.glob("*.parquet"), *self._mapped.glob("*.arrow")]
        self._trash.add([path for path in there if path not in used], self._clock())
        for draft in self.root.glob(".*"):
            draft.unlink(missing_ok=True)


class _Hashing(io.RawIOBase):
    """A file that keeps nothing but a digest of what is written to it."""

    def __init__(self) -> None:
        self.hash = blake2b(digest_size=16)

    def writable(self) -> bool:
        """Nothing else."""
        return True

    def write(self, data: Any) -> int:
        """Take bytes in."""
        self.hash.update(data)
        return memoryview(data).nbytes


def _digest(table: pa.Table) -> bytes:
    """Of all that is in a table: schema and values, as Arrow would send them."""
    sink = _Hashing()
    with pa.ipc.new_stream(pa.PythonFile(sink, "w"), table.schema) as stream:
        stream.write_table(table.combine_chunks())
    return sink.hash.digest()


def _readable(path: str) -> bool:
    try:
        pq.read_metadata(path)
    except (OSError, pa.ArrowException):
        return False
    return True
