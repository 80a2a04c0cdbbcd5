"""What a single value cannot show: files that must exist, names that must match, keys that go together.

Rules of this file: takes models as they were written, gives them back with absolute paths, and notes problems; a table
that did not validate (None) is left out, its own problems are already noted. Nothing is opened for writing.
"""

from __future__ import annotations

import glob
import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo

from lifeline.config.address import Listen, parse_listen
from lifeline.config.models import (
    BUILT_IN_PAYLOADS,
    AuditConfig,
    BrokerConfig,
    GovernanceConfig,
    HttpConfig,
    MetricsConfig,
    PayloadConfig,
    RegistryConfig,
    RulesConfig,
    Section,
    SinkConfig,
    SiteConfig,
)
from lifeline.config.secret import read_password, read_secrets
from lifeline.core.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WEB = ("webhook", "cap", "alertmanager")
_MQTT = ("mqtt", "downlink")
TLS_FILES = ("ca_file", "cert_file", "key_file", "crl_file")
SINK_KEYS = {
    "secret_file": ("webhook", "cap"),
    "secret_env": ("webhook", "cap"),
    "previous_secret_file": ("webhook", "cap"),
    "allow_private": _WEB,
    "username": _MQTT,
    "password_file": _MQTT,
    "password_env": _MQTT,
    "protocol": _MQTT,
    "prefix": _MQTT,
    "retain": ("mqtt",),
    "external_url": ("alertmanager",),
    "sender": ("cap",),
    "status": ("cap",),
    "scope": ("cap",),
    "gbt": ("cap",),
}
"""Keys that only some kinds of sink have."""

S = TypeVar("S", bound=Section)
P = TypeVar("P", BrokerConfig, GovernanceConfig, SinkConfig)


def _expanded(path: Path) -> Path:
    """``~`` and ``~name`` as folders; the name of nobody stays as it is, and is then no file."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def _split(url: str) -> SplitResult:
    """The parts of an address; of what is none (``http://[``) nothing, which no check takes for good."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


class Checker:
    """Collects problems of one file into ``problems``."""

    def __init__(
        self, path: Path, problems: list[Problem], payloads: Sequence[str], environ: Mapping[str, str]
    ) -> None:
        self._file = str(path)
        self._base = path.parent
        self._problems = problems
        self._payloads = payloads
        self._environ = environ

    def check(self, tables: dict[str, Any]) -> dict[str, Any]:
        """The tables with absolute paths, plus ``rule_files``."""
        resolved = dict(tables)
        site: SiteConfig | None = tables["site"]
        if site:
            self._timezone("site.timezone", site.timezone)
            resolved["site"] = site.model_copy(update={"data_dir": self._absolute(site.data_dir)})
        mappings = self._check_payloads(tables["payload"])
        resolved["payload"] = tuple(tables["payload"])
        resolved["broker"] = tuple(self._check_brokers(tables["broker"], mappings, whole=None not in tables["payload"]))
        resolved["registry"] = self._check_registry(tables["registry"])
        resolved["rule_files"] = self._check_rules(tables["rules"])
        resolved["sink"] = tuple(self._check_sinks(tables["sink"]))
        audit: AuditConfig | None = tables["audit"]
        if audit and site:
            data = self._absolute(site.data_dir)
            inside = {name: data / _expanded(getattr(audit, name)) for name in ("checkpoints", "key_file")}
            resolved["audit"] = audit.model_copy(update=inside)
        resolved["governance"] = self._check_governance(tables["governance"])
        self._check_listeners(tables)
        resolved["http"] = self._check_tls(tables["http"])
        return resolved

    def _note(self, key: str, message: str, remedy: str = "") -> None:
        self._problems.append(Problem(self._file, key, message, remedy))

    def _absolute(self, path: Path) -> Path:
        return Path(os.path.normpath(self._base / _expanded(path)))

    def _timezone(self, key: str, name: str) -> None:
        try:
            ZoneInfo(name)  # looks for one name; to list all is a walk over a thousand files
        except (KeyError, ValueError, OSError):
            self._note(key, f"{name!r} is not a known time zone", "an IANA name such as Asia/Shanghai")

    def _files(self, key: str, table: S, names: Sequence[str]) -> S:
        """``table`` with the named paths absolute; each that is given must be a readable file."""
        update: dict[str, Path] = {}
        for name in names:
            path: Path | None = getattr(table, name)
            if path is None:
                continue
            update[name] = absolute = self._absolute(path)
            if not absolute.is_file():
                self._note(
                    f"{key}.{name}", f"{absolute} is not a file", "relative paths start at the configuration file"
                )
            elif not os.access(absolute, os.R_OK):
                self._note(f"{key}.{name}", f"{absolute} cannot be read", "check its permissions")
        return table.model_copy(update=update)

    # --- payload mappings --------------------------------------------------------------------------------------

    def _check_payloads(self, mappings: Sequence[PayloadConfig | None]) -> set[str]:
        names: set[str] = set()
        for index, mapping in enumerate(mappings):
            if mapping is None:
                continue
            key = f"payload[{index}]"
            if mapping.name in BUILT_IN_PAYLOADS:
                self._note(f"{key}.name", f"{mapping.name!r} is the name of a built-in format", "choose another name")
            if mapping.name in names:
                self._note(f"{key}.name", f"{mapping.name!r} is there twice", "every mapping has its own name")
            if mapping.time and mapping.time.timezone:
                self._timezone(f"{key}.time.timezone", mapping.time.timezone)
            names.add(mapping.name)
        return names

    def _check_format(self, key: str, name: str, mappings: set[str], *, whole: bool) -> None:
        """``whole``: every mapping could be read, so a name that is not among them does not exist."""
        if name in self._payloads or name in mappings:
            return
        if name in BUILT_IN_PAYLOADS:
            usable = ", ".join(self._payloads)
            self._note(
                key, f"{name!r} is not available in this version", f"built in are: {usable}; or write a [[payload]]"
            )
        elif whole:
            usable = ", ".join([*self._payloads, *sorted(mappings)])
            self._note(key, f"there is no payload format {name!r}", f"one of: {usable}; or write a [[payload]]")

    # --- brokers -----------------------------------------------------------------------------------------------

    def _check_brokers(
        self, brokers: Sequence[BrokerConfig | None], mappings: set[str], *, whole: bool
    ) -> list[BrokerConfig]:
        resolved: list[BrokerConfig] = []
        names: set[str] = set()
        sessions: set[tuple[str, str]] = set()
        for index, broker in enumerate(brokers):
            if broker is None:
                continue
            key = f"broker[{index}]"
            if broker.name in names:
                self._note(f"{key}.name", f"{broker.name!r} is there twice", "every broker has its own name")
            session = (broker.url, broker.session_id)
            if broker.share and any(entry.payload == "sparkplug" for entry in broker.subscribe):
                self._note(
                    f"{key}.share",
                    "splits the messages of a Sparkplug edge node among engines, which each miss the others' part",
                    "take Sparkplug without share, in a [[broker]] of its own",
                )
            if session in sessions:
                self._note(
                    f"{key}.client_id", "is the same as another's at this broker", "they would push each other out"
                )
            names.add(broker.name)
            sessions.add(session)
            for place, entry in enumerate(broker.subscribe):
                self._check_filter(f"{key}.subscribe[{place}].filter", entry.filter)
                self._check_format(f"{key}.subscribe[{place}].payload", entry.payload, mappings, whole=whole)
            filters = [entry.filter for entry in broker.subscribe]
            for place, text in enumerate(filters):
                if text in filters[:place]:
                    self._note(f"{key}.subscribe[{place}].filter", f"{text!r} is there twice", "remove one")
            resolved.append(self._check_connection(key, broker))
        return resolved

    def _check_connection(self, key: str, broker: BrokerConfig) -> BrokerConfig:
        address = broker.address
        if broker.reconnect.min_s > broker.reconnect.max_s:
            self._note(f"{key}.reconnect", "min_s is above max_s", "exchange or correct them")
        self._check_credentials(key, broker)
        if not address.tls:
            for name in TLS_FILES:
                if getattr(broker, name) is not None:
                    self._note(
                        f"{key}.{name}", "has no effect without TLS", "write mqtts:// or wss:// in url, or remove it"
                    )
        if "listen" in broker.model_fields_set and not address.embedded:
            self._note(f"{key}.listen", "belongs to the embedded broker", 'remove it, or write url = "embedded"')
        return self._check_password(key, self._files(key, broker, TLS_FILES))

    def _check_credentials(self, key: str, broker: BrokerConfig) -> None:
        has_password = broker.password_file is not None or broker.password_env is not None
        if has_password and broker.username is None:
            self._note(f"{key}.username", "is missing beside the password", "give the account's name")
        self._check_pair(key, broker, "mutual TLS needs both")

    def _check_pair(self, key: str, table: BrokerConfig | SinkConfig | HttpConfig, remedy: str) -> None:
        if (table.cert_file is None) != (table.key_file is None):
            there, absent = ("cert_file", "key_file") if table.cert_file else ("key_file", "cert_file")
            self._note(f"{key}.{absent}", f"is missing beside {there}", remedy)

    def _check_filter(self, key: str, text: str) -> None:
        """MQTT 5, 4.7.1: ``#`` only as the last level, ``+`` and ``#`` only as whole levels."""
        levels = text.split("/")
        if "\0" in text:
            self._note(key, "holds a NUL character", "remove it")
        elif text.startswith("$share/"):
            self._note(key, "names a share group", 'write share = "…" at the broker and only the filter here')
        elif any(("#" in level or "+" in level) and len(level) > 1 for level in levels):
            self._note(key, f"{text!r}: + and # stand for whole levels", "such as lifeline/+/gw/#")
        elif "#" in levels[:-1]:
            self._note(key, f"{text!r}: # can only be the last level", "use + for a level in between")

    # --- sinks -------------------------------------------------------------------------------------------------

    def _check_sinks(self, sinks: Sequence[SinkConfig | None]) -> list[SinkConfig]:
        resolved: list[SinkConfig] = []
        names: set[str] = set()
        for index, sink in enumerate(sinks):
            if sink is None:
                continue
            key = f"sink[{index}]"
            name = "downlink" if sink.kind == "downlink" else sink.name
            if name in names:
                self._note(f"{key}.name", f"{name!r} is there twice", "every sink has its own name; one downlink only")
            names.add(name)
            if sink.retry_min_s > sink.retry_max_s:
                self._note(f"{key}.retry_min_s", "is above retry_max_s", "exchange or correct them")
            self._check_sink_url(key, sink)
            self._check_sink_keys(key, sink)
            resolved.append(self._check_sink_secrets(key, sink))
        return resolved

    def _check_sink_url(self, key: str, sink: SinkConfig) -> None:
        parts = _split(sink.url)
        schemes = ("mqtt", "mqtts") if sink.kind in {"mqtt", "downlink"} else ("https", "http")
        if parts.scheme not in schemes:
            self._note(f"{key}.url", f"has the scheme {parts.scheme!r}", f"{sink.kind} takes {schemes[0]}://…")
        if parts.password is not None or parts.username is not None:
            self._note(f"{key}.url", "holds a user name or password", "use username and password_file, or secret_file")
        try:
            port_fits = parts.port != 0
        except ValueError:
            port_fits = False
        if not parts.hostname or not port_fits:
            self._note(f"{key}.url", "has no host, or no port from 1 to 65535", f"{schemes[0]}://host:port/…")

    def _check_sink_keys(self, key: str, sink: SinkConfig) -> None:
        """Keys of another kind have no effect: said, so that nobody relies on them."""
        for name, kinds in SINK_KEYS.items():
            if name in sink.model_fields_set and sink.kind not in kinds:
                self._note(f"{key}.{name}", f"has no effect for {sink.kind}", f"it belongs to {', '.join(kinds)}")
        if sink.kind == "cap" and sink.sender is None:
            self._note(
                f"{key}.sender", "is missing: CAP warnings name who issues them", "such as lifeline@city.example"
            )

    def _check_sink_secrets(self, key: str, sink: SinkConfig) -> SinkConfig:
        if sink.secret_file and sink.secret_env:
            self._note(f"{key}.secret_env", "secret_file is given too", "keep one of them")
        self._check_pair(key, sink, "mutual TLS needs both")
        for name in TLS_FILES:
            if getattr(sink, name) is not None and _split(sink.url).scheme not in {"https", "mqtts"}:
                self._note(f"{key}.{name}", "has no effect without TLS", "write https:// or mqtts:// in url")
        files = [*TLS_FILES, "secret_file", "previous_secret_file"]
        sink = self._check_password(key, self._files(key, sink, files))
        try:
            read_secrets(sink, self._environ)
        except ConfigurationError as error:
            for problem in error.problems:
                self._note(f"{key}.{problem.key}", problem.message, problem.remedy)
        return sink

    # --- the others --------------------------------------------------------------------------------------------

    def _check_registry(self, registry: RegistryConfig | None) -> RegistryConfig | None:
        if registry is None:
            return None
        if registry.file is None and registry.unknown == "reject":
            self._note(
                "registry.file",
                'is missing, and unknown = "reject": every reading would be rejected',
                'name the registry file, or write unknown = "register"',
            )
        for name in ("file", "areas"):
            path: Path | None = getattr(registry, name)
            if path is not None and path.suffix.lower() not in {".csv", ".parquet"}:
                self._note(f"registry.{name}", f"{path.name!r} is neither .csv nor .parquet", "give one of these")
        return self._files("registry", registry, ["file", "areas"])

    def _check_rules(self, rules: RulesConfig | None) -> tuple[Path, ...]:
        found: set[Path] = set()
        for index, pattern in enumerate(rules.files if rules else ()):
            matched = glob.glob(str(_expanded(Path(pattern))), root_dir=self._base, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
            files = [path for path in map(self._absolute, map(Path, matched)) if path.is_file()]
            if not files:
                self._note(
                    f"rules.files[{index}]",
                    f"{pattern!r} matches no file",
                    "relative patterns start at the configuration file; files = [] runs without rules",
                )
            found.update(files)
        return tuple(sorted(found))

    def _check_governance(self, governance: GovernanceConfig | None) -> GovernanceConfig | None:
        if governance is None:
            return None
        governance = self._files("governance", governance, ["policy", "units", "duties", "staff", "cameras"])
        key, remedy = "governance.database", "sqlite:///governance.db, or postgresql+psycopg://user@host:5432/lifeline"
        parts = _split(governance.database)
        given = [name for name in ("password_file", "password_env") if getattr(governance, name) is not None]
        if parts.scheme == "postgresql+psycopg":
            if parts.password is not None:
                self._note(key, "holds a password", "take it out; use password_file or password_env")
            if not parts.path.strip("/"):
                self._note(key, "names no database", "such as postgresql+psycopg://lifeline@db.example:5432/lifeline")
            if given and parts.username is None:
                self._note(key, "names no user beside the password", "such as postgresql+psycopg://lifeline@…")
            if find_spec("psycopg") is None:
                self._note(key, "needs the PostgreSQL driver", 'pip install "lifeline-engine[postgresql]"')
            return self._check_password("governance", governance)
        if parts.scheme.startswith("postgres"):
            self._note(key, f"has the scheme {parts.scheme!r}", "write postgresql+psycopg://…")
        elif not governance.database.startswith("sqlite:///") or parts.path[1:] in {"", ":memory:"}:
            self._note(key, "is not a database we can open", remedy)
        else:
            for name in given:
                self._note(f"governance.{name}", "has no effect: SQLite asks for no password", "remove it")
        return governance

    def _check_password(self, key: str, table: P) -> P:
        """``table`` with its password file absolute; what it names must be readable now."""
        if table.password_file and table.password_env:
            self._note(f"{key}.password_env", "password_file is given too", "keep one of them")
        if table.password_file is not None:
            table = table.model_copy(update={"password_file": self._absolute(table.password_file)})
        try:
            read_password(table, self._environ)
        except ConfigurationError as error:
            for problem in error.problems:
                self._note(f"{key}.{problem.key}", problem.message, problem.remedy)
        return table

    def _check_tls(self, http: HttpConfig | None) -> HttpConfig | None:
        if http is None:
            return None
        self._check_pair("http", http, "TLS needs both")
        if http.client_ca_file is not None and http.cert_file is None:
            self._note("http.client_ca_file", "has no effect without TLS of our own", "give cert_file and key_file")
        if http.client_crl_file is not None and http.client_ca_file is None:
            self._note("http.client_crl_file", "has no effect without client_ca_file", "give it, or remove this")
        if bool(http.oidc_issuer) != bool(http.oidc_client_id and http.oidc_secret_file):
            self._note("http.oidc_issuer", "goes with oidc_client_id and oidc_secret_file", "give all three or none")
        files = ["cert_file", "key_file", "client_ca_file", "client_crl_file", "oidc_secret_file"]
        return self._files("http", http, files)

    def _check_listeners(self, tables: dict[str, Any]) -> None:
        """No address twice; nothing without a password is open to other machines by accident."""
        used: dict[str, str] = {}
        for key in ("http", "metrics"):
            table: HttpConfig | MetricsConfig | None = tables[key]
            if table is None:
                continue
            if not table.address.loopback and not table.allow_remote:
                self._note(
                    f"{key}.listen",
                    f"{table.listen} can be reached from other machines",
                    "listen on 127.0.0.1 behind a proxy, or write allow_remote = true",
                )
            self._claim(used, key, f"[{key}]", table.address)
        for index, broker in enumerate(tables["broker"]):
            if broker is not None and broker.address.embedded:
                self._claim(used, f"broker[{index}]", f"broker[{index}]", parse_listen(broker.listen))

    def _claim(self, used: dict[str, str], key: str, owner: str, address: Listen) -> None:
        """Note an address that is somebody else's too; port 0 is any free one, so it is nobody's."""
        if address.port and used.setdefault(str(address), owner) != owner:
            self._note(f"{key}.listen", f"is the address of {used[str(address)]} too", "take another port")
