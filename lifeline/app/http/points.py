"""Registry, readings and last values for the console, over the published catalog and the memory-mapped values.

Questions to the catalog (``newest``) are ours alone: analysts' SQL runs elsewhere.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from lifeline.app.http.newest import NewestCatalog
from lifeline.console.problem import ProblemError
from lifeline.core.errors import UnavailableError
from lifeline.core.personal import possible_ids
from lifeline.core.principal import area_prefixes
from lifeline.files import write_atomic
from lifeline.governance.recheck import LastReading
from lifeline.lake.scope import HOUSEHOLD_PREFIX, MASK_PREFIX, clause, masked_columns, pseudonym

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from lifeline.app.site import Site
    from lifeline.console.ports import Page, Row, Within

HOUSEHOLDS_KNOWN_MAX: Final = 200_000
"""Devices of which it is remembered whether they are a household's."""
COLUMNS: Final = (
    "point", "device_id", "quantity", "unit", "utility", "kind", "span_low", "span_high", "interval_s", "lon", "lat",
    "area_code", "asset_id", "owner",
)  # fmt: skip
LIVE_COLUMNS: Final = ("point", "device_id", "quantity", "unit")


class Points:
    """``lifeline.console.ports.LakePort`` of a site."""

    def __init__(self, site: Site) -> None:
        self._catalog = NewestCatalog(site.data)
        self._live_path = site.live_path
        self.key = pseudonym_key(site.state / "pseudonym.key")
        self._households: dict[str, bool] = {}
        self._live: Any = None
        self._live_lock = threading.Lock()

    # --- registry ----------------------------------------------------------------------------------------------

    def list_points(
        self, within: Within, *, masked: bool, cursor: str | None = None, limit: int = 100, **filters: Any
    ) -> Page:
        """By point number."""
        where, given = self._where(within, filters, masked=masked)
        where.append("point > ?")
        given.append(_after(cursor))
        columns = masked_columns(COLUMNS, self.key) if masked else ", ".join(COLUMNS)
        sql = f"SELECT {columns} FROM points WHERE {' AND '.join(where)} ORDER BY point LIMIT {int(limit) + 1}"  # noqa: S608 - our own words
        rows = self._catalog.rows(sql, given)
        for row in rows:
            row["masked"] = masked
        return _page(rows, limit, "point")

    def place_of(self, device: str, *, masked: bool) -> Row | None:
        """Where a device is, for the rights to command it: ``device_id`` (the real one), utility, area_code; or None.

        ``masked``: a household's device is known by its pseudonym only.
        """
        sql = f"SELECT device_id, utility, area_code FROM points WHERE {self._device(device, masked=masked)} LIMIT 1"  # noqa: S608 - our own words
        found = self._catalog.rows(sql, [device])
        return found[0] if found else None

    def list_areas(
        self, *, level: str | None = None, parent: str | None = None, cursor: str | None = None, limit: int = 1000
    ) -> Page:
        """By code."""
        given = [level, level, parent, parent, cursor or "", limit + 1]
        rows = self._catalog.rows(
            "SELECT area_code, level, name, parent_code, lon, lat FROM areas WHERE (? IS NULL OR level = ?) "
            "AND (? IS NULL OR parent_code = ?) AND area_code > ? ORDER BY area_code LIMIT ?",
            given,
        )
        return _page(rows, limit, "area_code")

    def mask_alarms(self, rows: Sequence[Row]) -> None:
        """Give the household devices among alarms their pseudonyms, in place."""
        hidden = self.pseudonyms(row["device_id"] for row in rows)
        for row in rows:
            row["device_id"] = hidden.get(row["device_id"], row["device_id"])

    def mask_events(self, rows: Sequence[Row]) -> None:
        """The same for events of one device: in their place and title, in place."""
        hidden = self.pseudonyms(row["place"] for row in rows if row["place_kind"] == "device")
        for row in rows:
            mask = hidden.get(row["place"])
            if mask is not None:
                row["title"] = row["title"].replace(row["place"], mask)
                row["place"] = mask

    def mask_texts(self, texts: Sequence[tuple[Row, str]], devices: Iterable[str] = ()) -> None:
        """Put pseudonyms for the ids of household devices in what is written, in place: (row, column) of each text.

        ``devices``: those that may be meant whatever their ids look like.
        """
        words = set(devices).union(*(possible_ids(row[name] or "") for row, name in texts))
        hidden = sorted(self.pseudonyms(words).items(), key=lambda pair: -len(pair[0]))
        for row, name in texts if hidden else ():
            for device, mask in hidden:
                row[name] = (row[name] or "").replace(device, mask)

    def pseudonyms(self, devices: Iterable[str]) -> dict[str, str]:
        """The pseudonyms of those devices that are a household's."""
        wanted, known = set(devices), self._households
        # taken out before anything else: another thread may begin the memory anew, and who is forgotten is no stranger
        told = {device: known.get(device) for device in wanted}
        unknown = [device for device, household in told.items() if household is None]
        if unknown:
            marks = ", ".join("?" for _ in unknown)
            home = f"SELECT DISTINCT device_id FROM points WHERE kind LIKE '{HOUSEHOLD_PREFIX}%'"  # noqa: S608 - our own
            found = {row["device_id"] for row in self._catalog.rows(f"{home} AND device_id IN ({marks})", unknown)}
            if len(known) > HOUSEHOLDS_KNOWN_MAX:
                known.clear()
            fresh = {device: device in found for device in unknown}
            known.update(fresh)
            told |= fresh
        return {device: pseudonym(self.key, device) for device, household in told.items() if household}

    # --- readings ----------------------------------------------------------------------------------------------

    def readings(
        self, device: str, quantity: str, start: int | None, end: int | None, points_max: int, *, masked: bool
    ) -> Row:
        """Readings of one point, with its area and utility for the judge of rights."""
        where, given = self._where(None, {"quantity": quantity}, masked=masked)
        where.append(self._device(device, masked=masked))
        found = self._catalog.rows(
            f"SELECT point, unit, utility, area_code FROM points WHERE {' AND '.join(where)}",  # noqa: S608 - our own words
            [*given, device],
        )
        if not found:
            raise ProblemError("not-found", f"there is no point {device}/{quantity} within your areas and utilities")
        point = found[0]
        low, high = start or 0, end if end is not None else 4_102_444_800_000
        span = (
            "point = ? AND ts >= make_timestamptz(?) AND ts < make_timestamptz(?) AND value IS NOT NULL AND quality < 2"
        )
        of = [point["point"], low * 1000, high * 1000]
        with self._catalog.ask() as connection:
            counted = connection.execute(
                f"SELECT count(*), epoch_ms(min(ts)), epoch_ms(max(ts)) FROM readings_raw WHERE {span}",  # noqa: S608 - our own words
                of,
            ).fetchone()
            assert counted is not None
            rows, first, last = counted
            if rows <= points_max:
                bucket = None
                sql = f"SELECT epoch_ms(ts), value FROM readings_raw WHERE {span} ORDER BY ts"  # noqa: S608 - our own words
                values = connection.execute(sql, of).fetchall()
            else:
                # two readings a stretch: the extremes, each at its own time, so that no peak is lost
                bucket = -(-(last - first + 1) // (points_max // 2))
                sql = (
                    "SELECT epoch_ms(arg_min(ts, value)) AS a, min(value), epoch_ms(arg_max(ts, value)) AS b, "  # noqa: S608 - our own words
                    "max(value) "
                    f"FROM readings_raw WHERE {span} GROUP BY (epoch_ms(ts) - ?) // ? ORDER BY a"
                )
                values = []
                for a, lowest, b, highest in connection.execute(sql, [*of, first, bucket]).fetchall():
                    pair = [(a, lowest)] if a == b else sorted([(a, lowest), (b, highest)])
                    values += pair
        return point | {
            "device_id": device,
            "quantity": quantity,
            "rows": rows,
            "downsampled": bucket is not None,
            "bucket_ms": bucket,
            "readings": sorted(values),
        }

    # --- last values -------------------------------------------------------------------------------------------

    def live(
        self, within: Within, *, masked: bool, cursor: str | None = None, limit: int = 1000, **filters: Any
    ) -> Row:
        """``{values, position, next}`` by point number."""
        rows, following = self.list_points(within, masked=masked, cursor=cursor, limit=limit, **filters)
        position, last = self._last([row["point"] for row in rows])
        values = [{name: row[name] for name in LIVE_COLUMNS} | last[i] for i, row in enumerate(rows)]
        return {"values": values, "position": position, "next": following}

    def live_arrow(self, within: Within, *, masked: bool) -> bytes:
        """point, device_id, quantity, unit, ts, received_at, value, quality, flags of every point that has reported."""
        where, given = self._where(within, {}, masked=masked)
        columns = masked_columns(LIVE_COLUMNS, self.key) if masked else ", ".join(LIVE_COLUMNS)
        sql = f"SELECT {columns} FROM points WHERE {' AND '.join(where)} ORDER BY point"  # noqa: S608 - our own words
        with self._catalog.ask() as connection:
            table: pa.Table = connection.sql(sql, params=given).to_arrow_table()
        points = table["point"].to_numpy().astype(np.int32)
        values = self._read(points)
        instant = pa.timestamp("ms", "UTC")
        for name in ("device_id", "quantity", "unit"):
            index = table.schema.get_field_index(name)
            table = table.set_column(index, name, table[name].dictionary_encode())
        table = table.append_column("ts", pa.array(values.ts).cast(instant))
        table = table.append_column("received_at", pa.array(values.received_at).cast(instant))
        for name in ("value", "quality", "flags"):
            table = table.append_column(name, pa.array(getattr(values, name)))
        table = table.filter(pa.array(values.seen))
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table, 1 << 16)
        data: bytes = sink.getvalue().to_pybytes()
        return data

    def last_readings(self, points: Sequence[int]) -> dict[int, LastReading]:
        """The newest readings, for the check by telemetry before an event is closed; none while no engine has run."""
        known = {}
        try:
            _, rows = self._last(list(points))
        except UnavailableError:
            return {}
        for point, row in zip(points, rows, strict=True):
            if row["ts"] is not None:
                known[point] = LastReading(row["ts"], row["received_at"], row["value"], row["quality"])
        return known

    def _last(self, points: list[int]) -> tuple[int, list[Row]]:
        values = self._read(np.array(points, np.int32))
        rows = []
        for i in range(len(points)):
            seen = bool(values.seen[i])
            value = float(values.value[i])
            rows.append(
                {
                    "ts": int(values.ts[i]) if seen else None,
                    "received_at": int(values.received_at[i]) if seen else None,
                    "value": value if seen and value == value else None,  # noqa: PLR0124 - NaN is a null reading
                    "quality": int(values.quality[i]) if seen else None,
                }
            )
        return values.position, rows

    def _read(self, points: np.ndarray) -> Any:
        """Last values. Raises UnavailableError, also while the engine has yet to make room for new points."""
        with self._live_lock:
            if self._live is None:
                from lifeline.live.reader import LiveReader  # numba: only for those who ask for last values

                self._live = LiveReader(self._live_path)
            try:
                return self._live.read(points)
            except IndexError:
                message = "the engine has not taken over the newest points of the registry; try again"
                raise UnavailableError(message) from None

    # --- how ---------------------------------------------------------------------------------------------------

    def _where(self, within: Within, filters: dict[str, Any], *, masked: bool) -> tuple[list[str], list[Any]]:
        where, given = ["true"], []
        for name in ("quantity", "utility", "kind"):
            if filters.get(name) is not None:
                where.append(f"{name} = ?")
                given.append(filters[name])
        if filters.get("device"):
            # what begins like a household's id would tell whether there is such a household
            where.append(f"starts_with(device_id, ?){_NOT_HOUSEHOLD if masked else ''}")
            given.append(filters["device"])
        if filters.get("area"):
            prefixes = area_prefixes(filters["area"])
            where.append("(" + " OR ".join("starts_with(area_code, ?)" for _ in prefixes) + ")")
            given += prefixes
        if within is not None:
            where.append(clause(within))
        return where, given

    def _device(self, device: str, *, masked: bool) -> str:
        if device.startswith(MASK_PREFIX):
            return f"kind LIKE '{HOUSEHOLD_PREFIX}%' AND {masked_columns(('device_id',), self.key, plain=True)} = ?"
        return f"device_id = ?{_NOT_HOUSEHOLD if masked else ''}"


_NOT_HOUSEHOLD: Final = f" AND (kind IS NULL OR kind NOT LIKE '{HOUSEHOLD_PREFIX}%')"


def pseudonym_key(path: Path) -> str:
    """The site's secret for pseudonyms, made at the first start."""
    if not path.exists():
        write_atomic(path, os.urandom(32).hex().encode(), private=True)
    return path.read_text().strip()


def _after(cursor: str | None) -> int:
    if cursor is None:
        return -1
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 10):
        raise ProblemError("invalid", f"{cursor[:60]!r} is no cursor; pass the `next` of the page before, unchanged")
    return int(cursor)


def _page(rows: list[Row], limit: int, key: str) -> Page:
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], str(rows[limit - 1][key])
