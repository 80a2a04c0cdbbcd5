"""``lifeline run``: a site from its configuration until a signal."""

from __future__ import annotations

import gc
import logging
import signal
import sys
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from lifeline.app.assembly import assemble
from lifeline.app.compiled import ensure_warm, outlive_refused_caches
from lifeline.app.console import ConsoleProcess
from lifeline.app.endpoint import Endpoint
from lifeline.app.memory import settle_allocator
from lifeline.app.site import load_site
from lifeline.app.threads import settle_threads

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lifeline.app.assembly import Assembly


class Line(Protocol):
    """A place for the live status."""

    def update(self, status: dict[str, Any]) -> None:
        """Show a status."""
        ...

    def say(self, text: str) -> None:
        """Say a sentence."""
        ...

    def close(self) -> None:
        """Take the line away."""
        ...


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM and Ctrl-C set; the former handlers come back afterwards."""
    stop = threading.Event()
    former = {sig: signal.signal(sig, lambda *_: stop.set()) for sig in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for sig, handler in former.items():
            signal.signal(sig, handler)


@contextmanager
def running(config: Path, *, console_port: int | None) -> Iterator[Assembly]:
    """A started site: engine, endpoint, console; stopped in order at the end (``assembly.clean`` says how well).

    Raises:
        ConfigurationError, UnavailableError, CorruptionError: the site cannot start.
    """
    settle_allocator(starting=True)
    settle_threads()
    outlive_refused_caches()
    site = load_site(config)
    with ExitStack() as stack:
        assembly = assemble(site)
        gc.enable()
        stack.callback(assembly.close)
        stack.callback(gc.unfreeze)
        address = site.config.metrics.address
        endpoint = Endpoint(address.host, address.port, assembly.metrics.registry, assembly.board.readiness)
        stack.callback(endpoint.close)
        assembly.board.endpoint = endpoint.url
        assembly.engine.start()
        stack.callback(assembly.stop)
        if threading.current_thread() is threading.main_thread():
            former = signal.signal(signal.SIGHUP, lambda *_: assembly.watch.ask())
            stack.callback(signal.signal, signal.SIGHUP, former)
        if console_port is not None:
            console = ConsoleProcess(config, site.config.http.address.host, console_port, endpoint.url)
            stack.callback(console.close)
        yield assembly


def run_site(config: Path, line: Line | None, *, with_console: bool) -> bool:
    """Run until SIGTERM or Ctrl-C; True when the stop was clean.

    Raises:
        ConfigurationError, UnavailableError, CorruptionError: the site cannot start.
    """
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    site = load_site(config)
    port = site.config.http.address.port if with_console else None
    ensure_warm(line.say if line is not None else logging.getLogger(__name__).info)
    with stop_on_signals() as stop, running(config, console_port=port) as assembly:
        if port is not None:
            from lifeline.app.identity import first_words  # what it needs is the console's, not the engine's

            for words in first_words(site):  # on stderr even when quiet: nobody could get in otherwise
                sys.stderr.write(f"{words}\n")
            sys.stderr.flush()
        if line is not None:
            for name, url in assembly.broker_urls.items():
                line.say(f"broker {name}: {url}")
            if port is not None:
                line.say(f"console: {site.config.http.base_url}")
        try:
            assembly.engine.run(stop, line.update if line is not None else None)
        finally:
            if line is not None:
                line.close()
    return assembly.clean
