"""Where policy, units and responsibility matrix are kept: a file of ``[governance]``, or the queue's database."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from lifeline.app.clock import now_ms
from lifeline.core.errors import ConfigurationError, UnavailableError
from lifeline.governance.desk import GovernanceDesk
from lifeline.governance.regulations import NAMES

if TYPE_CHECKING:
    from lifeline.app.site import Site

DOORS: Final = {"api": "over the API", "shell": "at the shell"}
"""Sources of versions that people decided."""


def kept_where(site: Site) -> dict[str, Any]:
    """``{kept: {name: place}, warnings}``: what the next start will do with each; changes nothing."""
    known = _known(site)
    kept: dict[str, str] = {}
    warnings = []
    for name in NAMES:
        path = getattr(site.config.governance, name)
        row = known.get(name, {"version": 0, "source": "built-in"})
        by = f"version {row['version']}"
        if row["version"]:
            by += f" by {row['actor']} of {datetime.fromtimestamp(row['at'] / 1000, UTC):%Y-%m-%d %H:%M} UTC"
        if path is not None:
            kept[name] = f"{path} (the file; changes over the API or at the shell are refused)"
            if row["source"] in DOORS:
                warnings.append(
                    f"{name}: the next start replaces {by}, made {DOORS[row['source']]}, by {path}; it stays among the "
                    f"versions. To keep it, take governance.{name} out of lifeline.toml"
                )
        elif row["version"] or row.get("text") or row.get("rows"):
            kept[name] = f"the queue's database ({by}; changed over the API or at the shell)"
        else:
            kept[name] = "built-in" if name == "policy" else "none yet"
    return {"kept": kept, "warnings": warnings}


def _known(site: Site) -> dict[str, Any]:
    """What the database has; nothing before the first start, or while it cannot be asked."""
    path = site.config.database_path
    if path is not None and not path.exists():
        return {}
    try:
        with closing(GovernanceDesk(site.database_url, now_ms)) as desk:
            return {name: desk.get_setting(name) for name in NAMES}
    except (ConfigurationError, UnavailableError):  # tables of an older version, a server that is down: a start says so
        return {}
