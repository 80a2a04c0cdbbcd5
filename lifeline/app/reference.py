"""Reference data for the queue: from the registry's areas and the files of ``[governance]``, when they have changed."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from pyarrow import csv, parquet

from lifeline.core.errors import ConfigurationError, Problem
from lifeline.governance.errors import FieldError
from lifeline.governance.reference import check_rows

if TYPE_CHECKING:
    from pathlib import Path

    from lifeline.app.site import Site
    from lifeline.core.registry import Registry
    from lifeline.governance.desk import GovernanceDesk

FILES: Final = ("units", "duties", "staff", "cameras")
KEPT: Final = ("units", "duties")
"""What people may change over the API while no file keeps it (``lifeline.governance.regulations``)."""
_NUMBERS: Final = {"lon": pa.float64(), "lat": pa.float64(), "capacity": pa.int64()}


def policy_text(site: Site) -> str | None:
    """The site's policy file; None without one: the policy is kept in the queue's database.

    Raises:
        ConfigurationError: it cannot be read.
    """
    path = site.config.governance.policy
    try:
        return None if path is None else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problem = Problem(str(path), "governance.policy", f"cannot be read: {error}", "save it as UTF-8 TOML")
        raise ConfigurationError([problem]) from error


def bring_reference(site: Site, registry: Registry, desk: GovernanceDesk) -> list[str]:
    """Bring areas, units, duties, staff and cameras into the queue's database; names of the tables that changed.

    Raises:
        ConfigurationError: a file that cannot be read or has wrong rows; with its name and row.
    """
    known = desk.reference_sources()
    tables: dict[str, list[dict[str, Any]]] = {}
    found: dict[str, str] = {}
    areas = registry.areas
    digest = blake2b(digest_size=16)
    for batch in areas.to_batches():
        digest.update(batch.serialize())
    if known.get("areas") != digest.hexdigest():
        found["areas"], tables["areas"] = digest.hexdigest(), areas.to_pylist()
    for name in FILES:
        path: Path | None = getattr(site.config.governance, name)
        if path is None:
            continue
        content = blake2b(path.read_bytes(), digest_size=16).hexdigest()
        if known.get(name) != content:
            found[name], tables[name] = content, read_rows(path, f"governance.{name}")
    changed = []
    desk.load_reference({}, files={name: str(getattr(site.config.governance, name) or "") for name in KEPT})
    for name, rows in tables.items():
        try:
            kept = {name: str(getattr(site.config.governance, name))} if name in KEPT else {}
            changed += desk.load_reference({name: rows}, {name: found[name]}, kept)
        except FieldError as error:
            place = getattr(site.config.governance, name, None) or "the registry's areas"
            problem = Problem(str(place), f"governance.{name}", str(error), "mend the file")
            raise ConfigurationError([problem]) from None
    return changed


def check_reference(site: Site) -> list[Problem]:
    """What is wrong with the files, by place; what only the database knows (doubled keys) shows at the start."""
    problems: list[Problem] = []
    for name in FILES:
        path: Path | None = getattr(site.config.governance, name)
        try:
            if path is not None:
                check_rows(name, read_rows(path, f"governance.{name}"))
        except ConfigurationError as error:
            problems += error.problems
        except FieldError as error:
            problems.append(Problem(str(path), f"governance.{name}", str(error), "mend the file"))
    return problems


def read_rows(path: Path, key: str) -> list[dict[str, Any]]:
    """A file of reference data. Raises ConfigurationError under ``key``."""
    try:
        if path.suffix.lower() == ".parquet":
            table = parquet.read_table(path)
        else:
            header = path.read_text(encoding="utf-8-sig").partition("\n")[0].strip().split(",")
            types = {name.strip().strip('"'): _NUMBERS.get(name.strip().strip('"'), pa.string()) for name in header}
            table = csv.read_csv(path, convert_options=csv.ConvertOptions(column_types=types, strings_can_be_null=True))
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        problem = Problem(str(path), key, f"cannot be read: {error}", "UTF-8 CSV with a header, or Parquet")
        raise ConfigurationError([problem]) from None
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows
