"""What ``lifeline.toml`` may hold (contract, section 3): frozen models, one a section, a default for all that has one.

Rules of this file: shapes and single values only; what needs the disk or two sections at once is in ``checks``. A
field's description is shown to the user as the remedy, so it says what to write. Imports stay light (no arrays, no
Arrow): every command line start pays for this module.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field

from lifeline.config.address import Listen, parse_listen
from lifeline.config.intake import BrokerConfig, PayloadConfig
from lifeline.config.section import ListenText, Name, Section
from lifeline.core.limits import FUTURE_MS_MAX, TOO_OLD_MS


class SiteConfig(Section):
    """``[site]``: whose network this is."""

    name: str = Field("Lifeline", min_length=1, max_length=80, description="shown on every page")
    timezone: str = Field("UTC", description="an IANA zone such as Asia/Shanghai: for screens and rules; data is UTC")
    data_dir: Path = Field(Path("var"), description="where log, lake, state and queue live; made when missing")


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
