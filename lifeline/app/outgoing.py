"""The sinks of a site, from their configuration to running workers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from lifeline.app.clock import now_ms
from lifeline.governance.database import Database
from lifeline.governance.outgoing import outbox

if TYPE_CHECKING:
    from lifeline.app.site import Site
    from lifeline.governance.outgoing.worker import Worker

TRIM_MS: Final = 3_600_000


@dataclass
class Outgoing:
    """The workers of a site's sinks, over one database of their own. ``tidy`` is a chore of the engine's."""

    database: Database
    workers: list[Worker] = field(default_factory=list)
    _trimmed_ms: int = 0

    def start(self) -> None:
        """Every worker in its thread; sinks that are no longer configured are forgotten."""
        with self.database.write() as connection:
            outbox.forget_others(connection, [worker.rules.name for worker in self.workers])
        for worker in self.workers:
            worker.start()

    def tidy(self) -> None:
        """Forget, once an hour, what every sink has had long ago."""
        if abs(now_ms() - self._trimmed_ms) >= TRIM_MS:
            self._trimmed_ms = now_ms()
            with self.database.write() as connection:
                outbox.trim(connection, self._trimmed_ms)

    def close(self) -> None:
        """Stop every worker, then close the database."""
        for worker in self.workers:
            worker.stop()
        self.database.close()


def start_sinks(site: Site) -> Outgoing:
    """The sinks of a site, known to the outbox and delivering.

    Raises:
        ConfigurationError: a secret cannot be read.
    """
    outgoing = Outgoing(Database(site.database_url, create=False))
    if site.config.sink:
        from lifeline.app.senders import worker_of  # 50 ms of a start, which one without sinks does not need

        outgoing.workers += [worker_of(sink, site, outgoing.database) for sink in site.config.sink]
    outgoing.start()
    return outgoing
