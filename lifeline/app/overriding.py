"""What emergencies change in the rules: whether the policy's overrides fit the rules, and what was in force when."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from lifeline.app.clock import now_ms
from lifeline.app.reference import policy_text
from lifeline.core.errors import ConfigurationError
from lifeline.governance.desk import GovernanceDesk
from lifeline.governance.policy import read_policy
from rules import overrides
from rules.rule_set import RuleSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lifeline.app.site import Site
    from lifeline.core.errors import Problem
    from lifeline.core.override import ParameterSpan


def check_policy(site: Site, rules: RuleSet | None) -> list[Problem]:
    """What is wrong with the site's policy, its overrides of rules included (unless ``rules`` are not to be had)."""
    file = str(site.config.governance.policy)
    try:
        text = policy_text(site)
        if text is None:
            return []
        policy = read_policy(text, site.config.site.timezone, file)
    except ConfigurationError as error:
        return list(error.problems)
    if rules is None:
        return []
    return overrides.faults(rules.rules, policy.emergency.overrides, file, "emergency.overrides")


def override_faults(site: Site, text: str) -> list[Problem]:
    """How a policy's overrides do not fit the site's rules; nothing of a text that is no policy.

    Raises:
        ConfigurationError: the rules themselves are wrong.
    """
    try:
        given = read_policy(text, site.config.site.timezone).emergency.overrides
    except ConfigurationError:
        return []
    rules = RuleSet.load(site.config.rule_files).rules if given else ()
    return overrides.faults(rules, given, "policy", "emergency.overrides")


def load_rules(site: Site) -> RuleSet:
    """The site's rules, which its policy fits.

    Raises:
        ConfigurationError: everything that is wrong with rules or policy.
    """
    rules = RuleSet.load(site.config.rule_files)
    if problems := check_policy(site, rules):
        raise ConfigurationError(problems)
    return rules


def past_spans(site: Site) -> Sequence[ParameterSpan]:
    """For which readings emergencies set rule parameters; none where no engine has run.

    Raises:
        UnavailableError: the database refuses.
    """
    path = site.config.database_path
    if path is not None and not path.exists():
        return ()
    with closing(GovernanceDesk(site.database_url, now_ms)) as desk:
        return desk.rule_spans()
