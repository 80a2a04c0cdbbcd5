"""A site: a checked configuration and where its things lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote
from zoneinfo import ZoneInfo

from lifeline.config import load, read_password

if TYPE_CHECKING:
    from pathlib import Path

    from lifeline.config import Config


@dataclass(frozen=True)
class Site:
    """Paths of one data directory (contract, section 5)."""

    config: Config

    @property
    def data(self) -> Path:
        """``site.data_dir``."""
        return self.config.data_dir

    @property
    def zone(self) -> ZoneInfo:
        """The clock of the site's screens, in which people read times and write them."""
        return ZoneInfo(self.config.site.timezone)

    @property
    def log(self) -> Path:
        """The log's segments."""
        return self.data / "log"

    @property
    def state(self) -> Path:
        """Followers' states, the registry's ledger, the status file."""
        return self.data / "state"

    @property
    def status_path(self) -> Path:
        """What the engine says of itself."""
        return self.state / "status.json"

    @property
    def live_path(self) -> Path:
        """The memory-mapped last values."""
        return self.state / "live.values"

    @property
    def replay_path(self) -> Path:
        """Where ``rejects replay`` leaves its requests for a running engine."""
        return self.state / "replay"

    @property
    def database_url(self) -> str:
        """The governance queue's database: an absolute file, or a server's address with its password.

        Raises:
            ConfigurationError: the password cannot be read.
        """
        if self.config.database_path is not None:
            return f"sqlite:///{self.config.database_path}"
        governance = self.config.governance
        password = read_password(governance)
        if password is None:
            return governance.database
        scheme, _, rest = governance.database.partition("://")
        user, at, host = rest.rpartition("@")
        return f"{scheme}://{user}:{quote(password, safe='')}{at}{host}" if at else governance.database


def load_site(config: Path) -> Site:
    """The site of a configuration file.

    Raises:
        ConfigurationError: every problem of the file at once.
    """
    return Site(load(config))
