"""An event told again by the lines of its log; pure. What comes out are the columns that the log decides.

    lines in order ──► status, times, owner, counts, level … as they must stand now       what no line tells is left out

It follows ``states.TABLE`` and the same acts as ``steps``, but by what they wrote, not by policy and clock: so it needs
neither, and says the same years later.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from lifeline.governance.causes import FALSE_CAUSES
from lifeline.governance.deadlines import STEPS
from lifeline.governance.states import ACTIONS, BY_KEY, CLOSED_STATES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Row = dict[str, Any]

_CARRIED: Final = ("owner", "co_owners", "cause", "false_alarm", "satisfaction", "supervision", "level", "due_at")
_OF_NEW_VERSIONS: Final = frozenset({"report", "confirm", "escalate", "overdue", "mode"})
"""What the engine and reports do that raises an event's version, beside every act of the table."""
_ESCALATED: Final = re.compile(r" escalated \w+ → (\w+): ")


class UntrueError(Exception):
    """The lines cannot be those of an event; the text says which and why."""


def retell(lines: Iterable[Mapping[str, Any]]) -> Row:
    """Columns as the lines (``fields`` unpacked) leave them. Raises UntrueError."""
    row: Row = {}
    for line in lines:
        if not row:
            _begin(row, line)
            continue
        if line["from_status"] != row["status"]:
            raise UntrueError(f"entry {line['entry']} begins in {line['from_status']}, the event was {row['status']}")
        if line["action"] in ACTIONS:
            _act(row, line)
        else:
            if line["to_status"] != row["status"]:
                raise UntrueError(f"entry {line['entry']}: {line['action']!r} leads to no other status")
            if line["action"] in _BY_ENGINE:
                _BY_ENGINE[line["action"]](row, line)
        row["version"] += line["action"] in ACTIONS or line["action"] in _OF_NEW_VERSIONS
    if row:
        row["is_open"] = row["status"] not in CLOSED_STATES
    return row


def _begin(row: Row, line: Mapping[str, Any]) -> None:
    if (line["action"], line["from_status"], line["to_status"]) != ("open", None, "new"):
        raise UntrueError(f"entry {line['entry']} is the first and does not open it")
    row |= dict.fromkeys(
        ("dispatched_at", "accepted_at", "resolved_at", "closed_at", "filed_at", "first_dispatched_at")
    )
    row |= dict.fromkeys(
        ("first_accepted_at", "owner", "co_owners", "cause", "false_alarm", "satisfaction", "normal_at")
    )
    row |= dict.fromkeys(("extension_until", "overdue_at", "suspended_at", "verified"))
    row |= dict.fromkeys(("supervision", "returns", "reworks", "extensions"), 0)
    row |= {"status": "new", "detected_at": line["at"], "version": 1}
    row["reports"] = int("report_id" in line["fields"])


def _act(row: Row, line: Mapping[str, Any]) -> None:
    """One act of the table."""
    at, fields = line["at"], line["fields"]
    step = BY_KEY.get((row["status"], line["action"]))
    if step is None or step.target != line["to_status"]:
        raise UntrueError(f"entry {line['entry']}: {line['action']!r} does not lead there from {row['status']}")
    if step.stamps:
        row[step.stamps] = at
        first = f"first_{step.stamps}"
        if first in row and row[first] is None:
            row[first] = at
    row.update((name, fields[name]) for name in _CARRIED if name in fields)
    if step.action in _SPECIAL:
        _SPECIAL[step.action](row, line)
    elif row["status"] == "extension-asked" and step.source != step.target:
        row["extension_until"] = None
    row["status"] = step.target


def _file(row: Row, line: Mapping[str, Any]) -> None:
    row["filed_at"] = row["filed_at"] or line["at"]


def _dispatch(row: Row, line: Mapping[str, Any]) -> None:
    """Units that the matrix proposed are in no line (``routing`` names the leading one); nor is the new deadline."""
    _file(row, line)
    row.pop("centre", None)
    for name in ("owner", "co_owners", "due_at"):
        if name not in line["fields"]:
            row.pop(name, None)


def _return(row: Row, _: Mapping[str, Any]) -> None:
    row |= {"returns": row["returns"] + 1, "owner": None, "co_owners": None}


def _ask(row: Row, line: Mapping[str, Any]) -> None:
    row["extension_until"] = line["fields"]["until"]


def _grant(row: Row, _: Mapping[str, Any]) -> None:
    row |= {"due_at": row["extension_until"], "extension_until": None, "extensions": row["extensions"] + 1}


def _suspend(row: Row, line: Mapping[str, Any]) -> None:
    row["suspended_at"] = line["at"]


def _resume(row: Row, line: Mapping[str, Any]) -> None:
    row["suspended_at"] = None
    _forget_due(row, line)


def _forget_due(row: Row, line: Mapping[str, Any]) -> None:
    """It may have been set anew, by the policy of the time."""
    if "due_at" not in line["fields"]:
        row.pop("due_at", None)


def _fail_check(row: Row, line: Mapping[str, Any]) -> None:
    row["reworks"] += 1
    _forget_due(row, line)


def _reopen(row: Row, line: Mapping[str, Any]) -> None:
    row["reworks"] += row["closed_at"] is not None
    row |= dict.fromkeys(("closed_at", "resolved_at", "cause", "false_alarm", "satisfaction", "verified"))
    _forget_due(row, line)


def _close(row: Row, line: Mapping[str, Any]) -> None:
    row["false_alarm"] = line["fields"].get("false_alarm", line["fields"]["cause"] in FALSE_CAUSES)
    row.pop("verified", None)


def _report(row: Row, _: Mapping[str, Any]) -> None:
    row["reports"] += 1


def _escalate(row: Row, line: Mapping[str, Any]) -> None:
    row.pop("due_at", None)
    if found := _ESCALATED.search(line["note"]):
        row["level"] = found[1]


def _overdue(row: Row, line: Mapping[str, Any]) -> None:
    fields = line["fields"]
    row["supervision"] = max(row["supervision"], STEPS.index(fields["step"]))
    row["centre"] = fields["centre"]
    if fields["stage"] == "handle" and row["overdue_at"] is None:
        row["overdue_at"] = fields["due_at"]


def _mode(row: Row, line: Mapping[str, Any]) -> None:
    row.pop("due_at", None)
    row["mode"] = line["fields"]["mode"]


def _normal(row: Row, line: Mapping[str, Any]) -> None:
    row["normal_at"] = line["at"]


def _not_normal(row: Row, _: Mapping[str, Any]) -> None:
    row["normal_at"] = None


_SPECIAL: Final[dict[str, Callable[[Row, Mapping[str, Any]], None]]] = {
    "file": _file,
    "dispatch": _dispatch,
    "return": _return,
    "ask-extension": _ask,
    "grant-extension": _grant,
    "suspend": _suspend,
    "resume": _resume,
    "fail-check": _fail_check,
    "reopen": _reopen,
    "tell": _forget_due,
    "close": _close,
}
_BY_ENGINE: Final[dict[str, Callable[[Row, Mapping[str, Any]], None]]] = {
    "report": _report,
    "escalate": _escalate,
    "overdue": _overdue,
    "mode": _mode,
    "return-to-normal": _normal,
    "active-again": _not_normal,
}
