"""Binding the rules to the points of a city, a second of work, on a thread of its own.

It begins as soon as there are rules and a registry, beside the recovery of the log and the opening of databases: the
start has two processors, and one thread of it waits for the disk.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from rules.evaluate import RuleMachine
from rules.rehearsal import rehearse

if TYPE_CHECKING:
    from concurrent.futures import Future

    from lifeline.core.registry import RegistrySource
    from rules.rule_set import RuleSet


class Binding:
    """A machine that is being made; what a start has taken it is not held here any longer."""

    def __init__(self, rules: RuleSet, registry: RegistrySource, timezone: str) -> None:
        self._of = rules, registry, timezone
        thread = ThreadPoolExecutor(1, "bind-rules")
        self._made: Future[RuleMachine] | None = thread.submit(self._make)
        thread.shutdown(wait=False)

    def take(self) -> RuleMachine:
        """The machine, once it is made; another one when it was taken before."""
        made, self._made = self._made, None
        return self._make() if made is None else made.result()

    def _make(self) -> RuleMachine:
        rules, registry, timezone = self._of
        rehearse(timezone)
        return RuleMachine(rules, registry, timezone)
