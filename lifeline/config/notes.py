"""What all checks of a configuration do alike: note a problem, find a file, read what a secret's keys name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo

from lifeline.config.intake import BrokerConfig
from lifeline.config.models import GovernanceConfig, HttpConfig, SinkConfig
from lifeline.config.secret import read_password
from lifeline.config.section import Section
from lifeline.core.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TLS_FILES = ("ca_file", "cert_file", "key_file", "crl_file")

S = TypeVar("S", bound=Section)
P = TypeVar("P", BrokerConfig, GovernanceConfig, SinkConfig)


def expanded(path: Path) -> Path:
    """``~`` and ``~name`` as folders; the name of nobody stays as it is, and is then no file."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def split(url: str) -> SplitResult:
    """The parts of an address; of what is none (``http://[``) nothing, which no check takes for good."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


class Notes:
    """Collects problems of one file into ``problems``."""

    def __init__(self, path: Path, problems: list[Problem], environ: Mapping[str, str]) -> None:
        self._file = str(path)
        self._base = path.parent
        self._problems = problems
        self._environ = environ

    def _note(self, key: str, message: str, remedy: str = "") -> None:
        self._problems.append(Problem(self._file, key, message, remedy))

    def _absolute(self, path: Path) -> Path:
        return Path(os.path.normpath(self._base / expanded(path)))

    def _timezone(self, key: str, name: str) -> None:
        try:
            ZoneInfo(name)  # looks for one name; to list all is a walk over a thousand files
        except (KeyError, ValueError, OSError):
            self._note(key, f"{name!r} is not a known time zone", "an IANA name such as Asia/Shanghai")

    def _files(self, key: str, table: S, names: Sequence[str]) -> S:
        """``table`` with the named paths absolute; each that is given must be a readable file."""
        update: dict[str, Path] = {}
        for name in names:
            path: Path | None = getattr(table, name)
            if path is None:
                continue
            update[name] = absolute = self._absolute(path)
            if not absolute.is_file():
                self._note(
                    f"{key}.{name}", f"{absolute} is not a file", "relative paths start at the configuration file"
                )
            elif not os.access(absolute, os.R_OK):
                self._note(f"{key}.{name}", f"{absolute} cannot be read", "check its permissions")
        return table.model_copy(update=update)

    def _check_pair(self, key: str, table: BrokerConfig | SinkConfig | HttpConfig, remedy: str) -> None:
        if (table.cert_file is None) != (table.key_file is None):
            there, absent = ("cert_file", "key_file") if table.cert_file else ("key_file", "cert_file")
            self._note(f"{key}.{absent}", f"is missing beside {there}", remedy)

    def _check_password(self, key: str, table: P) -> P:
        """``table`` with its password file absolute; what it names must be readable now."""
        if table.password_file and table.password_env:
            self._note(f"{key}.password_env", "password_file is given too", "keep one of them")
        if table.password_file is not None:
            table = table.model_copy(update={"password_file": self._absolute(table.password_file)})
        try:
            read_password(table, self._environ)
        except ConfigurationError as error:
            for problem in error.problems:
                self._note(f"{key}.{problem.key}", problem.message, problem.remedy)
        return table
