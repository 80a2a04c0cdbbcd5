"""The console's process: ``python -m lifeline.app.console CONFIG HOST PORT ENDPOINT PID``, by ``run`` and ``demo``.

A process of its own, reading only durable files and the engine's endpoint: nothing that happens here stalls ingest.
"""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from lifeline.app.queue import open_desk
from lifeline.app.site import load_site
from lifeline.app.status import with_engines_word
from lifeline.core.errors import LifelineError, UnavailableError

if TYPE_CHECKING:
    from lifeline.app.site import Site

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


def _events(config: Path, **filters: Any) -> dict[str, Any]:
    arguments = {
        "level": None,
        "status": None,
        "area": None,
        "utility": None,
        "since": None,
        "limit": 50,
        "cursor": None,
    }
    with open_desk(config) as desk:
        return desk.list_events(**(arguments | filters))


def main(config: Path, host: str, port: int, endpoint: str, engine: int) -> None:
    """Serve the console until SIGTERM or until the engine (its process id) is gone."""
    from lifeline.app.orphans import die_with_parent
    from lifeline.console.app import LOCAL_HOSTS, create_app
    from lifeline.console.server import serve
    from lifeline.console.sources import StatusFile

    die_with_parent(engine)
    site = load_site(config)
    read_status = StatusFile(site.status_path)
    app = create_app(
        lambda: with_engines_word(read_status, endpoint),
        lambda **filters: _events(config, **filters),
        lambda: _metrics(site),
        site=site.config.site.name,
        timezone=site.config.site.timezone,
        hosts=None if site.config.http.allow_remote else LOCAL_HOSTS,
    )
    serve(host, port, app)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5]))
    except (LifelineError, UnavailableError) as error:
        sys.exit(f"console: {error}")
