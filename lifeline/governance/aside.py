"""Events put aside because what explains them has a case of its own, and what becomes of them; pure: rows are changed.

    new ──explain──► explained     every alarm of it that stands is explained by another that came later
    explained ──tell──► new        one of them stands although its cause has ended, or its cause's case was closed by
                                   hand; or one that nothing explains joins
    explained ──lapse──► lapsed    all of them are over, and what explained them is (``lapses``)
    lapsed ──explain──► explained  late readings: one of them is not

Nobody is late with what is put aside: it has no deadline, and gets the whole of it anew when it is told again. What
somebody has filed, cancelled or dispatched is never put aside, nor what people told of or acknowledged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lifeline.governance import deadlines
from lifeline.governance.actor import ENGINE
from lifeline.governance.states import EXPLAINED, LAPSED

if TYPE_CHECKING:
    from lifeline.governance.effects import Effects
    from lifeline.governance.policy import Policy

Row = dict[str, Any]


def put(effects: Effects, row: Row, cause: str | None, words: str, policy: Policy, at: int) -> None:
    """Put an event aside beneath that of its cause (None: what explains it is a state of the plant)."""
    values = {"status": EXPLAINED, "is_open": True, "related_id": cause or row["related_id"]}
    _step(effects, row, "explain", values, words, policy, at)


def tell(effects: Effects, row: Row, words: str, policy: Policy, at: int) -> None:
    """Give an event that is put aside back to people; any other is left alone."""
    if row["status"] != EXPLAINED:
        return
    values: Row = {"status": "new"}
    if row["due_at"] is not None and row["due_from"] is not None:
        values |= {"due_at": at + row["due_at"] - row["due_from"], "due_from": at, "round": row["round"] + 1}
    _step(effects, row, "tell", values, words, policy, at)


def lapse(effects: Effects, row: Row, words: str, policy: Policy, at: int) -> None:
    """End an event that is put aside."""
    _step(effects, row, "lapse", {"status": LAPSED, "is_open": False}, words, policy, at)


def _step(effects: Effects, row: Row, action: str, values: Row, words: str, policy: Policy, at: int) -> None:
    before = dict(row)
    row |= values
    row["version"] += 1
    deadlines.settle(effects, before, row, policy, at)
    effects.say(row, at, ENGINE, action, words, before=before["status"])
