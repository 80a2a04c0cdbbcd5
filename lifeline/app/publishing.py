"""Keeps the analysts' catalog up to date with the registry and the governance queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lifeline.core.registry import Registry, RegistrySource
    from lifeline.governance.desk import GovernanceDesk
    from lifeline.lake.catalog import Catalog


class Publisher:
    """Publishes what changed since the last time; one thread calls it."""

    def __init__(self, catalog: Catalog, desk: GovernanceDesk, registry: RegistrySource) -> None:
        self._catalog = catalog
        self._desk = desk
        self._registry = registry
        self._published: Registry | None = None
        self._revisions: dict[str, int] = {}

    def publish_registry(self) -> None:
        """Points and areas, when the registry is newer than what is published."""
        registry = self._registry.current()
        if registry is self._published:
            return
        self._catalog.publish_table("points", registry.points)
        self._catalog.publish_table("areas", registry.areas)
        self._published = registry

    def publish_changes(self) -> None:
        """Points, areas, alarms, events and their log, each only when it changed.

        Raises:
            UnavailableError: database or disk refuses; tried again at the next call.
        """
        self.publish_registry()
        revisions = self._desk.revisions()
        changed = [name for name, revision in revisions.items() if self._revisions.get(name) != revision]
        if changed:
            for name, table in self._desk.snapshot_tables(changed).items():
                self._catalog.publish_table(name, table)
        self._catalog.publish()
        self._revisions = revisions
