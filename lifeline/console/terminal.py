"""The status as one line, for people at a terminal; plain lines now and then where there is none.

    ● 42,310 readings/s · received 1.2 M · lag rules 0.1 s lake 0.6 s · events 14 (2 red) · unacked 0

Rules of this file: takes the status dict as the engine writes it, tolerates missing keys, and never raises on its own
account: a status line is not worth a stopped engine.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Self

from rich.live import Live
from rich.text import Text

from lifeline.core.reasons import in_both

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rich.console import Console

LEVEL_STYLES: Final = {"red": "bold red", "orange": "dark_orange", "yellow": "yellow", "blue": "blue"}
LAG_WARN_S: Final = 5.0
PLAIN_EVERY_S: Final = 5.0


def human(count: float) -> str:
    """A count, short: ``987``, ``42.3 k``, ``1.2 M``, ``3.4 G``."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if count >= size:
            return f"{count / (1e3 if unit == 'k' else size):.1f} {unit}"
    return f"{count:,.0f}"


def status_line(status: Mapping[str, Any]) -> Text:
    """One line of what matters; the reason first when the engine is not ready."""
    line = Text(no_wrap=True, overflow="ellipsis")
    ready = bool(status.get("ready"))
    line.append("● " if ready else "✗ ", style="green" if ready else "bold red")
    if not ready:
        line.append(f"{in_both(status.get('reason') or 'starting')} · ", style="red")
    line.append(f"{status.get('readings_per_s', 0):,.0f}", style="bold")
    line.append(f" readings/s · received {human(status.get('received', 0))}")
    followers = status.get("followers") or []
    if followers:
        line.append(" · lag")
    for follower in followers:
        lag = float(follower.get("lag_s") or 0)
        line.append(f" {follower.get('name')} {lag:.1f} s", style="yellow" if lag > LAG_WARN_S else "")
    _append_events(line, status.get("events_open") or {})
    reasons = status.get("rejected") or {}
    repeats = reasons.get("duplicate", 0)
    rejected = sum(reasons.values()) - repeats
    if repeats:
        line.append(f" · repeats {human(repeats)}")
    if rejected:
        line.append(f" · rejected {human(rejected)}", style="yellow")
    line.append(f" · unacked {status.get('unacknowledged', 0):,}")
    return line


def _append_events(line: Text, levels: Mapping[str, int]) -> None:
    line.append(f" · events {sum(levels.values()):,}")
    open_levels = [(level, levels[level]) for level in LEVEL_STYLES if levels.get(level)]
    for index, (level, count) in enumerate(open_levels[:2]):
        line.append(" (" if index == 0 else ", ")
        line.append(f"{count:,} {level}", style=LEVEL_STYLES[level])
    if open_levels:
        line.append(")")


class StatusLine:
    """A line that renews itself in place; where nobody watches (a pipe, a service), a plain line now and then.

    Used by one thread. ``close`` leaves the terminal as it was; also a context manager.
    """

    def __init__(
        self, console: Console, *, plain_every_s: float = PLAIN_EVERY_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console
        self._plain_every_s = plain_every_s
        self._clock = clock
        self._printed_at: float | None = None
        self._live: Live | None = None

    def update(self, status: Mapping[str, Any]) -> None:
        """Show this status."""
        line = status_line(status)
        if self._console.is_terminal:
            if self._live is None:
                self._live = Live(console=self._console, auto_refresh=False, transient=True)
                self._live.start()
            self._live.update(line, refresh=True)
            return
        now = self._clock()
        if self._printed_at is None or now - self._printed_at >= self._plain_every_s:
            self._printed_at = now
            self._console.print(line, soft_wrap=True)

    def say(self, text: str) -> None:
        """Print a line above the status line."""
        self._console.print(Text(text), soft_wrap=True)

    def close(self) -> None:
        """Take the line away."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
