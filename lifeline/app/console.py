"""The console's process: ``python -m lifeline.app.console CONFIG HOST PORT ENDPOINT PID``, by ``run`` and ``demo``.

A process of its own, reading durable files, the queue's database and the engine's endpoint: nothing that happens here
stalls ingest. Acts of people go into the database by turns with the engine.
"""

from __future__ import annotations

import logging
import os
import resource
import subprocess
import sys
import urllib.request
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from lifeline.app.clock import now_ms
from lifeline.app.latched import read_latched
from lifeline.app.site import load_site
from lifeline.app.status import with_engines_word
from lifeline.core.errors import LifelineError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lifeline.app.site import Site
    from lifeline.config.models import HttpConfig
    from lifeline.console.oidc import Provider
    from lifeline.console.parts import Parts
    from lifeline.console.tls import Tls
    from lifeline.core.ports import Clock

METRICS_S: Final = 2.0


class ConsoleProcess:
    """Starts the console and ends it."""

    def __init__(self, config: Path, host: str, port: int, endpoint: str) -> None:
        from lifeline.console.server import bind

        bind(host, port).close()  # an address in use is said here, not in the child's last words
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "lifeline.app.console", str(config), host, str(port), endpoint, str(os.getpid())],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _metrics(site: Site) -> bytes | None:
    """The engine's metrics, None while it does not answer."""
    try:
        url = orjson.loads(site.status_path.read_bytes())["endpoint"]
        with urllib.request.urlopen(f"{url}/metrics", timeout=METRICS_S) as answer:  # noqa: S310 - our engine's
            data: bytes = answer.read()
            return data
    except (OSError, KeyError, ValueError):
        return None


def make_parts(
    site: Site,
    closing: Callable[[Callable[[], None]], object],
    endpoint: str | None = None,
    clock: Clock = now_ms,
) -> Parts:
    """The console's ports over a site; ``closing`` takes what must be called at the end, ``endpoint`` is the engine's.

    Raises:
        ConfigurationError, UnavailableError: no engine has run here yet, or the database refuses.
    """
    from lifeline.app.http.accounts import HttpAccounts
    from lifeline.app.http.admin import HttpAdmin
    from lifeline.app.http.audit import HttpAudit
    from lifeline.app.http.commands import HttpCommands
    from lifeline.app.http.emergencies import EmergencyReaders, HttpEmergencies
    from lifeline.app.http.points import Points
    from lifeline.app.http.queue import HttpQueue
    from lifeline.app.http.settings import HttpSettings
    from lifeline.app.http.sql import SqlRunner
    from lifeline.app.identity import link, make_accounts
    from lifeline.console.parts import Parts
    from lifeline.console.sources import StatusFile
    from lifeline.governance.database import Database
    from lifeline.governance.desk import GovernanceDesk

    database = Database(site.database_url, create=False)
    closing(database.close)
    points = Points(site)
    desk = GovernanceDesk(site.database_url, clock, last_readings=points.last_readings)
    closing(desk.close)
    audit = HttpAudit(database, clock)
    read_status = StatusFile(site.status_path)
    sql = SqlRunner(site.data, points.key, audit)
    closing(sql.close)
    accounts = make_accounts(database, EmergencyReaders(desk, clock), clock)
    return Parts(
        status=lambda: with_engines_word(read_status, endpoint),
        metrics=lambda: _metrics(site),
        accounts=HttpAccounts(accounts),
        admin=HttpAdmin(accounts, audit, clock, partial(link, site)),
        queue=HttpQueue(desk, points, clock, site.config.site.timezone, lambda: read_latched(site.status_path)),
        settings=HttpSettings(desk, site),
        emergencies=HttpEmergencies(desk),
        commands=HttpCommands(desk, points),
        lake=points,
        sql=sql,
        audit=audit,
    )


def _provider(http: HttpConfig) -> Provider | None:
    if not http.oidc_issuer or http.oidc_secret_file is None:
        return None
    from lifeline.console.oidc import Provider

    try:
        secret = http.oidc_secret_file.read_text().strip()
    except OSError as error:
        raise UnavailableError(f"{http.oidc_secret_file}: cannot be read: {error.strerror}") from error
    return Provider(http.oidc_issuer, http.oidc_client_id, secret, f"{http.base_url}/login/oidc/back")


def main(config: Path, host: str, port: int, endpoint: str, engine: int) -> None:
    """Serve the console until SIGTERM or until the engine (its process id) is gone."""
    from lifeline.app.orphans import die_with_parent
    from lifeline.console.app import create_app
    from lifeline.console.guard import LOCAL_HOSTS
    from lifeline.console.parts import Settings
    from lifeline.console.server import serve

    die_with_parent(engine)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with suppress(ValueError, OSError):  # a stream is a file to the kernel, and there may be a thousand
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    site = load_site(config)
    http = site.config.http
    settings = Settings(
        site=site.config.site.name,
        timezone=site.config.site.timezone,
        hosts=None if http.allow_remote or http.public_url else LOCAL_HOSTS,
        secure=http.secure,
        remote_metrics=site.config.metrics.allow_remote,
        public_url=http.base_url,
        provider=_provider(http),
    )
    tls = _tls(http)
    with ExitStack() as stack:
        app = create_app(make_parts(site, stack.callback, endpoint), settings)
        serve(host, port, app, tls, on_stop=app.state.lifeline.feed.close)


def _tls(http: HttpConfig) -> Tls | None:
    from lifeline.console.tls import Tls

    if http.cert_file is None or http.key_file is None:
        return None
    clients = [None if path is None else str(path) for path in (http.client_ca_file, http.client_crl_file)]
    return Tls(str(http.cert_file), str(http.key_file), *clients)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5]))
    except LifelineError as error:
        sys.exit(f"console: {error}")
