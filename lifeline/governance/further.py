"""Sums of districts that cases from elsewhere make, for a queue from before they were kept: once, beside it.

    snapshot     what is on record adds up to W, what the tables hold already to H     no lock: everybody works on
    transaction  the tables get W - H                                                   a few thousand counters

Whoever changes an event meanwhile writes the difference that the change makes, as ever: before the snapshot it is in
both W and H, after it in neither. So the tables end as if they had always been kept, whatever happened meanwhile.
Millions of events take some ten seconds to read, for which no alarm should wait; till then those sums lack what is old.
"""

from __future__ import annotations

import logging
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Final

from sqlalchemy import select

from lifeline.core.errors import LifelineError
from lifeline.governance.database import Database
from lifeline.governance.schema import MEASURES, events, kpi_days, kpi_times
from lifeline.governance.settings import FURTHER, read_setting, write_setting
from lifeline.governance.store import store_sums
from lifeline.governance.sums import ALSO, Sums

if TYPE_CHECKING:
    from sqlalchemy import Connection

LOG: Final = logging.getLogger(__name__)


class FurtherSums:
    """Counts them on a thread of its own when ``keep``, a chore of the engine, finds that nobody has."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._thread: threading.Thread | None = None
        self._done = False

    def keep(self) -> None:
        """Begin where it is needed; what the database refused is begun again. Cheap otherwise."""
        if self._done or (self._thread is not None and self._thread.is_alive()):
            return
        self._thread = threading.Thread(target=self._count, name="count-further", daemon=True)
        self._thread.start()

    def _count(self) -> None:
        try:
            with closing(Database(self._url, create=False)) as database:
                count_further(database)
        except LifelineError as error:
            LOG.warning("sums of districts that cases from elsewhere make: %s; trying again", error)
        else:
            self._done = True


def count_further(database: Database) -> bool:
    """Count what is not counted yet; whether that was so.

    Raises:
        UnavailableError: the database refuses; nothing was changed.
    """
    with database.read() as connection:
        timezone = read_setting(connection, "timezone")
        if timezone is None or read_setting(connection, FURTHER) is not None:
            return False
        sums = Sums(timezone)
        query = select(events).where(events.c.also_in.is_not(None)).execution_options(yield_per=10_000)
        for row in connection.execute(query).mappings():
            sums.add_further(dict(row))
        _take_away(connection, sums)
    with database.write() as connection:
        if read_setting(connection, FURTHER) is not None or read_setting(connection, "timezone") != timezone:
            return False  # another start has counted everything anew
        store_sums(connection, sums)
        write_setting(connection, FURTHER, "1")
    return True


def _take_away(connection: Connection, sums: Sums) -> None:
    """What the tables hold already."""
    for row in connection.execute(_DAYS).mappings():
        cell = sums.days[row["scope"], row["day"], row["district"], row["key"], row["utility"]]
        cell.subtract({name: row[name] for name in MEASURES})
    for row in connection.execute(_TIMES).mappings():
        key = (row["scope"], row["day"], row["district"], row["key"], row["measure"], row["bucket"])
        sums.times[key] -= row["n"]


_DAYS: Final = select(kpi_days).where(kpi_days.c.scope.startswith(ALSO, autoescape=True))
_TIMES: Final = select(kpi_times).where(kpi_times.c.scope.startswith(ALSO, autoescape=True))
