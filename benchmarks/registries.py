"""A registry that never changes, for workloads that need no durable one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lifeline.core.registry import Registry

if TYPE_CHECKING:
    from simulators.fleet import Fleet


class FixedRegistry:
    """Implements ``lifeline.core.registry.RegistrySource``."""

    def __init__(self, fleet: Fleet) -> None:
        self._registry = Registry(fleet.points, fleet.areas)

    def current(self) -> Registry:
        """The registry."""
        return self._registry

    def register(self, pairs: list[tuple[str, str, str]]) -> Registry:
        """Nothing is ever added.

        Raises:
            AssertionError: a stream named a device that its own fleet does not have.
        """
        raise AssertionError(f"a benchmark's stream names unknown points: {pairs[:3]}")
