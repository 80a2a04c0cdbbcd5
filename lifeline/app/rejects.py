"""``lifeline rejects list | replay``."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any, Final

import orjson
import pyarrow as pa

from lifeline.app.query import rows_of
from lifeline.app.since import parse_time
from lifeline.app.site import load_site
from lifeline.app.status import engine_runs
from lifeline.core.errors import ConfigurationError, Problem, UnavailableError
from lifeline.core.schema import REASONS, REJECTS
from lifeline.files import write_atomic
from lifeline.lake.query import open_catalog

if TYPE_CHECKING:
    from pathlib import Path

    from lifeline.app.site import Site

REPLAY_MAX: Final = 100_000
"""Rejects in one request: at 4 KiB each, 400 MB."""
ANSWER_S: Final = 120.0
REQUEST: Final = pa.schema([field for field in REJECTS if field.name != "readings"])
"""A request's columns: those of the view ``rejects``."""
NOT_REPLAYED: Final = ("duplicate", "malformed_packet", "oversized")
"""A repeat is in the log already, a broken packet has no payload of its own, an oversized one is cut."""


def _condition(site: Site, reason: str | None, since: str | None, before_ms: int | None = None) -> str:
    if reason is not None and reason not in REASONS:
        remedy = f"one of {', '.join(REASONS)}"
        raise ConfigurationError([Problem("command line", "--reason", f"{reason!r} is no reason", remedy)])
    since_ms = parse_time(since, zone=site.zone)
    parts = ["true"]
    if reason is not None:
        parts.append(f"reason = '{reason}'")
    if since_ms is not None:
        parts.append(f"received_at >= epoch_ms({since_ms})::TIMESTAMPTZ")
    if before_ms is not None:
        parts.append(f"received_at < epoch_ms({before_ms})::TIMESTAMPTZ")
    return " AND ".join(parts)


def list_rejects(
    config: Path, *, reason: str | None, since: str | None, limit: int, cursor: str | None
) -> dict[str, Any]:
    """``{rejects, next}``, newest first; the cursor stays right while new ones come on top.

    Raises:
        ConfigurationError: an unknown reason, a bad cursor, or nothing was published yet.
    """
    offset, total_then = _position(cursor)
    site = load_site(config)
    connection = open_catalog(site.data)
    try:
        where = _condition(site, reason, since)
        total = int(rows_of(connection, f"SELECT count(*) AS n FROM rejects WHERE {where}")[0]["n"])  # type: ignore[call-overload] # noqa: S608 - parts are checked
        grown = max(0, total - total_then) if cursor else 0
        rows = rows_of(
            connection,
            f"SELECT * FROM rejects WHERE {where} ORDER BY received_at DESC, topic, payload "  # noqa: S608 - as above
            f"LIMIT {limit} OFFSET {offset + grown}",
        )
    finally:
        connection.close()
    end = offset + len(rows)
    more = grown + end < total
    return {"rejects": rows, "next": f"{end}.{total - grown}" if more else None}


def _position(cursor: str | None) -> tuple[int, int]:
    if cursor is None:
        return 0, 0
    try:
        offset, total = (int(part) for part in cursor.split("."))
    except ValueError:
        raise ConfigurationError(
            [Problem("command line", "--cursor", f"{cursor!r} is no cursor", "take `next` of the page before")]
        ) from None
    return offset, total


def replay_rejects(config: Path, *, reason: str | None, since: str | None) -> dict[str, Any]:
    """Judge rejects again: ``{tried, accepted, rejected, incomplete}``. What is accepted now is never tried again.

    Raises:
        UnavailableError: the engine does not answer, or the log refuses.
    """
    site = load_site(config)
    rejects = _not_yet_replayed(site, reason, since)
    if rejects.num_rows == 0:
        return {"tried": 0, "accepted": 0, "rejected": 0, "incomplete": 0}
    request = _leave_request(site, rejects)
    if not engine_runs(site):
        _serve_without_engine(site)
    answer = request.with_suffix(".done")
    deadline = time.monotonic() + ANSWER_S
    while not answer.exists():
        if time.monotonic() > deadline:
            raise UnavailableError(f"{request}: the engine has not answered for {ANSWER_S:.0f} s; it will still do it")
        time.sleep(0.1)
    report: dict[str, Any] = orjson.loads(answer.read_bytes())
    still = set(report.pop("still"))
    _remember(site, [row for i, row in enumerate(rejects.to_pylist()) if i not in still])
    answer.unlink()
    return report


def _digest(row: dict[str, Any]) -> bytes:
    text = f"{row['received_at']}\x1f{row['broker']}\x1f{row['topic']}\x1f".encode()
    return hashlib.blake2b(text + row["payload"], digest_size=16).digest()


def _replayed(site: Site) -> set[bytes]:
    path = site.state / "replayed"
    data = path.read_bytes() if path.exists() else b""
    return {data[i : i + 16] for i in range(0, len(data), 16)}


def _remember(site: Site, done: list[dict[str, Any]]) -> None:
    known = _replayed(site) | {_digest(row) for row in done}
    write_atomic(site.state / "replayed", b"".join(sorted(known)))


def _not_yet_replayed(site: Site, reason: str | None, since: str | None) -> pa.Table:
    connection = open_catalog(site.data)
    try:
        excluded = ", ".join(f"'{name}'" for name in NOT_REPLAYED)
        names = ", ".join(REQUEST.names)
        rows = rows_of(
            connection,
            f"SELECT {names} FROM rejects WHERE {_condition(site, reason, since)} AND reason NOT IN ({excluded}) "  # noqa: S608 - parts are checked
            f"ORDER BY received_at LIMIT {REPLAY_MAX}",
        )
    finally:
        connection.close()
    done = _replayed(site)
    return pa.Table.from_pylist([row for row in rows if _digest(row) not in done], schema=REQUEST)


def _leave_request(site: Site, rejects: pa.Table) -> Path:
    site.replay_path.mkdir(parents=True, exist_ok=True)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, rejects.schema) as writer:
        writer.write_table(rejects)
    data = sink.getvalue().to_pybytes()
    path: Path = site.replay_path / f"{hashlib.blake2b(data, digest_size=12).hexdigest()}.arrow"
    write_atomic(path, data)
    return path


def _serve_without_engine(site: Site) -> None:
    from ingest.identity import IdentityWindow
    from lifeline.app.clock import now_ms
    from lifeline.app.decoding import make_decoder
    from lifeline.app.recovering import has_log, open_registry, recall
    from lifeline.app.replaying import ReplayDesk
    from lifeline.log import LocalLog

    ledger = open_registry(site, must_exist=has_log(site))
    log = LocalLog(site.log, clock=now_ms, clock_record_ms=0)
    try:
        window = IdentityWindow()
        recall(window, log)
        ReplayDesk(site.replay_path, make_decoder(site.config, None, ledger, window), log).serve()
    finally:
        log.close()
