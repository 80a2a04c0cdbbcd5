"""What a single value cannot show: files that must exist, names that must match, keys that go together.

Rules of this file: takes models as they were written, gives them back with absolute paths, and notes problems; a table
that did not validate (None) is left out, its own problems are already noted. Nothing is opened for writing.
"""

from __future__ import annotations

import glob
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifeline.config.address import Listen, parse_listen
from lifeline.config.brokers import BrokerChecks
from lifeline.config.notes import Notes, expanded, split
from lifeline.config.sinks import SinkChecks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lifeline.config.models import (
        AuditConfig,
        GovernanceConfig,
        HttpConfig,
        MetricsConfig,
        RegistryConfig,
        RulesConfig,
        SiteConfig,
    )
    from lifeline.core.errors import Problem


class Checker(Notes):
    """A whole file; brokers and sinks have checks of their own."""

    def __init__(
        self, path: Path, problems: list[Problem], payloads: Sequence[str], environ: Mapping[str, str]
    ) -> None:
        super().__init__(path, problems, environ)
        self._brokers = BrokerChecks(path, problems, environ, payloads)
        self._sinks = SinkChecks(path, problems, environ)

    def check(self, tables: dict[str, Any]) -> dict[str, Any]:
        """The tables with absolute paths, plus ``rule_files``."""
        resolved = dict(tables)
        site: SiteConfig | None = tables["site"]
        if site:
            self._timezone("site.timezone", site.timezone)
            resolved["site"] = site.model_copy(update={"data_dir": self._absolute(site.data_dir)})
        resolved["payload"] = tuple(tables["payload"])
        resolved["broker"] = tuple(self._brokers.check(tables["broker"], tables["payload"]))
        resolved["registry"] = self._check_registry(tables["registry"])
        resolved["rule_files"] = self._check_rules(tables["rules"])
        resolved["sink"] = tuple(self._sinks.check(tables["sink"]))
        audit: AuditConfig | None = tables["audit"]
        if audit and site:
            data = self._absolute(site.data_dir)
            inside = {name: data / expanded(getattr(audit, name)) for name in ("checkpoints", "key_file")}
            resolved["audit"] = audit.model_copy(update=inside)
        resolved["governance"] = self._check_governance(tables["governance"])
        self._check_listeners(tables)
        resolved["http"] = self._check_tls(tables["http"])
        return resolved

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
            matched = glob.glob(str(expanded(Path(pattern))), root_dir=self._base, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
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
        parts = split(governance.database)
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
