"""``lifeline check``: everything that can be wrong before a start; with ``--live`` what the brokers really send.

Live listening changes nothing: a client id of its own, a clean session that ends with it, QoS 0 (so nothing is
acknowledged and nothing is taken from the engine), and no log.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from random import SystemRandom
from typing import TYPE_CHECKING, Any, Final

from ingest.broker import Subscribe
from ingest.collector import Collector
from ingest.paho_collector import PahoCollector
from lifeline.app.brokers import broker_settings
from lifeline.app.clock import now_ms
from lifeline.app.compiled import ensure_warm
from lifeline.app.decoding import make_decoder
from lifeline.app.overriding import check_policy
from lifeline.app.reference import check_reference
from lifeline.app.rule_doubts import blind
from lifeline.app.settings import kept_where
from lifeline.app.site import load_site
from lifeline.core.errors import ConfigurationError
from lifeline.core.limits import READ_BYTES_MAX
from lifeline.core.registry import Registry
from lifeline.core.schema import AREAS, POINTS, Flag
from lifeline.registry import read_areas, read_points
from rules.evaluate import RuleMachine
from rules.rule_set import RuleSet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lifeline.config import BrokerConfig, Config
    from lifeline.core.batch import IngestBatch, LogRecord
    from lifeline.core.errors import Problem
    from lifeline.core.ports import OnCommit

SHOWN: Final = 20
"""Readings and rejects shown of each broker."""

CONNECT_S: Final = 10.0
"""How long a broker has to take us in; listening begins after it."""

REMEDIES: Final = (
    (
        ("mismatch, certificate is not valid", "doesn't match", "not valid for"),
        "`url` must name the broker as its certificate does (subjectAltName)",
    ),
    (("certificate has expired",), "renew the broker's certificate"),
    (("certificate is not yet valid",), "set the clock of this machine or of the one that made the certificate"),
    (
        ("self-signed certificate", "unable to get local issuer"),
        "`ca_file` must hold the authority that signed the broker's certificate",
    ),
    (
        ("certificate revoked",),
        "the authority of `crl_file` has taken the broker's certificate back: give it a new one",
    ),
    (("unable to get certificate CRL", "CRL has expired"), "`crl_file` needs a current list of that very authority"),
    (
        ("ALERT_CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE", "ALERT_BAD_CERTIFICATE"),
        "the broker wants a certificate of ours that it accepts: `cert_file` and `key_file`",
    ),
    (
        ("ALERT_UNKNOWN_CA",),
        "the broker does not know who signed `cert_file`: its authority must be the broker's `cafile`",
    ),
    (
        ("WRONG_VERSION_NUMBER", "reset by peer", "EOF occurred", "UNEXPECTED_EOF", "closed the connection"),
        "does the scheme of `url` fit the port (mqtt 1883, mqtts 8883), and does the broker's log say more?",
    ),
    (
        ("Connection refused", "timed out", "No route"),
        "does the broker run, and does a firewall let us reach that port?",
    ),
    (("Name or service not known", "name resolution"), "no such host here: check `url` and the name server"),
    (
        ("Not authorized", "not authorised", "user name or password"),
        "check `username` and `password_file` in the broker's own list",
    ),
)
"""Words of an error, and where to look; the first that fits holds."""


class FixedRegistry:
    """A registry that is only looked at: what would be registered is unknown here."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def current(self) -> Registry:
        """The registry."""
        return self._registry

    def register(self, pairs: list[tuple[str, str, str]]) -> Registry:
        """Nothing is registered by a check."""
        del pairs
        return self._registry


class Window:
    """A ``Log`` that keeps the first rows to show them, and makes nothing durable."""

    committed = 0
    first = 1
    fault = None

    def __init__(self) -> None:
        self.batches: list[IngestBatch] = []
        self.messages = 0
        self._lock = threading.Lock()

    def append(self, batch: IngestBatch, on_commit: OnCommit) -> None:
        """Keep the first ones."""
        with self._lock:
            if sum(len(kept.readings) for kept in self.batches) < SHOWN or batch.rejects is not None:
                self.batches.append(batch)
                del self.batches[100:]
        on_commit(None)

    def offer(self, batch: IngestBatch, on_commit: OnCommit) -> bool:
        """There is always room."""
        self.append(batch, on_commit)
        return True

    def read(self, after: int, records_max: int = 64, bytes_max: int = READ_BYTES_MAX) -> list[LogRecord]:
        """Nothing is kept."""
        del after, records_max, bytes_max
        return []

    def wait(self, after: int, timeout_s: float) -> bool:
        """Nothing comes."""
        del after, timeout_s
        return False

    def trim(self, before: int) -> None:
        """Nothing to trim."""

    def close(self) -> None:
        """Nothing to close."""


def check_site(config_path: Path, live_s: float | None, say: Callable[[str], None]) -> dict[str, Any]:
    """Figures of a sound site, with ``live`` per broker when asked. ``say`` is told what takes long.

    ``ok`` is False when a broker could not be reached.

    Raises:
        ConfigurationError: every problem of configuration, registry and rules at once.
    """
    site = load_site(config_path)
    config = site.config
    problems: list[Problem] = []
    registry = _registry(config, problems)
    rules = None
    try:
        rules = RuleSet.load(config.rule_files)
    except ConfigurationError as error:
        problems += error.problems
    problems += check_policy(site, rules)
    problems += check_reference(site)
    if problems or rules is None:
        raise ConfigurationError(problems)
    machine = RuleMachine(rules, registry, config.site.timezone)
    report: dict[str, Any] = {
        "ok": True,
        "points": len(registry),
        "devices": registry.device_count,
        "rules": len(rules.rules),
        "warnings": blind(rules, registry),
        "unknown_quantities": machine.unknown_quantities(),
        "brokers": [broker.name for broker in config.broker],
        "settings": kept_where(site),
    }
    if live_s is not None:
        ensure_warm(say)
        report["live"] = [
            listen(config, broker, registry, live_s) for broker in config.broker if broker.url != "embedded"
        ]
        report["ok"] = all(broker["connected"] for broker in report["live"])
    return report


def _registry(config: Config, problems: list[Problem]) -> Registry:
    points, areas = POINTS.empty_table(), AREAS.empty_table()
    try:
        if config.registry.file is not None:
            listed = read_points(config.registry.file)
            import pyarrow as pa

            points = listed.add_column(0, POINTS.field("point"), pa.array(range(listed.num_rows), pa.int32()))
            points = points.select(POINTS.names).cast(POINTS)
        if config.registry.areas is not None:
            areas = read_areas(config.registry.areas)
    except ConfigurationError as error:
        problems += error.problems
    return Registry(points, areas)


def listen(config: Config, broker: BrokerConfig, registry: Registry, seconds: float) -> dict[str, Any]:
    """What one broker sends for a while, decoded: ``{name, connected, error, messages, readings, rejects}``.

    The seconds begin when the broker has granted the subscriptions; it has ``CONNECT_S`` for that.
    """
    settings = broker_settings(broker, broker.url, broker.protocol)
    settings = replace(
        settings,
        client_id=f"{settings.client_id}-check",
        share=None,
        clean=True,
        subscribe=tuple(Subscribe(entry.filter, 0, entry.payload) for entry in settings.subscribe),
    )
    window = Window()
    decoder = make_decoder(config, broker, FixedRegistry(registry), None)
    kind = PahoCollector if settings.scheme in {"ws", "wss"} else Collector
    collector = kind(settings, decoder, window, now_ms, None, SystemRandom())
    with _told_once():
        collector.start()
        deadline = time.monotonic() + CONNECT_S
        while not (connected := collector.state.connected) and time.monotonic() < deadline:
            time.sleep(0.05)
        if connected:
            time.sleep(seconds)
        state = collector.state
        collector.stop(5.0)
    error = None if connected else state.last_error or f"no answer within {CONNECT_S:g} s"
    return {
        "name": broker.name,
        "connected": connected,
        "granted_qos": dict(state.granted_qos),
        "error": error,
        "remedy": None if error is None else remedy(error),
        "warning": state.warning,
        "messages": state.messages,
        "readings": _readings(window.batches, registry),
        "rejects": _rejects(window.batches),
    }


@contextmanager
def _told_once() -> Iterator[None]:
    """The report says what each of the collector's attempts would log again."""
    logger = logging.getLogger("ingest")
    former = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(former)


def remedy(error: str) -> str | None:
    """What to look at, for what the system, OpenSSL or a broker says of a connection; None where that is all."""
    return next((advice for words, advice in REMEDIES if any(word in error for word in words)), None)


def _readings(batches: list[IngestBatch], registry: Registry) -> list[dict[str, Any]]:
    from datetime import UTC, datetime

    shown: list[dict[str, Any]] = []
    for batch in batches:
        rows = batch.readings
        for i in range(min(len(rows), SHOWN - len(shown))):
            point = int(rows.point[i])
            value = float(rows.value[i])
            shown.append(
                {
                    "ts": datetime.fromtimestamp(int(rows.ts[i]) / 1000, UTC),
                    "device_id": registry.device_of(point),
                    "quantity": registry.quantities[registry.point_quantity[point]],
                    "value": value if value == value else None,  # noqa: PLR0124 - NaN is null
                    "unit": registry.rows([point], ["unit"])["unit"][0].as_py(),
                    "late": bool(rows.flags[i] & Flag.LATE),
                }
            )
    return shown


def _rejects(batches: list[IngestBatch]) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = []
    for batch in batches:
        if batch.rejects is not None:
            shown += batch.rejects.slice(0, SHOWN - len(shown)).to_pylist()
    return shown
