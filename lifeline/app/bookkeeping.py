"""The audit of a site: what is recorded when an engine starts, and the export of signed checkpoints."""

from __future__ import annotations

from getpass import getuser
from hashlib import sha256
from importlib.metadata import version
from typing import TYPE_CHECKING

from lifeline.app.clock import now_ms
from lifeline.governance.audit import AuditEntry
from lifeline.governance.audit_export import AuditExporter
from lifeline.governance.states import SYSTEM

if TYPE_CHECKING:
    from lifeline.app.site import Site
    from lifeline.governance.desk import GovernanceDesk


def keep_books(site: Site, desk: GovernanceDesk) -> AuditExporter:
    """Record the start of an engine; returns what exports checkpoints.

    Raises:
        ConfigurationError: the key is wrong.
        UnavailableError: folder or database refuse: an engine that cannot be audited does not start.
    """
    config = site.config.audit
    exporter = AuditExporter(
        site.database_url,
        config.checkpoints,
        config.key_file,
        site.config.site.name,
        now_ms,
        every_s=config.every_s,
        every_entries=config.every_entries,
    )
    desk.record(started(site))
    return exporter


def started(site: Site) -> AuditEntry:
    """That an engine starts, by whom, and with which configuration and rules: digests, so that a change shows."""
    return _configuration(site, "engine-start")


def record_reload(desk: GovernanceDesk, site: Site) -> None:
    """Record that a running engine takes over changed rule files; who wrote them is the file system's to say.

    Raises:
        UnavailableError: it cannot be recorded.
    """
    desk.record(_configuration(site, "rules-reload"))


def _configuration(site: Site, action: str) -> AuditEntry:
    files = {site.config.path.name: site.config.path} | {f"rules/{path.name}": path for path in site.config.rule_files}
    digests = {name: sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    fields = {"version": version("lifeline-engine"), "sha256": digests}
    return AuditEntry("configuration", getuser(), action, str(site.config.path), SYSTEM, fields=fields)
