"""The audit of requests: everything is there before an answer leaves, and who come together wait for one fsync."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from lifeline.app.http.audit import HttpAudit
from lifeline.core.errors import UnavailableError
from lifeline.core.principal import Grant, Principal
from lifeline.governance import audit as audit_module
from lifeline.governance.database import Database
from tests.queues import queue_file

WHO = Principal("wang", (Grant("auditor"),))
PEOPLE = 8


def test_requests_that_come_together_share_a_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(queue_file(tmp_path / "q.db"))
    kept = HttpAudit(database, lambda: 1_795_000_000_000)
    sizes: list[int] = []
    plain = audit_module.append

    def counted(connection: object, entries: list[object], now_ms: int) -> None:
        sizes.append(len(entries))
        plain(connection, entries, now_ms)  # type: ignore[arg-type]

    monkeypatch.setattr(audit_module, "append", counted)
    threads = [
        threading.Thread(target=kept.record, args=(WHO, "audit.read", f"audit/{number}", {}))
        for number in range(PEOPLE)
    ]
    with database.backend.exclusive():  # somebody writes meanwhile
        for thread in threads:
            thread.start()
        until = time.monotonic() + 10
        while len(kept._group._waiting) < PEOPLE - 1:
            assert time.monotonic() < until
            time.sleep(0.001)
    for thread in threads:
        thread.join(20)

    assert sizes == [1, PEOPLE - 1]
    rows, _ = kept.list_entries()
    assert {row["object"] for row in rows} == {f"audit/{number}" for number in range(PEOPLE)}
    database.close()


def test_what_cannot_be_recorded_refuses_the_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(queue_file(tmp_path / "q.db"))
    kept = HttpAudit(database, lambda: 1_795_000_000_000)

    def refuses(*_: object) -> None:
        raise UnavailableError("the disk is full")

    monkeypatch.setattr(audit_module, "append", refuses)
    with pytest.raises(UnavailableError, match="full"):
        kept.record(WHO, "audit.read", "audit", {})
    monkeypatch.undo()
    kept.record(WHO, "audit.read", "audit", {})
    assert len(kept.list_entries()[0]) == 1
    database.close()
