"""What was refused to somebody whom we know: on record for the security audit, and counted.

    403   the role may not, the grade is too low, the act did not come from a page of ours    before the answer leaves
    404   what is asked for is there, but outside the caller's areas or utilities             after it: no clock tells

Somebody who tries a thousand doors must not fill the audit: a bucket a name lets the first tries and then one in ten
seconds through, and the next entry says how many were left out. What the queue or the accounts have on record
themselves (``ProblemError.recorded``) is only counted.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from typing import TYPE_CHECKING, Final

from lifeline.console.limits import REFUSED, Buckets
from lifeline.core.errors import LifelineError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lifeline.console.ports import AuditPort
    from lifeline.console.problem import ProblemError
    from lifeline.core.principal import Principal

LOG: Final = logging.getLogger(__name__)
NAMES_MAX: Final = 10_000
"""Names whose left-out tries are remembered; beyond it they are only counted."""


class Refusals:
    """Keeps them; used from worker threads."""

    def __init__(self, audit: AuditPort, monotonic: Callable[[], float]) -> None:
        self._audit = audit
        self._buckets = Buckets(REFUSED, monotonic)
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter({"right": 0, "place": 0})
        self._left_out: Counter[str] = Counter()

    def note(self, who: Principal, method: str, path: str, problem: ProblemError) -> None:
        """Put a refusal on record; an audit that cannot be written changes nothing about it."""
        with self._lock:
            self._counts["right" if problem.status == 403 else "place"] += 1
        if problem.recorded:
            return
        if self._buckets.take(who.name):
            with self._lock:
                if who.name in self._left_out or len(self._left_out) < NAMES_MAX:
                    self._left_out[who.name] += 1
            return
        with self._lock:
            left_out = self._left_out.pop(who.name, 0)
        details = {"method": method, "purpose": problem.denied or problem.detail, "status": problem.status}
        if left_out:
            details["left_out"] = left_out
        try:
            self._audit.record(who, f"{problem.tried}.refused", path[:200], details)
        except (LifelineError, OSError):
            LOG.exception("a refusal to %s is not in the audit", who.name)

    def metrics(self) -> bytes:
        """Prometheus text."""
        with self._lock:
            counts = dict(self._counts)
        head = "# HELP lifeline_console_refused_total Requests refused to somebody who is known.\n"
        head += "# TYPE lifeline_console_refused_total counter\n"
        lines = (f'lifeline_console_refused_total{{reason="{name}"}} {n}\n' for name, n in counts.items())
        return (head + "".join(lines)).encode()
