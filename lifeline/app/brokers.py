"""What speaks to a broker of the configuration, and with which settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest.broker import BrokerSettings, Subscribe
from ingest.collector import Collector
from lifeline.config import read_password

if TYPE_CHECKING:
    from ingest.paho_collector import PahoCollector
    from lifeline.config import BrokerConfig


def collector_for(settings: BrokerSettings) -> type[Collector | PahoCollector]:
    """What speaks to a broker: paho-mqtt over WebSockets, which is imported for them alone."""
    if settings.scheme not in {"ws", "wss"}:
        return Collector
    from ingest.paho_collector import PahoCollector

    return PahoCollector


def broker_settings(broker: BrokerConfig, url: str, protocol: int) -> BrokerSettings:
    """A collector's settings from the configuration; reads the password now.

    Raises:
        ConfigurationError: the password cannot be read.
    """

    def text(path: object) -> str | None:
        return None if path is None else str(path)

    return BrokerSettings(
        name=broker.name,
        url=url,
        client_id=broker.session_id,
        username=broker.username,
        password=read_password(broker),
        ca_file=text(broker.ca_file),
        cert_file=text(broker.cert_file),
        key_file=text(broker.key_file),
        crl_file=text(broker.crl_file),
        protocol=protocol,
        share=broker.share,
        receive_maximum=broker.receive_maximum,
        reconnect_min_s=broker.reconnect.min_s,
        reconnect_max_s=broker.reconnect.max_s,
        subscribe=tuple(Subscribe(entry.filter, entry.qos, entry.payload) for entry in broker.subscribe),
        keepalive_s=broker.keepalive_s,
        session_expiry_s=broker.session_expiry_s,
        drops=broker.drops,
    )
