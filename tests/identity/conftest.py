"""Accounts on each of the two databases, with a clock that a test can turn and a list of what was audited."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from lifeline.governance.database import Database
from lifeline.identity import Accounts

NOW_MS = 1_795_000_000_000


@dataclass
class Bench:
    """The door and what it did."""

    database: Database
    now_ms: int = NOW_MS
    audited: list[tuple[str, str, str, dict[str, Any]]] = field(default_factory=list)
    broken: bool = False
    accounts: Accounts = field(init=False)

    def __post_init__(self) -> None:
        self.accounts = Accounts(self.database, lambda: self.now_ms, self._audit)

    def _audit(self, _connection: Any, actor: str, action: str, subject: str, details: dict[str, Any]) -> None:
        if self.broken:
            raise RuntimeError("the audit cannot be written")
        self.audited.append((actor, action, subject, details))

    @property
    def actions(self) -> list[str]:
        return [action for _, action, _, _ in self.audited]


@pytest.fixture
def bench(queue_url: str) -> Iterator[Bench]:
    """An empty book of accounts."""
    database = Database(queue_url)
    yield Bench(database)
    database.close()
