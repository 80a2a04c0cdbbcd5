"""The senders of a site's sinks, from the configuration. Only a site that has sinks imports what they are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from lifeline.app.clock import now_ms
from lifeline.config import read_password, read_secrets
from lifeline.governance.outgoing import alertmanager, envelope
from lifeline.governance.outgoing.bus import Bus, BusSettings
from lifeline.governance.outgoing.cap import CapSettings
from lifeline.governance.outgoing.downlink import KIND, LIFE_MS, SINK, Downlink
from lifeline.governance.outgoing.signing import parse_secret
from lifeline.governance.outgoing.tls import Trust
from lifeline.governance.outgoing.topics import EventsOnBus
from lifeline.governance.outgoing.warner import Warner
from lifeline.governance.outgoing.web import WebTransport
from lifeline.governance.outgoing.worker import SinkRules, Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from lifeline.app.site import Site
    from lifeline.config import SinkConfig
    from lifeline.governance.database import Database
    from lifeline.governance.outgoing.outbox import Message
    from lifeline.governance.outgoing.worker import Transport

MQTT_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}


def worker_of(sink: SinkConfig, site: Site, database: Database) -> Worker:
    """The worker of one sink, not started.

    Raises:
        ConfigurationError: a secret cannot be read.
    """
    return Worker(_rules(sink), _transport(sink, site, database), database, now_ms)


def source_of(site: Site) -> str:
    """The ``source`` of a site's CloudEvents."""
    return f"/lifeline/{quote(site.config.site.name, safe='')}"


def _rules(sink: SinkConfig) -> SinkRules:
    downlink = sink.kind == "downlink"
    return SinkRules(
        name=SINK if downlink else sink.name,
        target=f"{sink.kind} {sink.url}",
        kinds=(KIND,) if downlink else envelope.TYPES,
        levels=() if downlink else sink.levels,
        utilities=() if downlink else sink.utilities,
        areas=() if downlink else sink.areas,
        retry_min_s=sink.retry_min_s,
        retry_max_s=min(sink.retry_max_s, LIFE_MS / 1000) if downlink else sink.retry_max_s,
        give_up_after_s=sink.give_up_after_s,
    )


def _transport(sink: SinkConfig, site: Site, database: Database) -> Transport:
    if sink.kind == "downlink":
        return Downlink(_bus(sink), database, now_ms, sink.prefix)
    if sink.kind == "mqtt":
        return EventsOnBus(Bus(_bus(sink)), source_of(site), sink.prefix, retain=sink.retain)
    options: dict[str, Any] = {
        "allow_private": sink.allow_private,
        "trust": _trust(sink),
        "timeout_s": sink.timeout_s,
        "keys": [parse_secret(secret) for secret in read_secrets(sink)],
    }
    return WebTransport(sink.url, _renderer(sink, site, database), now_ms, **options)


def _renderer(sink: SinkConfig, site: Site, database: Database) -> Callable[[Message], tuple[str, bytes] | None]:
    if sink.kind == "cap":
        gbt = tuple(sink.gbt.split("-")) if sink.gbt else None
        settings = CapSettings(
            sender=sink.sender or "",
            sender_name=site.config.site.name,
            status=sink.status,
            scope=sink.scope,
            gbt=(gbt[0], gbt[1], gbt[2], gbt[3]) if gbt else None,
        )
        return Warner(sink.name, settings, database, now_ms).render
    if sink.kind == "alertmanager":
        url = sink.external_url.rstrip("/")
        return lambda message: (
            alertmanager.CONTENT_TYPE,
            envelope.encode(alertmanager.payload(message, sink.name, url)),
        )
    source = source_of(site)
    return lambda message: (envelope.CONTENT_TYPE, envelope.encode(envelope.cloud_event(message, source)))


def _trust(sink: SinkConfig) -> Trust:
    return Trust(sink.ca_file, sink.cert_file, sink.key_file, sink.crl_file)


def _bus(sink: SinkConfig) -> BusSettings:
    parts = urlsplit(sink.url)
    return BusSettings(
        host=parts.hostname or "",
        port=parts.port or MQTT_PORTS[parts.scheme],
        client_id=f"lifeline-out-{sink.name}",
        tls=parts.scheme == "mqtts",
        username=sink.username,
        password=read_password(sink),
        trust=_trust(sink),
        protocol=sink.protocol,
        timeout_s=sink.timeout_s,
    )
