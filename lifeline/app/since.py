"""Times as people type them: ISO 8601, or how long ago (``30min``, ``2h``, ``7d``)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from lifeline.app.clock import now_ms
from lifeline.core.errors import ConfigurationError, Problem

_SECONDS: Final = {"s": 1, "min": 60, "h": 3600, "d": 86_400}


def parse_time(text: str | None, option: str = "--since") -> int | None:
    """Epoch milliseconds of ``text``; None for None. A time without a zone is UTC.

    Raises:
        ConfigurationError: neither form.
    """
    if text is None:
        return None
    ago = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|h|d)", text.strip())
    if ago:
        return now_ms() - int(float(ago[1]) * _SECONDS[ago[2]] * 1000)
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ConfigurationError(
            [Problem("command line", option, f"{text!r} is not a time", "write 2026-11-23T08:00Z, 30min, 2h or 7d")]
        ) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
