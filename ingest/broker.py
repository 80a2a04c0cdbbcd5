"""One ``[[broker]]`` of the configuration as a collector wants it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from lifeline.core.limits import RECEIVE_MAXIMUM

PORTS: Final = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}


@dataclass(frozen=True, slots=True)
class Subscribe:
    """One topic filter. ``payload`` names the mapping; the decoder's business, not ours."""

    filter: str
    qos: int = 1
    payload: str = "lifeline"


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """A broker to collect from (contract, section 3). Secrets are already read; paths are absolute or relative to cwd.

    Raises:
        ValueError: the URL or a number is unusable; the message says what to write.
    """

    name: str
    url: str
    client_id: str
    username: str | None = None
    password: str | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    crl_file: str | None = None
    protocol: int = 5
    share: str | None = None
    receive_maximum: int = RECEIVE_MAXIMUM
    reconnect_min_s: float = 1.0
    reconnect_max_s: float = 30.0
    subscribe: tuple[Subscribe, ...] = (Subscribe("lifeline/#"),)
    keepalive_s: int = 60
    session_expiry_s: int = 7 * 86_400
    drops: str | None = None
    """A topic in which the broker counts what it dropped; subscribed to beside the others at QoS 0, never shared."""
    clean: bool = False
    """Begin without the session of last time and leave none behind: for looking, never for collecting."""

    def __post_init__(self) -> None:
        """Refuse early what could only fail later and less clearly."""
        parts = urlsplit(self.url)
        if parts.scheme not in PORTS or not parts.hostname:
            raise ValueError(f"broker {self.name}: url {self.url!r} is none of mqtt, mqtts, ws, wss://host:port")
        if self.protocol not in {4, 5}:
            raise ValueError(f"broker {self.name}: protocol {self.protocol}: write 5, or 4 for MQTT 3.1.1")
        if not self.client_id:
            raise ValueError(f"broker {self.name}: client_id is empty: without it the session dies with the connection")
        if not self.subscribe or any(item.qos not in {0, 1} for item in self.subscribe):
            raise ValueError(f"broker {self.name}: subscribe needs at least one filter, each with qos 0 or 1")
        if not 1 <= self.receive_maximum <= RECEIVE_MAXIMUM or not 0 <= self.keepalive_s <= 65_535:
            raise ValueError(f"broker {self.name}: receive_maximum is 1 to 65535, keepalive_s 0 to 65535")
        if self.password is not None and self.username is None and self.protocol == 4:
            raise ValueError(f"broker {self.name}: MQTT 3.1.1 takes a password only with a username")
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError(f"broker {self.name}: cert_file and key_file belong together")

    @property
    def scheme(self) -> str:
        """``mqtt``, ``mqtts``, ``ws`` or ``wss``."""
        return urlsplit(self.url).scheme

    @property
    def host(self) -> str:
        """Host name or address."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The URL's port, or its scheme's."""
        return urlsplit(self.url).port or PORTS[self.scheme]

    @property
    def path(self) -> str:
        """The path of a WebSocket URL."""
        return urlsplit(self.url).path or "/mqtt"

    def filters(self) -> list[tuple[str, int]]:
        """(filter as sent, QoS): with ``share`` they become a shared subscription's; the topic of drops comes last."""
        prefix = f"$share/{self.share}/" if self.share else ""
        watched = [(self.drops, 0)] if self.drops else []
        return [*((prefix + item.filter, item.qos) for item in self.subscribe), *watched]
