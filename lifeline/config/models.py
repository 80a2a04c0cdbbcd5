"""What ``lifeline.toml`` may hold (contract, section 3): frozen models, one a section, a default for all that has one.

Rules of this file: shapes and single values only; what needs the disk or two sections at once is in ``checks``. A
field's description is shown to the user as the remedy, so it says what to write. Imports stay light (no arrays, no
Arrow): every command line start pays for this module.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from lifeline.config.address import BrokerUrl, Listen, parse_listen, parse_url
from lifeline.core.limits import FUTURE_MS_MAX, RECEIVE_MAXIMUM, TOO_OLD_MS

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

NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
STEP: Final = r"""(\.[A-Za-z_$][\w$-]*|\["[^"\]]+"\]|\['[^'\]]+'\]|\[\d{1,6}\])"""
"""One step of a path, as ``ingest.payload`` reads it: a name, a quoted name, an index."""


class Section(BaseModel):
    """A table of the file: unknown keys are refused, values are not converted, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, validate_default=False)


def _url(text: str) -> str:
    parse_url(text)
    return text


def _listen(text: str) -> str:
    parse_listen(text)
    return text


Name = Annotated[str, Field(pattern=NAME, description="letters, digits, _ . - (64 at the most)")]
ListenText = Annotated[str, AfterValidator(_listen), Field(description="write host:port, such as 127.0.0.1:8600")]
JsonPath = Annotated[str, Field(pattern=rf"^\${STEP}*$", description="a path such as $.p, $.a.b[0] or $['a b']")]
RowsPath = Annotated[
    str, Field(pattern=rf"^\${STEP}*(\[\*\]{STEP}*)?$", description="a path such as $, $.rows or $.data[*]")
]
DevicePath = Annotated[
    str,
    Field(pattern=rf"^(topic\[\d{{1,3}}\]|\${STEP}*)$", description="a path such as $.dev, or topic[2]: a topic level"),
]


class SiteConfig(Section):
    """``[site]``: whose network this is."""

    name: str = Field("Lifeline", min_length=1, max_length=80, description="shown on every page")
    timezone: str = Field("UTC", description="an IANA zone such as Asia/Shanghai: for screens and rules; data is UTC")
    data_dir: Path = Field(Path("var"), description="where log, lake, state and queue live; made when missing")


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


class SinkConfig(Section):
    """``[[sink]]``: somebody who is told of events, or (``downlink``) the way to devices."""

    name: Name
    kind: Literal["webhook", "mqtt", "alertmanager", "cap", "downlink"] = Field(
        description="webhook, mqtt, alertmanager, cap or downlink"
    )
    url: str = Field(min_length=1, max_length=2000, description="https://…; for mqtt and downlink mqtt:// or mqtts://")
    levels: tuple[Literal["red", "orange", "yellow", "blue"], ...] = Field((), description="only these; empty: all")
    utilities: tuple[Literal["gas", "water", "heat"], ...] = Field((), description="only these; empty: all")
    areas: tuple[str, ...] = Field((), max_length=256, description="beginnings of area codes; empty: all")
    secret_file: Path | None = Field(None, description="a file with the signing secret, whsec_… (webhook, cap)")
    secret_env: str | None = Field(
        None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="the environment variable that holds the secret"
    )
    previous_secret_file: Path | None = Field(
        None, description="the secret before, while receivers change over: both sign"
    )
    allow_private: bool = Field(
        default=False, description="true lets a web receiver be inside the network (addresses that are not public)"
    )
    username: str | None = Field(None, min_length=1, description="the account at the MQTT broker")
    password_file: Path | None = Field(None, description="a file with nothing but the account's password")
    password_env: str | None = Field(
        None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="the environment variable that holds the password"
    )
    ca_file: Path | None = Field(None, description="PEM file of the authority that signed the receiver's certificate")
    cert_file: Path | None = Field(None, description="our certificate, for mutual TLS; goes with key_file")
    key_file: Path | None = Field(None, description="our private key, for mutual TLS; goes with cert_file")
    crl_file: Path | None = Field(
        None, description="PEM list of certificates that the authority has revoked: such a receiver is not told"
    )
    protocol: Literal[4, 5] = Field(5, description="of MQTT: 5 or 4 (MQTT 3.1.1)")
    prefix: str = Field(
        "lifeline-out", pattern=r"^[^+#\x00/$][^+#\x00]{0,127}$", description="what MQTT topics begin with"
    )
    retain: bool = Field(default=False, description="true keeps an event's last state at the MQTT broker")
    timeout_s: float = Field(15.0, ge=1, le=120, description="seconds for one attempt, 1 to 120")
    retry_min_s: float = Field(5.0, ge=0.1, le=3600, description="seconds before the second attempt, then doubled")
    retry_max_s: float = Field(3600.0, ge=1, le=86_400, description="the longest wait; not below retry_min_s")
    give_up_after_s: float = Field(
        259_200.0, ge=60, le=30 * 86_400, description="seconds (3 days) until a message is passed over, to 30 days"
    )
    external_url: str = Field("http://127.0.0.1:8600", description="where people look at the queue (alertmanager)")
    sender: str | None = Field(
        None, pattern=r"^[^\s,<&]{1,128}$", description="who issues warnings, such as lifeline@zhengzhou.example (cap)"
    )
    status: Literal["Actual", "Exercise", "System", "Test"] = Field(
        "Actual", description="Actual; Exercise or Test for drills (cap)"
    )
    scope: Literal["Public", "Restricted", "Private"] = Field("Restricted", description="who may see warnings (cap)")
    gbt: str | None = Field(
        None,
        pattern=r"^\d{6}-\d{3}-\d{3}-\d{2}$",
        description="area-agency-unit-extension for identifiers of GB/T 35965.1, such as 410100-012-000-00 (cap)",
    )


class RegistryConfig(Section):
    """``[registry]``: which points exist."""

    file: Path | None = Field(None, description="the registry, .csv or .parquet")
    areas: Path | None = Field(None, description="the areas, .csv or .parquet")
    unknown: Literal["reject", "register"] = Field(
        "reject", description='"reject" keeps readings of unknown devices among the rejects, "register" adds the device'
    )


class RulesConfig(Section):
    """``[rules]``: what raises alarms."""

    files: tuple[str, ...] = Field(("rules/*.toml",), max_length=256, description="file names or patterns")


class GovernanceConfig(Section):
    """``[governance]``: the queue's database. A server's password is read when the engine starts, never kept here."""

    database: str = Field(
        "sqlite:///governance.db",
        description="sqlite:///FILE (a relative FILE is inside data_dir), or postgresql+psycopg://user@host:5432/name",
    )
    password_file: Path | None = Field(None, description="a file with nothing but the database's password")
    policy: Path | None = Field(None, description="limits, working time, escalation, emergencies: a .toml file")
    units: Path | None = Field(None, description="who handles: a .csv or .parquet file")
    duties: Path | None = Field(None, description="the responsibility matrix: a .csv or .parquet file")
    staff: Path | None = Field(None, description="grid staff: a .csv or .parquet file")
    cameras: Path | None = Field(None, description="video points: a .csv or .parquet file")
    password_env: str | None = Field(
        None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="the environment variable that holds the password"
    )


class AuditConfig(Section):
    """``[audit]``: signed heads of the audit, exported where the database's owner cannot reach."""

    checkpoints: Path = Field(
        Path("audit"), description="a folder, best on another machine's disk; a relative one is inside data_dir"
    )
    key_file: Path = Field(
        Path("keys/audit.pem"), description="the key that signs; made when missing; a relative one is inside data_dir"
    )
    every_s: float = Field(60.0, ge=1, le=3600, description="seconds between checkpoints, 1 to 3600")
    every_entries: int = Field(1000, ge=1, le=100_000, description="entries that do not wait for the time, to 100000")


class HttpConfig(Section):
    """``[http]``: the console and the API."""

    listen: ListenText = "127.0.0.1:8600"
    allow_remote: bool = Field(
        default=False,
        description="true lets other machines reach console and API; use it with cert_file or behind a TLS proxy",
    )
    public_url: str = Field(
        "",
        pattern=r"^(https?://[A-Za-z0-9.:\[\]-]+)?$",
        description="how browsers reach us, such as https://lifeline.example; https makes cookies Secure",
    )
    cert_file: Path | None = Field(None, description="our certificate (PEM) for TLS; goes with key_file")
    key_file: Path | None = Field(None, description="our private key (PEM) for TLS; goes with cert_file")
    client_ca_file: Path | None = Field(
        None, description="PEM file of an authority: only who shows a certificate that it signed is let in (mutual TLS)"
    )
    client_crl_file: Path | None = Field(None, description="PEM list of client certificates that were revoked")
    oidc_issuer: str = Field(
        "",
        pattern=r"^(https?://[^\s?#]+)?$",
        description="an OpenID Connect provider that signs people in, as it calls itself; empty: none",
    )
    oidc_client_id: str = Field("", max_length=200, description="our name at that provider")
    oidc_secret_file: Path | None = Field(None, description="a file with nothing but our secret at that provider")

    @property
    def address(self) -> Listen:
        """Host and port."""
        return parse_listen(self.listen)

    @property
    def base_url(self) -> str:
        """How browsers reach us."""
        return self.public_url or f"{'https' if self.cert_file else 'http'}://{self.listen}"

    @property
    def secure(self) -> bool:
        """Whether browsers reach us over TLS only."""
        return self.base_url.startswith("https:")


class MetricsConfig(Section):
    """``[metrics]``: the engine's Prometheus endpoint."""

    listen: ListenText = "127.0.0.1:8601"
    allow_remote: bool = Field(default=False, description="true lets other machines read the metrics")

    @property
    def address(self) -> Listen:
        """Host and port."""
        return parse_listen(self.listen)


class IngestConfig(Section):
    """``[ingest]``: what is too wrong to be kept as a reading."""

    future_s: float = Field(
        FUTURE_MS_MAX / 1000, gt=0, le=86_400, description="seconds a device clock may be ahead, to 86400"
    )
    too_old_s: float = Field(
        TOO_OLD_MS / 1000, gt=0, le=100 * 366 * 86_400, description="seconds a reading may be late, to 100 years"
    )


class LakeConfig(Section):
    """``[lake]``: how readings become files."""

    compact: bool = Field(default=True, description="true merges small files while the engine runs")
    grace_s: float = Field(
        600.0, ge=60, le=7 * 86_400, description="seconds a replaced file stays readable for queries, 60 to 604800"
    )


SECTIONS: Final[dict[str, type[Section]]] = {
    "site": SiteConfig,
    "registry": RegistryConfig,
    "rules": RulesConfig,
    "governance": GovernanceConfig,
    "audit": AuditConfig,
    "http": HttpConfig,
    "metrics": MetricsConfig,
    "ingest": IngestConfig,
    "lake": LakeConfig,
}
"""Tables that appear at most once."""

ARRAYS: Final[dict[str, type[Section]]] = {"broker": BrokerConfig, "payload": PayloadConfig, "sink": SinkConfig}
"""Arrays of tables (``[[…]]``)."""


class Config(Section):
    """A whole checked configuration; every path in it is absolute."""

    path: Path
    """The file it was read from."""
    site: SiteConfig
    broker: tuple[BrokerConfig, ...]
    payload: tuple[PayloadConfig, ...]
    sink: tuple[SinkConfig, ...]
    registry: RegistryConfig
    rules: RulesConfig
    rule_files: tuple[Path, ...]
    """What the patterns of ``rules.files`` matched, sorted, each once."""
    governance: GovernanceConfig
    audit: AuditConfig
    http: HttpConfig
    metrics: MetricsConfig
    ingest: IngestConfig
    lake: LakeConfig

    @property
    def data_dir(self) -> Path:
        """Where everything durable lives."""
        return self.site.data_dir

    @property
    def database_path(self) -> Path | None:
        """The SQLite file of the governance queue, None where a server keeps it."""
        scheme, _, file = self.governance.database.partition(":///")
        return self.data_dir / file if scheme == "sqlite" else None

    def __repr_args__(self) -> Any:
        """Short: errors print this."""
        return [("path", self.path)]
