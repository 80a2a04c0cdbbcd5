"""The ledger: which (device, quantity) has which point number, durably and for ever.

The lake and the log store point numbers, so a number that is given once is never given to another pair and never taken
back. Two files, both replaced atomically:

    points.parquet         row i is point i: everything known when the engine started
    points-added.parquet   points that ``register`` has added since; merged into the first at the next start

    start     file rows ─┐
              ledger ────┼─► same pair keeps its number; new pairs are appended in row order; attributes are the
              added ─────┘   newest file's; pairs that left the file stay, with their last attributes, as retired
    register  unknown pairs ─► points-added.parquet (fsync, rename, fsync) ─► only then the new registry is visible

A crash between the merge and the removal of ``points-added.parquet`` leaves rows below the length of
``points.parquet``: they are already merged and are checked, then ignored.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lifeline.core.errors import CorruptionError, UnavailableError
from lifeline.core.limits import (
    DEVICE_ID_BYTES_MAX,
    POINTS_MAX,
    POINTS_PER_DEVICE_MAX,
    QUANTITY_BYTES_MAX,
    REGISTERED_MAX,
)
from lifeline.core.registry import Registry
from lifeline.core.schema import AREAS, POINTS, UTILITIES
from lifeline.registry.durable import load_table, remove, replace_table

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LISTED: Final = 0
"""In the newest registry file."""
REGISTERED: Final = 1
"""Added by ``register``; no file has named it yet."""
RETIRED: Final = 2
"""Was in a registry file once, is not in the newest."""

LEDGER: Final = POINTS.append(pa.field("standing", pa.int8(), nullable=False))
ADDED: Final = pa.schema([POINTS.field(name) for name in ("point", "device_id", "quantity", "utility")])


class RegistryLedger:
    """The newest registry (``core.registry.RegistrySource``), backed by the ledger in ``state_dir``.

    ``current`` never blocks; ``register`` may be called from any thread.
    """

    def __init__(
        self,
        state_dir: Path,
        file: pa.Table | None,
        areas: pa.Table | None = None,
        *,
        registered_max: int = REGISTERED_MAX,
        must_exist: bool = False,
    ) -> None:
        """Merge ``file`` (from ``files.read_points``; None: nothing new) into the ledger and make that durable.

        ``must_exist``: log or lake already hold point numbers, so a missing ledger is a loss, not a first start.

        Raises:
            CorruptionError: the ledger's files are damaged, contradict each other, or are missing although
                they ``must_exist``.
            UnavailableError: the ledger could not be written, or the points would exceed ``POINTS_MAX``.
        """
        self._path = state_dir / "points.parquet"
        self._added_path = state_dir / "points-added.parquet"
        self._registered_max = registered_max
        self._lock = threading.Lock()
        self._areas = AREAS.empty_table() if areas is None else areas
        try:
            state_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnavailableError(f"{state_dir}: cannot be made: {error}") from error
        stored = load_table(self._path, LEDGER)
        if stored is None and must_exist:
            raise CorruptionError(
                f"{self._path}: is missing, but stored readings refer to it; restore it from a backup"
            )
        known = self._with_added(LEDGER.empty_table() if stored is None else stored)
        merged = known if file is None else merge(known.cast(LEDGER), file)
        if len(merged) > POINTS_MAX:
            raise UnavailableError(f"{self._path}: {len(merged):,} points with the retired ones, over {POINTS_MAX:,}")
        if stored is None or (merged is not stored and not merged.equals(stored.cast(LEDGER))):
            replace_table(self._path, merged)
        if self._added_path.exists():
            remove(self._added_path)
        self._standing = _array(merged["standing"], np.int8)
        self._added = ADDED.empty_table()
        self._registered = int(np.count_nonzero(self._standing == REGISTERED))
        self.refused = 0
        """Pairs that ``register`` did not take: over a limit, or no usable name."""
        self._current = Registry(merged.select(POINTS.names), self._areas)

    def current(self) -> Registry:
        """The newest registry."""
        return self._current

    @property
    def standing(self) -> NDArray[np.int8]:
        """``LISTED``, ``REGISTERED`` or ``RETIRED`` for each point."""
        extra = len(self._current) - len(self._standing)
        return np.concatenate([self._standing, np.full(extra, REGISTERED, np.int8)])

    def register(self, pairs: list[tuple[str, str, str]]) -> Registry:
        """Append points for (device_id, quantity, utility) triples not known yet; durable on return.

        Pairs over a limit (``REGISTERED_MAX`` in all, ``POINTS_PER_DEVICE_MAX`` a device, ``POINTS_MAX``) or with an
        unusable name are not appended but counted in ``refused``: they stay unknown. An unknown utility is null.

        Raises:
            UnavailableError: the ledger could not be written; nothing was appended.
        """
        with self._lock:
            registry = self._current
            fresh = self._admit(registry, pairs)
            if not fresh:
                return registry
            start = len(registry)
            rows = pa.table(
                {
                    "point": pa.array(range(start, start + len(fresh)), pa.int32()),
                    "device_id": pa.array([device for device, _, _ in fresh], pa.string()),
                    "quantity": pa.array([quantity for _, quantity, _ in fresh], pa.string()),
                    "utility": pa.array([u if u in UTILITIES else None for _, _, u in fresh], pa.string()),
                },
                schema=ADDED,
            )
            added = pa.concat_tables([self._added, rows])
            newer = Registry(pa.concat_tables([registry.points, _widen(rows, POINTS)]).combine_chunks(), self._areas)
            replace_table(self._added_path, added)
            self._added = added
            self._registered += len(fresh)
            self._current = newer
            return newer

    def _admit(self, registry: Registry, pairs: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
        """The unknown pairs that may be appended, in order, each once."""
        unique: dict[tuple[str, str], str] = {}
        for device, quantity, utility in pairs:
            unique.setdefault((device, quantity), utility)
        wanted = [pair for pair in unique if usable(*pair)]
        self.refused += len(unique) - len(wanted)
        if not wanted:
            return []
        known = pc.is_in(_keys_of(wanted), value_set=_keys(registry.select(["device_id", "quantity"]))).to_pylist()
        wanted = [pair for pair, there in zip(wanted, known, strict=True) if not there]
        counts = self._points_a_device(registry, [device for device, _ in wanted])
        room = min(self._registered_max - self._registered, POINTS_MAX - len(registry))
        fresh: list[tuple[str, str, str]] = []
        for device, quantity in wanted:
            if len(fresh) >= room or counts[device] >= POINTS_PER_DEVICE_MAX:
                self.refused += 1
                continue
            counts[device] += 1
            fresh.append((device, quantity, unique[device, quantity]))
        return fresh

    @staticmethod
    def _points_a_device(registry: Registry, devices: list[str]) -> dict[str, int]:
        """How many points each of ``devices`` has already."""
        names = list(dict.fromkeys(devices))
        places = pc.index_in(
            pa.array(names, pa.string()), value_set=pa.array(registry.devices, pa.string())
        ).to_pylist()
        sizes = np.diff(registry.device_ptr)
        return {name: 0 if at is None else int(sizes[at]) for name, at in zip(names, places, strict=True)}

    def _with_added(self, stored: pa.Table) -> pa.Table:
        """The stored ledger with the points added since it was written; checks that both are in order."""
        if not np.array_equal(_array(stored["point"], np.int64), np.arange(len(stored))):
            raise CorruptionError(f"{self._path}: row i is not point i; restore it from a backup")
        added = load_table(self._added_path, ADDED)
        if added is None:
            return stored
        added, stored = added.cast(ADDED), stored.cast(LEDGER)
        points = _array(added["point"], np.int64)
        merged = int(np.count_nonzero(points < len(stored)))
        contiguous = np.array_equal(points, np.arange(len(points)) + (points[0] if len(points) else 0))
        fits = merged > 0 or len(points) == 0 or points[0] == len(stored)
        same = _keys(added.slice(0, merged)).equals(_keys(stored.take(pa.array(points[:merged]))))
        if not (contiguous and fits and same):
            raise CorruptionError(f"{self._added_path}: contradicts {self._path.name}; restore both from a backup")
        rows = _widen(added.slice(merged), LEDGER)
        return pa.concat_tables([stored, rows]).combine_chunks()


def usable(device: str, quantity: str) -> bool:
    """Whether names that arrived from outside may enter the ledger: printable, trimmed, short, valid UTF-8."""
    for name, bytes_max in ((device, DEVICE_ID_BYTES_MAX), (quantity, QUANTITY_BYTES_MAX)):
        # isprintable is false for surrogates too, so encode() cannot fail after it
        if not name or not name.isprintable() or name != name.strip() or len(name.encode()) > bytes_max:
            return False
    return True


def merge(known: pa.Table, file: pa.Table) -> pa.Table:
    """The ledger after a registry file was read: same numbers, newest attributes, new pairs at the end.

    ``known`` has the ``LEDGER`` schema with row i = point i, ``file`` the columns of ``POINTS`` without ``point``.
    """
    place = pc.index_in(_keys(file), value_set=_keys(known))
    point = _array(pc.fill_null(place, -1), np.int64)
    new = point < 0
    point[new] = np.arange(len(known), len(known) + np.count_nonzero(new))
    total = len(known) + int(np.count_nonzero(new))
    # Where each point's row comes from in known ++ file: its file row if it has one, else its old row.
    source = np.arange(total)
    source[point] = len(known) + np.arange(len(file))
    both = pa.concat_tables(
        [known.select(POINTS.names[1:]), file.select(POINTS.names[1:]).cast(pa.schema(list(POINTS)[1:]))]
    )
    standing = np.full(total, LISTED, np.int8)
    standing[: len(known)] = _array(known["standing"], np.int8)
    standing[standing == LISTED] = RETIRED
    standing[point] = LISTED
    columns = [pa.array(np.arange(total, dtype=np.int32)), *both.take(pa.array(source)).combine_chunks().columns]
    return pa.table([*columns, pa.array(standing)], schema=LEDGER)


def _keys(table: pa.Table) -> pa.Array:
    """One text a row that names its pair; the separator cannot be in a usable name."""
    joined = pc.binary_join_element_wise(table["device_id"], table["quantity"], "\x1f")
    return joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined


def _keys_of(pairs: list[tuple[str, str]]) -> pa.Array:
    return pa.array([f"{device}\x1f{quantity}" for device, quantity in pairs], pa.string())


def _widen(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Added rows with the other columns null, as registered ones."""
    columns = []
    for field in schema:
        if field.name in rows.column_names:
            columns.append(rows[field.name])
        elif field.name == "standing":
            columns.append(pa.array(np.full(len(rows), REGISTERED, np.int8)))
        else:
            columns.append(pa.nulls(len(rows), field.type))
    return pa.table(columns, schema=schema)


def _array(column: pa.Array | pa.ChunkedArray, dtype: type[np.integer]) -> NDArray[np.integer]:
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype)
