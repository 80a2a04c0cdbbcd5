"""Rule files are read again when they change, or on SIGHUP, without stopping and without forgetting.

A change of any file that the configuration's patterns match (or of which files they match) is loaded and checked
whole. With a problem the rules in force stay, and the problem is told in the log and in ``lifeline status``. Rules
whose meaning did not change keep their state; a rule that means something else must carry a higher version, because
its alarms are others. The rules follower takes the new set over between two records.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from lifeline.app.overriding import load_rules
from lifeline.app.site import load_site
from lifeline.core.errors import ConfigurationError, Problem, UnavailableError
from rules.evaluate import RuleMachine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from lifeline.app.shadow import ShadowDesk
    from lifeline.app.site import Site
    from lifeline.core.ports import Clock
    from lifeline.core.registry import RegistrySource
    from lifeline.engine.rules_follower import RulesFollower
    from lifeline.governance.queue import GovernanceQueue
    from rules.rule_set import RuleSet

logger = logging.getLogger(__name__)

LOOK_MS: Final = 2_000
"""A few dozen files are looked at this often: people wait for it, and it costs 0.1 ms."""

Seen = tuple[tuple[str, int, int], ...]


class RuleWatch:
    """A chore of the engine: notices changed rule files and hands new machines to the rules follower."""

    def __init__(
        self,
        config: Path,
        rules: RuleSet,
        registry: RegistrySource,
        follower: RulesFollower,
        queue: GovernanceQueue,
        clock: Clock,
        record: Callable[[Site], None] | None = None,
        shadow: ShadowDesk | None = None,
    ) -> None:
        """``record``: audits that rules change, before they do; what it raises leaves those in force."""
        self._shadow = shadow
        self._config, self._registry, self._follower, self._clock = config, registry, follower, clock
        self._rules, self._queue, self._record = rules, queue, record
        self._files: tuple[Path, ...] = ()
        self._listed: tuple[tuple[str, int], ...] = ()
        self._seen = self._look()
        self._at = clock()
        self._asked = False

    def ask(self) -> None:
        """Read the files at the next turn, changed or not (SIGHUP; safe in a signal handler)."""
        self._asked = True

    def keep(self) -> None:
        """One turn."""
        now = self._clock()
        if not self._asked and now - self._at < LOOK_MS:
            return
        self._at = now
        seen = self._look()
        if seen == self._seen and not self._asked:
            return
        self._seen, self._asked = seen, False
        try:
            self._read()
        except ConfigurationError as error:
            self._follower.reload_fault = str(error)
            logger.error("rules not reloaded, those in force stay: %s", error)  # noqa: TRY400 - it says all
        except UnavailableError:
            self._seen = ()  # the audit could not be written: tried again
            raise

    def _look(self) -> Seen:
        try:
            self._list()
            stats = [(str(file), file.stat()) for file in self._files]
        except (ConfigurationError, OSError):  # in the middle of being written
            self._listed = ()
            return ()
        return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)

    def _list(self) -> None:
        """Which files the patterns match: asked again only when the configuration or a folder of rules changed."""
        if self._listed and self._listed == _stamps(self._config, self._files):
            return
        self._files = tuple(load_site(self._config).config.rule_files)
        self._listed = _stamps(self._config, self._files)

    def _read(self) -> None:
        site = load_site(self._config)
        rules = load_rules(site)
        check_versions(self._rules, rules)
        self._follower.reload_fault = None
        if rules == self._rules:
            return
        if self._record is not None:
            self._record(site)
        if self._shadow is not None:
            self._shadow.use(rules, site.config.site.timezone)
        if rules.rules == self._rules.rules:
            logger.warning("rules reloaded: candidates changed, production did not")
            self._rules = rules
            return
        machine = RuleMachine(rules, self._registry, site.config.site.timezone)

        def names_change() -> None:
            self._queue.rules = rules.info()

        self._follower.hand_over(machine, names_change)
        changed = len(rules.new_in(self._rules))
        logger.warning("rules reloaded: %d, of which %d are new or changed", len(rules.rules), changed)
        self._rules = rules


def _stamps(config: Path, files: Iterable[Path]) -> tuple[tuple[str, int], ...]:
    """When the configuration and the folders of rule files last changed (a folder: a file came or went)."""
    return tuple((str(path), path.stat().st_mtime_ns) for path in sorted({config, *(file.parent for file in files)}))


def check_versions(old: RuleSet, new: RuleSet) -> None:
    """Raise ConfigurationError when a rule means something else under the same version."""
    before = {rule.id: rule for rule in old.rules}
    problems = [
        Problem(
            rule.file,
            f"rule {rule.id}.version",
            f"its meaning changed, but it is still version {rule.version}",
            f"version = {rule.version + 1}: alarms carry it",
        )
        for rule in new.new_in(old)
        if rule.id in before and rule.version == before[rule.id].version
    ]
    if problems:
        raise ConfigurationError(problems)
