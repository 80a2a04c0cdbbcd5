"""``lifeline verify``: log checksums, the lake against the log, the queue's database, the audit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lifeline.app.site import load_site
from lifeline.core.errors import ConfigurationError, CorruptionError, UnavailableError
from lifeline.governance.audit_verify import verify_audit
from lifeline.governance.verify import verify_queue
from lifeline.lake.verify import verify_lake
from lifeline.log import verify as verify_log

if TYPE_CHECKING:
    from pathlib import Path

    from lifeline.app.site import Site


def verify_site(config: Path, audit_key: Path | None = None, *, full: bool = False) -> dict[str, Any]:
    """``{ok, parts: [{name, ok, detail}]}``; a part that is bad names its first bad place.

    ``audit_key``: the auditor's own copy of the public key; else the one beside the checkpoints. ``full``: every page
    of the lake, as ``verify_lake``, and every row of the queue, as ``verify_queue``.
    """
    site = load_site(config)
    if not site.log.exists():
        raise UnavailableError(f"{site.log}: no engine has run here yet; lifeline run -c {config}")
    log = verify_log(site.log)
    parts = [
        {
            "name": "log",
            "ok": log.bad is None,
            "detail": str(log.bad)
            if log.bad
            else f"{log.records:,} records, {log.readings:,} readings, lsn {log.first} to {log.last}",
        }
    ]
    lake = verify_lake(site.data, committed=None if log.live else log.last or None, full=full)
    parts.append(
        {
            "name": "lake",
            "ok": lake.problem is None,
            "detail": lake.problem or f"{lake.files:,} files, {lake.rows:,} rows, complete up to lsn {lake.position}",
        }
    )
    parts.append(_verify_queue(site, full=full))
    if parts[-1]["ok"]:
        parts.append(_verify_audit(site, audit_key))
    return {"ok": all(part["ok"] for part in parts), "parts": parts}


def _verify_audit(site: Site, audit_key: Path | None) -> dict[str, Any]:
    verdict = verify_audit(site.database_url, site.config.audit.checkpoints, audit_key)
    detail = verdict.problem or (
        f"{verdict.entries:,} entries, {verdict.covered:,} of them under {verdict.checkpoints:,} signed checkpoints"
    )
    return {"name": "audit", "ok": verdict.problem is None, "detail": detail, "entry": verdict.entry}


def _verify_queue(site: Site, *, full: bool) -> dict[str, Any]:
    path = site.config.database_path
    if path is not None and not path.exists():
        return {"name": "queue", "ok": False, "detail": f"{path}: does not exist; no engine has run here yet"}
    try:
        detail = verify_queue(site.database_url, full=full)
    except (ConfigurationError, CorruptionError) as error:
        return {"name": "queue", "ok": False, "detail": str(error)}
    return {"name": "queue", "ok": True, "detail": detail}
