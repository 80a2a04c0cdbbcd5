"""``lifeline init``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lifeline.config import init

if TYPE_CHECKING:
    from pathlib import Path


def init_site(directory: Path) -> list[Path]:
    """Write a new site; the files written.

    Raises:
        ConfigurationError: something would be overwritten; nothing was written.
    """
    return init(directory)
