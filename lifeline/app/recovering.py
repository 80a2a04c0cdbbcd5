"""How a site begins where it ended: its registry, its log, and what the log's newest readings were.

The log is owned from ``recover`` on; nothing but the registry is touched before.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from lifeline.app.binding import Binding
from lifeline.app.clock import now_ms
from lifeline.core.errors import CorruptionError, UnavailableError
from lifeline.core.limits import LOG_KEPT_BYTES
from lifeline.files import make_directory, write_atomic
from lifeline.log import TAIL_BYTES, LocalLog
from lifeline.registry import RegistryLedger, read_areas, read_points

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future

    from ingest.identity import IdentityWindow
    from lifeline.app.site import Site
    from lifeline.core.batch import LogRecord, Readings
    from lifeline.core.metrics import Metrics
    from lifeline.core.ports import Follower
    from rules.rule_set import RuleSet

RECORDS_BACK: Final = 64
ROWS_BACK: Final = 1 << 18
"""The log is read back by so many records at a time at most, and one by one where they bring so many rows."""


def has_log(site: Site) -> bool:
    """Whether readings were ever stored here; to be asked before the log is opened, which begins one."""
    return any(site.log.glob("*.log"))


def open_registry(site: Site, *, must_exist: bool) -> RegistryLedger:
    """The registry of a site, with every new point numbered durably.

    ``must_exist``: stored readings refer to point numbers (``has_log``), so a missing ledger is a loss.

    Raises:
        ConfigurationError: the registry or the areas file is wrong.
    """
    config = site.config.registry
    make_directory(site.state)
    areas = read_areas(config.areas) if config.areas else None
    if config.file is None:
        return RegistryLedger(site.state, None, areas, must_exist=must_exist)
    # a file that was merged before, to the byte, is not read, checked and merged again: a restart is a second faster
    merged, digest = site.state / "points.merged", blake2b(config.file.read_bytes()).hexdigest().encode()
    try:
        known = must_exist and merged.exists() and merged.read_bytes() == digest
    except OSError as error:
        raise UnavailableError(f"{merged}: cannot be read: {error}") from error
    ledger = RegistryLedger(site.state, None if known else read_points(config.file), areas, must_exist=must_exist)
    write_atomic(merged, digest)
    return ledger


def recover(
    site: Site, rule_set: RuleSet, window: IdentityWindow, metrics: Metrics
) -> tuple[RegistryLedger, Binding, LocalLog, Future[None]]:
    """Registry and log; the rules are being bound, and the window recalls: no repeat is recognised before it is done.

    The log is owned from here on: nothing but the registry is touched before. The two longest parts of a restart go on
    beside the databases.

    Raises:
        ConfigurationError, UnavailableError, CorruptionError: as ``assemble``.
    """

    def open_log() -> LocalLog:
        return LocalLog(site.log, clock=now_ms, metrics=metrics, tail_bytes=TAIL_BYTES, kept_bytes=LOG_KEPT_BYTES)

    aside = ThreadPoolExecutor(1, "recover")
    try:
        # a first start numbers the points before there is a log: killed in between, the next one must not find a log
        # whose registry seems lost
        opening = aside.submit(open_log) if has_log(site) else None
        ledger = open_registry(site, must_exist=opening is not None)
        binding = Binding(rule_set, ledger, site.config.site.timezone)
        log = open_log() if opening is None else opening.result()
        return ledger, binding, log, aside.submit(recall, window, log)
    finally:
        aside.shutdown(wait=False)


def check_positions(site: Site, log: LocalLog, followers: Sequence[Follower]) -> None:
    """Raises CorruptionError when a follower has consumed more than the log holds."""
    for follower in followers:
        if follower.position > log.committed:
            raise CorruptionError(
                f"{site.log}: ends at record {log.committed}, but {follower.name} has consumed up to "
                f"{follower.position}: the log was taken away; put it back, or start with an empty data directory"
            )


def recall(window: IdentityWindow, log: LocalLog) -> None:
    """Have the window remember what the log holds, and nothing else: its newest rows, as many as the window keeps.

    The log holds more of them when the rules' checkpoint is old.
    """
    newest: list[Readings] = []  # newest first; views of what was read once
    start, found, back = log.committed, 0, 1
    while start >= log.first and found < window.rows_kept:
        last, start = start, max(start - back, log.first - 1)
        chunk = [record.readings for record in _records(log, start, last) if len(record.readings)]
        newest += reversed(chunk)
        found += sum(rows.unique_rows for rows in chunk)
        back = min(2 * back, RECORDS_BACK) if sum(map(len, chunk)) < ROWS_BACK else 1
    window.rebuild(reversed(newest))


def _records(log: LocalLog, after: int, last: int) -> Iterator[LogRecord]:
    """The records past ``after`` up to ``last``."""
    while after < last and (records := log.read(after, records_max=last - after)):
        yield from records
        after = records[-1].lsn
