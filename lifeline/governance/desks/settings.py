"""Reference data, policy, units and duties."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lifeline.governance import reference, regulations
from lifeline.governance.desks.base import BaseDesk

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lifeline.core.errors import Problem
    from lifeline.governance.actor import Actor

Row = dict[str, Any]


class SettingDesk(BaseDesk):
    """Reference data, policy, units and duties."""

    def load_reference(
        self,
        tables: Mapping[str, Iterable[Mapping[str, Any]]],
        sources: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
    ) -> list[str]:
        """Replace reference tables (areas, units, duties, staff, cameras); names of those that changed.

        ``sources``: digests of what they were read from; ``reference_sources`` gives them back. ``files``: the file
        that keeps units or duties from now on, "" for none (``regulations``).
        """
        with self._database.write() as connection:
            before = {name: regulations.content_of(connection, name) for name in files or {}}
            reference.remember_sources(connection, sources or {})
            changed = reference.load_all(connection, tables)
            for name, file in (files or {}).items():
                regulations.taken_from_file(connection, name, file, before[name], self._clock())
            return changed

    def reference_sources(self) -> dict[str, str]:
        """What each reference table was last read from."""
        with self._database.read() as connection:
            return reference.sources(connection)

    def get_setting(self, name: str) -> Row:
        """What is in force of policy, units or duties; as ``regulations.get``."""
        with self._database.read() as connection:
            return regulations.get(connection, name)

    def list_setting_versions(self, name: str, before: int | None, limit: int) -> tuple[list[Row], int | None]:
        """Its versions, newest first; as ``regulations.list_versions``."""
        with self._database.read() as connection:
            return regulations.list_versions(connection, name, before, limit)

    def get_setting_version(self, name: str, version: int) -> Row:
        """One version with its content."""
        with self._database.read() as connection:
            return regulations.get_version(connection, name, version)

    def set_policy(
        self,
        text: str,
        reason: str,
        actor: Actor,
        version: int,
        faults: Sequence[Problem] = (),
        source: regulations.Door = "api",
    ) -> Row:
        """Put a policy into force; durable and audited on return; as ``regulations.set_policy``."""
        kept = self._refused_is_audited(actor, "set", "settings/policy", "configuration")
        with kept, self._database.write() as connection:
            return regulations.set_policy(
                *(connection, text, reason, actor, version, self._clock()),
                journal=self._journal,
                faults=faults,
                source=source,
            )

    def set_rows(
        self,
        name: str,
        rows: Sequence[Mapping[str, Any]],
        reason: str,
        actor: Actor,
        version: int,
        source: regulations.Door = "api",
    ) -> Row:
        """Make these the units or duties; durable and audited on return; as ``regulations.set_rows``."""
        kept = self._refused_is_audited(actor, "set", f"settings/{name}", "configuration")
        with kept, self._database.write() as connection:
            return regulations.set_rows(
                *(connection, name, rows, reason, actor, version, self._clock()), journal=self._journal, source=source
            )
