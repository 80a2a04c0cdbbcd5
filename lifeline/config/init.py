"""A first site: a commented ``lifeline.toml``, a sample registry with areas, and the standard rules.

Nothing is ever overwritten: what is there may be the user's work of months.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lifeline.core.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

TEMPLATES: Final = ("lifeline.toml", "sensors.csv", "areas.csv")


def init(directory: Path | str, rules: Path | Traversable | None = None) -> list[Path]:
    """Write a new site into ``directory`` (made when missing); returns the files written, in reading order.

    ``rules``: the folder whose ``*.toml`` become the site's rules; default the standard library.

    Raises:
        ConfigurationError: a file that would be written exists already, or the folder cannot be written; then nothing
            was written.
    """
    directory = Path(directory)
    library = resources.files("rules").joinpath("library") if rules is None else rules
    templates = resources.files("lifeline").joinpath("templates")
    files = {directory / name: templates.joinpath(name).read_bytes() for name in TEMPLATES}
    sheets = sorted((entry for entry in library.iterdir() if entry.name.endswith(".toml")), key=lambda e: e.name)
    files |= {directory / "rules" / sheet.name: sheet.read_bytes() for sheet in sheets}
    taken = [path for path in files if path.exists()]
    if taken:
        remedy = "choose a new folder, or move it away; nothing was written"
        raise ConfigurationError([Problem(str(path), "file", "exists already", remedy) for path in taken])
    try:
        (directory / "rules").mkdir(parents=True, exist_ok=True)
        for path, data in files.items():
            with path.open("xb") as file:
                file.write(data)
    except OSError as error:
        problem = Problem(
            str(directory), "folder", f"cannot be written: {error.strerror}", "check path and permissions"
        )
        raise ConfigurationError([problem]) from error
    return list(files)
