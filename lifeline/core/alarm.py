"""What a rule says about a point: one change of one alarm, and the identities that make a replay harmless."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Literal

ChangeKind = Literal["raised", "cleared", "reopened", "withdrawn"]
"""The last two correct what was said before late readings came: it has not cleared after all, or never was one."""


def alarm_id(rule_id: str, rule_version: int, device_id: str, quantity: str, onset: int) -> str:
    """Identity of an alarm: 24 hex digits of (rule, version, device, quantity, onset in epoch ms).

    The same readings under the same rule give the same identity in any run, live or replayed or backtested.
    """
    text = f"{rule_id}\x1f{rule_version}\x1f{device_id}\x1f{quantity}\x1f{onset}"
    return blake2b(text.encode(), digest_size=12).hexdigest()


RULE_GONE: Final = "规则已移除 / the rule is gone"
RULE_CHANGED: Final = "规则已修改 / the rule has changed"
"""Reasons for the end of an alarm that no reading ended."""
RULE_BACK: Final = "规则已恢复 / the rule is back"
"""Why such an alarm stands again."""


@dataclass(frozen=True, slots=True)
class AlarmChange:
    """One alarm was raised or cleared, or that is taken back.

    Times are event time (epoch ms) except ``detected_at`` (log time).
    """

    kind: ChangeKind
    alarm_id: str
    rule_id: str
    rule_version: int
    point: int
    raised_at: int
    """Onset: event time of the first reading of the run that satisfied ``raise``."""
    detected_at: int
    """``received_at`` of the reading (or clock record) that completed the on-delay, or that cleared."""
    value: float
    limit: float
    """The parameter named ``limit``, NaN when the rule has none."""
    level: str
    lsn: int
    """Log position of the reading that completed the change: the way back to the evidence."""
    cleared_at: int | None = None
    revised: bool = False
    """Said because late readings changed what was said before."""
    reason: str = ""
    """Why it was cleared, when it was not the readings that did: for people, Chinese and English."""
    detail: str = ""
    """JSON: the parameters, the evidence window, the readings behind it with their log positions (docs/rules.md)."""


@dataclass(frozen=True, slots=True)
class RuleInfo:
    """What the governance queue and the screens must know of a rule; indexed by ``rule_id``."""

    rule_id: str
    version: int
    title_zh: str
    title_en: str
    level: str
    category: str
    """``process``: something is wrong with the network; ``device``: with the sensor."""
    event: str
    """Kind of event its alarms fold into, e.g. ``gas-leak``: rules of one kind at one place share an event."""
    place: str
    """What "one place" is for it: ``device``, ``asset``, ``zone``, ``gateway`` or ``area``."""
    cause: str
    consequence: str
    action: str
    respond_within_s: float
    realarm_s: float = 0.0
    """It is annunciated again after standing for so long; 0: never."""
    announce: bool = True
    """False: a state that other rules refer to; its alarms are stored, suppressed by design, and tell nobody."""
    suppressed_by: tuple[str, ...] = ()
    """Rules whose standing alarm at the same ``suppressed_at`` (a kind of place) explains its alarms."""
    suppressed_at: str = ""
    settle_s: float = 0.0
    """What they have suppressed and still stands is told so long after the last of them has ended."""
    folds_under: tuple[str, ...] = ()
    """Likewise with ``folds_at``, in a flood: its alarms join the event of that alarm."""
    folds_at: str = ""
