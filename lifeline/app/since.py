"""Times as people type them: ISO 8601, or how long ago or from now (``30min``, ``2h``, ``7d``)."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Final

from lifeline.app.clock import now_ms
from lifeline.core.errors import ConfigurationError, Problem
from rules.durations import parse_duration

YEARS_MAX: Final = 100
"""So long ago, or ahead: beyond this a number was mistyped."""


def parse_time(text: str | None, option: str = "--since", *, zone: tzinfo = UTC, ahead: bool = False) -> int | None:
    """Epoch milliseconds of ``text``; None for None. A time without a zone is one of ``zone``.

    A length of time is before now, or (``ahead``: a deadline) after it.

    Raises:
        ConfigurationError: neither form.
    """
    if text is None:
        return None
    if (length := parse_duration(text)) is not None and length < YEARS_MAX * 366 * 86_400:
        return now_ms() + round(length * 1000) * (1 if ahead else -1)
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        remedy = "write 2026-11-23T08:00, 2026-11-23T08:00Z, 30min, 2h or 7d"
        raise ConfigurationError([Problem("command line", option, f"{text!r} is not a time", remedy)]) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp() * 1000)
