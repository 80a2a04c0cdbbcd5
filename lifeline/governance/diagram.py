"""The transition table as docs: a mermaid diagram and a Markdown table, kept in ``docs/governance.md``.

``python -m lifeline.governance.diagram docs/governance.md`` rewrites the part between the markers; a test compares.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from lifeline.governance.states import CLOSED_STATES, STATES, TABLE, Transition

BEGIN: Final = "<!-- begin: made from lifeline/governance/states.py -->"
END: Final = "<!-- end: made from lifeline/governance/states.py -->"


def mermaid() -> str:
    """The state diagram, without the acts that leave the state as it is."""
    lines = ["stateDiagram-v2", "    [*] --> new"]
    lines += [f'    state "{zh} {name}" as {_node(name)}' for name, (zh, _) in STATES.items() if name != "new"]
    lines += [f"    {_node(t.source)} --> {_node(t.target)}: {t.action}" for t in TABLE if t.source != t.target]
    lines += [f"    {_node(state)} --> [*]" for state in STATES if state in CLOSED_STATES]
    return "\n".join(lines)


def _node(state: str) -> str:
    return state.replace("-", "_")


def table() -> str:
    """Every row: from, action, to, roles, what it needs, what it may carry, which time it stamps, whose hands."""
    head = ["from", "action", "to", "roles", "needs", "may carry", "stamps", "person"]
    rows = [head, ["---"] * len(head)]
    rows += [
        [
            t.source,
            f"`{t.action}`",
            t.target,
            *(", ".join(part) for part in (t.roles, t.requires, t.allows)),
            t.stamps,
            _person(t),
        ]
        for t in TABLE
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _person(step: Transition) -> str:
    if step.hands:
        return "becomes a handler"
    return "never a handler" if step.checks else ""


def states() -> str:
    """Every state with its Chinese name and meaning."""
    lines = ["| state | 中文 | meaning |", "| --- | --- | --- |"]
    return "\n".join([*lines, *(f"| {name} | {zh} | {meaning} |" for name, (zh, meaning) in STATES.items())])


def section() -> str:
    """The whole generated part, markers included."""
    return f"{BEGIN}\n\n{states()}\n\n```mermaid\n{mermaid()}\n```\n\n{table()}\n\n{END}"


def rewrite(text: str) -> str:
    """``text`` with the part between the markers made anew. Raises ValueError when a marker is missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page needs the lines {BEGIN!r} and {END!r}")
    return f"{before}{section()}{after}"


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(rewrite(page.read_text(encoding="utf-8")), encoding="utf-8")
