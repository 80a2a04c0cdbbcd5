"""The audit's tree as it is kept: proofs equal those of the naive twin for every size, and cost a logarithm."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, event, text

from lifeline.core.errors import CorruptionError
from lifeline.governance import audit_tree
from lifeline.governance.audit import AuditEntry, append
from lifeline.governance.audit_export import AuditExporter
from lifeline.governance.audit_tree import AuditTree
from lifeline.governance.audit_verify import verify_audit
from lifeline.governance.database import Database
from lifeline.governance.errors import FieldError, UnknownIdError
from lifeline.governance.merkle import leaf_hash, node_hash
from tests.governance.conftest import SQLITE_ONLY, T0, Hands
from tests.queues import queue_file

if TYPE_CHECKING:
    from pathlib import Path

ENTRY = AuditEntry("login", "li", "login")
LEAVES = [leaf_hash(b"%d" % number) for number in range(330)]


@cache
def naive(start: int, end: int) -> bytes:
    """MTH over leaves."""
    if end - start == 1:
        return LEAVES[start]
    middle = start + split(end - start)
    return node_hash(naive(start, middle), naive(middle, end))


def split(size: int) -> int:
    """The largest power of two below it."""
    k = 1
    while k * 2 < size:
        k *= 2
    return k


def path(index: int, start: int, end: int) -> list[bytes]:
    """PATH of RFC 9162."""
    if end - start == 1:
        return []
    middle = start + split(end - start)
    if index < middle:
        return [*path(index, start, middle), naive(middle, end)]
    return [*path(index, middle, end), naive(start, middle)]


def subproof(older: int, start: int, end: int, *, whole: bool = True) -> list[bytes]:
    """SUBPROOF of RFC 9162."""
    if older == end:
        return [] if whole else [naive(start, end)]
    middle = start + split(end - start)
    if older <= middle:
        return [*subproof(older, start, middle, whole=whole), naive(middle, end)]
    return [*subproof(older, middle, end, whole=False), naive(start, middle)]


def fill(database: Database, cuts: list[int]) -> None:
    """Bare leaves, as many transactions as cuts; the entries' own content plays no part here."""
    for start, end in zip([0, *cuts], [*cuts, len(LEAVES)], strict=True):
        rows = [{"entry": number, "leaf": LEAVES[number].hex()} for number in range(start, end)]
        with database.write() as connection:
            if rows:
                values = "(:entry, 0, 'login', '', '', '', '', '', 'done', '', '{}', :leaf)"
                connection.execute(text(f"INSERT INTO audit VALUES {values}"), rows)
            audit_tree.grow(connection, start, LEAVES[start:end])


@SQLITE_ONLY
@given(bits=st.sampled_from([1, 2, 3, 8]), cuts=st.lists(st.integers(0, len(LEAVES)), max_size=12), data=st.data())
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_proofs_equal_the_naive_ones_for_every_size(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    bits: int,
    cuts: list[int],
    data: st.DataObject,
    database_kind: str,
) -> None:
    """However the entries were split into transactions, and however wide a kept level is."""
    assert database_kind == "sqlite"
    monkeypatch.setattr(audit_tree, "BITS", bits)
    database = Database(queue_file(tmp_path_factory.mktemp("tree") / "q.db"))
    fill(database, sorted(cuts))
    shift = data.draw(st.integers(0, 1000))
    with database.read() as connection:
        tree = AuditTree(connection)
        assert tree.size == len(LEAVES)
        kept = connection.execute(text("SELECT count(*) FROM audit_nodes")).scalar()
        assert kept == sum(len(LEAVES) >> bits * level for level in range(1, 10))
        for size in range(1, len(LEAVES) + 1):
            index, older = (size * 7 + shift) % size, 1 + (size * 11 + shift) % size
            assert tree.root(size) == tree.frontier(size).root == naive(0, size)
            assert tree.inclusion(index, size) == path(index, 0, size)
            assert tree.consistency(older, size) == subproof(older, 0, size)
    database.close()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> str:
    """66,000 entries: two kept levels."""
    url = f"sqlite:///{tmp_path_factory.mktemp('large') / 'q.db'}"
    database = Database(url)
    with database.write() as connection:
        append(connection, [ENTRY] * 66_000, T0)
    database.close()
    return url


def test_a_proof_reads_a_logarithm(large: str) -> None:
    database = Database(large, create=False)
    read: list[int] = []
    with database.read() as connection:
        tree = AuditTree(connection)
        event.listen(connection, "after_cursor_execute", lambda *_: read.append(1))
        assert len(tree.inclusion(12_345, 66_000)) == 17
        assert len(tree.consistency(65_001, 66_000)) <= 18
        rows = sum(len(tile) for tile in tree._tiles.values())
    database.close()

    assert len(read) <= 8
    assert rows <= 2 * 3 * 256


def tamper(url: str, *statements: str) -> None:
    """As the database's owner: the guards are removed first."""
    engine = create_engine(url)
    with engine.begin() as connection:
        for verb in ("update", "delete"):
            connection.execute(text(f"DROP TRIGGER IF EXISTS audit_nodes_no_{verb}"))
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


@pytest.fixture
def house(tmp_path: Path) -> tuple[str, Path]:
    """600 entries, and a folder for checkpoints."""
    url = queue_file(tmp_path / "q.db")
    database = Database(url)
    for count in (100, 300, 200):
        with database.write() as connection:
            append(connection, [ENTRY] * count, T0)
    database.close()
    return url, tmp_path


def exporter(url: str, folder: Path) -> AuditExporter:
    return AuditExporter(url, folder / "c", folder / "k", "x", lambda: T0, every_s=60, every_entries=1000)


def proves(url: str, folder: Path) -> None:
    verdict = verify_audit(url, folder / "c")
    assert verdict.problem is None, verdict.problem
    assert verdict.entries == 600


WRONG = "ab" * 32


@pytest.mark.parametrize(
    ("statement", "entry", "words"),
    [
        (f"UPDATE audit_nodes SET hash = '{WRONG}' WHERE number = 1", 256, "entries 256 to 511 is not theirs"),
        ("DELETE FROM audit_nodes WHERE number = 0", 0, "entries 0 to 255 is missing"),
        (f"INSERT INTO audit_nodes VALUES (1, 2, '{WRONG}')", 600, "over entries that are not there"),
        (f"INSERT INTO audit_nodes VALUES (2, 0, '{WRONG}')", 600, "over entries that are not there"),
    ],
)
def test_tampering_with_the_tree_is_found(house: tuple[str, Path], statement: str, entry: int, words: str) -> None:
    proves(*house)
    tamper(house[0], statement)

    verdict = verify_audit(house[0], house[1] / "c")
    assert verdict.problem is not None
    assert words in verdict.problem
    assert verdict.entry == entry


def test_the_exporter_sees_it_too(house: tuple[str, Path]) -> None:
    """At its start by the signed root, and later by looking at the tree in turns."""
    first = exporter(*house)
    first.export()
    tamper(house[0], f"UPDATE audit_nodes SET hash = '{WRONG}' WHERE number = 1")

    with pytest.raises(CorruptionError, match="entries 256 to 511 is not theirs"):
        first.export()
    again = exporter(*house)
    with pytest.raises(CorruptionError, match="is not what"):
        again.export()
    for one in (first, again):
        one._database.close()


def test_entries_rewritten_below_a_kept_hash_are_seen_in_turns(house: tuple[str, Path]) -> None:
    first = exporter(*house)
    first.export()
    first._database.close()
    engine = create_engine(house[0])
    with engine.begin() as connection:
        connection.execute(text("DROP TRIGGER audit_no_update"))
        connection.execute(text(f"UPDATE audit SET leaf = '{WRONG}' WHERE entry = 7"))
    engine.dispose()

    again = exporter(*house)
    with pytest.raises(CorruptionError, match="entries 0 to 255 is not theirs"):
        again.export()
    again._database.close()


def test_where_hashes_were_taken_away_acts_go_on_and_proofs_say_so(house: tuple[str, Path]) -> None:
    engine = create_engine(house[0])
    with engine.begin() as connection:
        connection.execute(text("DROP TRIGGER audit_no_delete"))
        connection.execute(text("DELETE FROM audit WHERE entry = 520"))
    engine.dispose()
    database = Database(house[0])
    with database.write() as connection:
        append(connection, [ENTRY] * 300, T0)
    with database.read() as connection, pytest.raises(CorruptionError, match="verify"):
        AuditTree(connection).inclusion(530, 900)
    database.close()


@pytest.mark.parametrize("statement", ["UPDATE audit_nodes SET hash = ''", "DELETE FROM audit_nodes"])
def test_the_database_itself_refuses_to_change_the_tree(hands: Hands, statement: str) -> None:
    with hands.desk._database.write() as connection:
        append(connection, [ENTRY] * 256, T0)
    engine = create_engine(hands.url)
    with pytest.raises(Exception, match="append-only"), engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()
    assert len(hands.desk.prove_entry(255)["proof"]) == 8


def test_questions_that_have_no_answer_are_refused(hands: Hands) -> None:
    with pytest.raises(FieldError):
        hands.desk.prove_consistency(1)
    hands.desk.record(ENTRY, ENTRY, ENTRY)
    with pytest.raises(UnknownIdError, match="numbered from 0"):
        hands.desk.prove_entry(3)
    for wrong in (lambda: hands.desk.prove_entry(2, 2), lambda: hands.desk.prove_entry(0, 4)):
        with pytest.raises(FieldError):
            wrong()
    with pytest.raises(FieldError, match="1 to 3"):
        hands.desk.prove_consistency(4, 3)


def test_an_older_audit_gets_its_hashes_with_the_upgrade(hands: Hands) -> None:
    """The step of the migration makes what ``grow`` would have made."""
    from importlib import import_module

    with hands.desk._database.write() as connection:
        append(connection, [ENTRY] * 1030, T0)
        kept = connection.execute(text("SELECT level, number, hash FROM audit_nodes ORDER BY 1, 2")).all()
        assert len(kept) == 4
        if connection.dialect.name == "sqlite":
            connection.execute(text("DROP TRIGGER audit_nodes_no_delete"))
        else:
            connection.execute(text("ALTER TABLE audit_nodes DISABLE TRIGGER ALL"))
        connection.execute(text("DELETE FROM audit_nodes"))
        import_module("lifeline.governance.migrations.versions.v0010_audit_nodes")._fill(connection)
        assert connection.execute(text("SELECT level, number, hash FROM audit_nodes ORDER BY 1, 2")).all() == kept
