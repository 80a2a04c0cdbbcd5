"""Errors that say whose fault it is and whether to try again.

    LifelineError
    ├── PeerError           a broker, device or client broke a protocol; drop it, count it, go on
    ├── ConfigurationError  our user's files; fails at start, all problems together
    ├── UnavailableError    disk, network, database; stop acknowledging, try again with back-off
    └── CorruptionError     durable bytes are not what we wrote; named by place, never skipped in silence

Bad rows are values (a mask and a reason), never exceptions. Bugs of ours are assertions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


class LifelineError(Exception):
    """Root of every error that Lifeline raises on purpose; never raised itself."""

    exit_status: ClassVar[int] = 1
    """Of a command that ends with it: 1 failed, 2 wrong usage or configuration."""


class PeerError(LifelineError):
    """The other side broke the protocol. The connection is closed, the engine lives on."""


class UnavailableError(LifelineError):
    """Disk, network or database refuses. Withhold acknowledgements, report not ready, retry with back-off."""


class CorruptionError(LifelineError):
    """Durable bytes differ from what was written. The message names file and offset."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the user's files: where, which key, and what to do about it."""

    file: str
    key: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        """One line: ``file: key: message (remedy)``."""
        tail = f" → {self.remedy}" if self.remedy else ""
        return f"{self.file}: {self.key}: {self.message}{tail}"


class ConfigurationError(LifelineError):
    """Every problem of the user's configuration, registry or rules at once."""

    exit_status = 2

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))
