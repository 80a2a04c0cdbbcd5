"""Files that the user of a command named: what the disk refuses is told with the option that named them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lifeline.core.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def written(path: Path, option: str, write: Callable[[], object]) -> None:
    """Write a file that ``option`` names.

    Raises:
        ConfigurationError: the disk refuses.
    """
    try:
        write()
    except OSError as error:
        raise ConfigurationError(
            [Problem(str(path), option, f"cannot be written: {error}", "give a path in a folder that exists")]
        ) from error
