"""Files that the user of a command named: what the disk refuses is told with the option that named them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lifeline.core.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def has_folder(path: Path | None, option: str) -> None:
    """Whether there is a place for a file that ``option`` names: said before the work, not after hours of it.

    Raises:
        ConfigurationError: there is none.
    """
    if path is not None and not path.absolute().parent.is_dir():
        message = f"cannot be written: there is no folder {path.parent}"
        raise ConfigurationError([Problem(str(path), option, message, "give a path in a folder that exists")])


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
