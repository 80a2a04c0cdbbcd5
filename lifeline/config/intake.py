"""Where readings come from, as ``lifeline.toml`` says it: ``[[broker]]`` and ``[[payload]]``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from lifeline.config.address import BrokerUrl, parse_url
from lifeline.config.section import ListenText, Name, Section
from lifeline.core.limits import RECEIVE_MAXIMUM

BUILT_IN_PAYLOADS: Final = (
    "lifeline",
    "senml",
    "sparkplug",
    "chirpstack",
    "thethingsstack",
    "huawei",
    "alink",
    "cjt188",
)
"""Payload names that the contract reserves; a mapping cannot take one of them."""

AVAILABLE_PAYLOADS: Final = BUILT_IN_PAYLOADS
"""Those of them that this version can decode: all."""

STEP: Final = r"""(\.[A-Za-z_$][\w$-]*|\["[^"\]]+"\]|\['[^'\]]+'\]|\[\d{1,6}\])"""
"""One step of a path, as ``ingest.payload`` reads it: a name, a quoted name, an index."""


def _url(text: str) -> str:
    parse_url(text)
    return text


JsonPath = Annotated[str, Field(pattern=rf"^\${STEP}*$", description="a path such as $.p, $.a.b[0] or $['a b']")]
RowsPath = Annotated[
    str, Field(pattern=rf"^\${STEP}*(\[\*\]{STEP}*)?$", description="a path such as $, $.rows or $.data[*]")
]
DevicePath = Annotated[
    str,
    Field(pattern=rf"^(topic\[\d{{1,3}}\]|\${STEP}*)$", description="a path such as $.dev, or topic[2]: a topic level"),
]


class ReconnectConfig(Section):
    """``reconnect``: back-off between connection attempts, doubled each time and jittered."""

    min_s: float = Field(1.0, gt=0, le=3600, description="seconds before the second attempt")
    max_s: float = Field(30.0, gt=0, le=3600, description="the longest wait; not below min_s")


class SubscribeConfig(Section):
    """One entry of ``subscribe``."""

    filter: str = Field(min_length=1, max_length=1024, description="an MQTT topic filter such as lifeline/#")
    qos: Literal[0, 1] = Field(
        1, description="0 or 1; 1 makes the broker keep what is not yet durable here, QoS 2 adds nothing to that"
    )
    payload: str = Field("lifeline", description="a built-in format or the name of a [[payload]] mapping")


class BrokerConfig(Section):
    """``[[broker]]``: where readings come from. The password is read when connecting, never kept here."""

    name: Name
    url: Annotated[str, AfterValidator(_url)] = Field(
        description="mqtt://host:1883, mqtts://host:8883, ws://…, wss://…, or embedded"
    )
    client_id: str | None = Field(
        None, min_length=1, max_length=128, description="stable and unique at the broker: the session hangs on it"
    )
    username: str | None = Field(None, min_length=1, description="the account at the broker")
    password_file: Path | None = Field(None, description="a file with nothing but the password")
    password_env: str | None = Field(
        None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="the environment variable that holds the password"
    )
    ca_file: Path | None = Field(None, description="PEM file of the authority that signed the broker's certificate")
    cert_file: Path | None = Field(None, description="our certificate, for mutual TLS; goes with key_file")
    key_file: Path | None = Field(None, description="our private key, for mutual TLS; goes with cert_file")
    crl_file: Path | None = Field(
        None, description="PEM list of certificates that the authority has revoked: such a broker is not trusted"
    )
    protocol: Literal[4, 5] = Field(5, description="5 (MQTT 5) or 4 (MQTT 3.1.1)")
    share: str | None = Field(
        None, pattern=r"^[^/+#\x00]{1,64}$", description="name of a $share group: several engines split the messages"
    )
    rebirth: bool = Field(
        default=True,
        description="false never asks Sparkplug edge nodes for a rebirth: then nothing is published to this broker",
    )
    receive_maximum: int = Field(
        RECEIVE_MAXIMUM, ge=1, le=65_535, description="messages in flight, 1 to 65535; the broker may lower it"
    )
    keepalive_s: int = Field(30, ge=5, le=3600, description="seconds between pings, 5 to 3600")
    session_expiry_s: int = Field(
        604_800, ge=60, le=4_294_967_295, description="how long the broker keeps our session while we are away (MQTT 5)"
    )
    drops: str | None = Field(
        None,
        pattern=r"^[^+#\x00]{1,256}$",
        description="a topic in which the broker counts what it dropped; a rise is a warning in the status",
    )
    reconnect: ReconnectConfig = ReconnectConfig(min_s=1.0, max_s=30.0)
    listen: ListenText = Field(
        "127.0.0.1:1883", description='where the embedded broker listens, as host:port; only with url = "embedded"'
    )
    subscribe: tuple[SubscribeConfig, ...] = Field(
        (SubscribeConfig(filter="lifeline/#", qos=1, payload="lifeline"),),
        min_length=1,
        max_length=256,
        description="at least one { filter, qos, payload }",
    )

    @property
    def address(self) -> BrokerUrl:
        """The parsed ``url``; for the embedded broker the place where it listens."""
        return parse_url(self.url, self.listen)

    @property
    def session_id(self) -> str:
        """``client_id``, or one made of the name: the same after every restart."""
        return self.client_id or f"lifeline-{self.name}"


class TimeConfig(Section):
    """``time`` of a mapping."""

    path: JsonPath
    format: str = Field(
        "epoch_ms",
        pattern=r"^(epoch_s|epoch_ms|iso8601|.*%.*)$",
        max_length=64,
        description="epoch_s, epoch_ms, iso8601 or a strptime pattern such as %Y-%m-%d %H:%M:%S",
    )
    timezone: str | None = Field(None, description="an IANA zone for times without an offset; default UTC")


class ValueConfig(Section):
    """One entry of ``values``: a quantity and where its number is."""

    path: JsonPath
    unit: str | None = Field(
        None, min_length=1, max_length=32, description="the unit the device sends; converted to the registry's"
    )


class PayloadConfig(Section):
    """``[[payload]]``: a mapping for a foreign JSON shape, as plain data for ``ingest.payload``."""

    name: Name
    kind: Literal["json"] = Field("json", description="only json in this version")
    rows: RowsPath = "$"
    device: DevicePath
    time: TimeConfig | None = Field(None, description="{ path, format }; without it the receive time, flagged")
    values: dict[str, ValueConfig] = Field(min_length=1, max_length=64, description='{ quantity = { path = "$.x" } }')
    seq: JsonPath | None = Field(None, description="a path such as $.n: a number that rises by one a message")
    quality: JsonPath | None = Field(None, description="a path such as $.q: 0 good, 1 uncertain, 2 bad")
