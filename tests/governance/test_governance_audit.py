"""The audit: in the transaction of the act, append-only, and every kind of tampering found and named."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from lifeline.core.errors import ConfigurationError, CorruptionError, LifelineError, UnavailableError
from lifeline.governance import audit as audit_module
from lifeline.governance import checkpoint as notes
from lifeline.governance.actor import Actor
from lifeline.governance.audit import AuditEntry, leaf_of, walk
from lifeline.governance.audit_export import AuditExporter, exported
from lifeline.governance.audit_verify import AuditVerdict, verify_audit
from lifeline.governance.errors import FieldError, ForbiddenError
from lifeline.governance.merkle import check_consistency, check_inclusion, root_of
from tests.governance.conftest import SQLITE_ONLY, T0, raised

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tests.governance.conftest import Hands

WANG = Actor("wang", "operator", address="10.0.0.7")
LI = Actor("li", "dispatcher")


@pytest.fixture
def filed(hands: Hands) -> str:
    """An event that wang has filed."""
    (event_id,) = hands.apply(raised("ch4.high", 0, T0))
    hands.desk.act(event_id, "file", WANG, "smells of gas")
    return event_id


def entries(hands: Hands) -> list[dict[str, Any]]:
    return hands.desk.list_audit()[0][::-1]


# --- what goes in ----------------------------------------------------------------------------------------------------


def test_an_act_is_audited_with_who_what_when_and_from_where(hands: Hands, filed: str) -> None:
    (entry,) = entries(hands)

    del entry["leaf"]
    assert entry == {
        "entry": 0,
        "at": hands.now,
        "kind": "data",
        "actor": "wang",
        "role": "operator",
        "address": "10.0.0.7",
        "action": "file",
        "object": f"event/{filed}",
        "result": "done",
        "reason": "smells of gas",
        "fields": entry["fields"],
    }
    assert (entry["fields"]["from"], entry["fields"]["to"]) == ("new", "filed")


def test_a_refusal_is_audited_and_changes_nothing(hands: Hands, filed: str) -> None:
    before = hands.desk.get_event(filed)["version"]
    with pytest.raises(ForbiddenError):
        hands.desk.act(filed, "dispatch", WANG, owner="gas")

    assert [(one["action"], one["result"]) for one in entries(hands)] == [("file", "done"), ("dispatch", "refused")]
    assert hands.desk.get_event(filed)["version"] == before


def test_acts_on_alarms_are_audited(hands: Hands) -> None:
    alarm = raised("ch4.high", 0, T0)
    hands.apply(alarm)
    hands.desk.act_alarm(alarm.alarm_id, "suppress", LI, "pump is off")

    (entry,) = entries(hands)
    assert (entry["object"], entry["action"], entry["reason"]) == (f"alarm/{alarm.alarm_id}", "suppress", "pump is off")


def test_what_the_rules_do_is_no_act_of_anybody(hands: Hands) -> None:
    hands.apply(*(raised("ch4.high", 0, T0 + number) for number in range(50)))

    assert entries(hands) == []


@pytest.mark.parametrize("kind", audit_module.KINDS)
def test_each_of_the_six_classes_can_be_recorded_and_found(hands: Hands, kind: str) -> None:
    hands.desk.record(AuditEntry(kind, "zhao", "look", "household/17", reason="case 4711", fields={"points": 3}))
    hands.desk.record(AuditEntry("login", "qian", "login"))

    found = [one for one in hands.desk.list_audit(kind=kind)[0] if one["actor"] == "zhao"]
    assert [(one["object"], one["reason"], one["fields"]) for one in found] == [
        ("household/17", "case 4711", {"points": 3})
    ]


@pytest.mark.parametrize("wrong", [{"kind": "gossip"}, {"result": "perhaps"}])
def test_an_entry_of_no_class_is_refused(hands: Hands, wrong: dict[str, str]) -> None:
    with pytest.raises(FieldError):
        hands.desk.record(AuditEntry(**({"kind": "login", "actor": "a", "action": "b"} | wrong)))  # type: ignore[arg-type]
    assert entries(hands) == []


def test_a_flood_of_text_is_cut_and_strange_text_kept_storable(hands: Hands) -> None:
    hands.desk.record(AuditEntry("read", "x" * 9000, "a\0b", "\ud800", reason="r" * 9000, fields={"big": "y" * 50_000}))

    (entry,) = entries(hands)
    assert len(entry["actor"]) == 200
    assert len(entry["reason"]) == 4000
    assert "\0" not in entry["action"]
    assert len(orjson.dumps(entry["fields"])) < 5000


def test_pages_follow_one_another(hands: Hands) -> None:
    for number in range(7):
        hands.desk.record(AuditEntry("login", f"u{number % 2}", "login"))
    first, following = hands.desk.list_audit(limit=3)
    second, _ = hands.desk.list_audit(limit=3, cursor=following)

    assert [one["entry"] for one in first + second] == [6, 5, 4, 3, 2, 1]
    assert [one["entry"] for one in hands.desk.list_audit(actor="u1")[0]] == [5, 3, 1]
    for wrong in ({"limit": 0}, {"cursor": "x"}, {"kind": "gossip"}):
        with pytest.raises(FieldError):
            hands.desk.list_audit(**wrong)


# --- no audit, no act ------------------------------------------------------------------------------------------------


def test_an_act_that_cannot_be_audited_does_not_happen(
    hands: Hands, filed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = hands.desk.get_event(filed)

    def refuses(connection: Connection, *_: object) -> None:
        connection.execute(text("INSERT INTO audit (entry) VALUES (0)"))

    monkeypatch.setattr(audit_module, "append", refuses)
    with pytest.raises((DBAPIError, LifelineError)):
        hands.desk.act(filed, "dispatch", LI, owner="gas company")
    monkeypatch.undo()

    after = hands.desk.get_event(filed)
    assert (after["status"], after["version"], len(after["log"])) == ("filed", before["version"], len(before["log"]))
    assert len(entries(hands)) == 1


@SQLITE_ONLY
def test_on_a_full_disk_nobody_acts_unaudited(hands: Hands, filed: str) -> None:
    with hands.desk._database.write() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    acted: list[int] = []

    def act_on() -> None:
        for number in range(1000):
            hands.desk.act(filed, "note", WANG, "n" * 1000)
            acted.append(number)

    with pytest.raises(UnavailableError, match="full"):
        act_on()

    log = [entry for entry in hands.desk.get_event(filed)["log"] if entry["role"] != "system"]
    assert len(log) == len(entries(hands)) == len(acted) + 1
    hands.desk.act(filed, "note", WANG, "there is room again")
    assert len(entries(hands)) == len(acted) + 2


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'nobody'", "DELETE FROM audit"])
def test_the_database_itself_refuses_to_change_or_delete_entries(hands: Hands, filed: str, statement: str) -> None:
    """What is younger than 180 days stays, and so does the rest."""
    engine = create_engine(hands.url)
    with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()
    assert entries(hands)[0]["actor"] == "wang"


# --- tampering: each is found, and the first bad entry named ---------------------------------------------------------


class House:
    """Twelve audited acts, checkpoints after every four, and two more acts since."""

    def __init__(self, hands: Hands, folder: Path) -> None:
        self.hands, self.folder, self.key_file = hands, folder / "checkpoints", folder / "audit.pem"
        self.exporter = self.open()
        for number in range(14):
            hands.desk.record(AuditEntry("data", f"user{number}", "act", f"event/{number}"))
            if number in {3, 7, 11}:
                hands.now += 60_000
                self.exporter.export_due()
        self.exporter._database.close()

    def open(self) -> AuditExporter:
        return AuditExporter(
            self.hands.url,
            self.folder,
            self.key_file,
            "Test city",
            lambda: self.hands.now,
            every_s=60,
            every_entries=1000,
        )

    def verify(self, public_key: Path | None = None) -> AuditVerdict:
        return verify_audit(self.hands.url, self.folder, public_key)

    def tamper(self, *statements: str) -> None:
        """As the database's owner: the guards are removed first."""
        engine = create_engine(self.hands.url)
        with engine.begin() as connection:
            if connection.dialect.name == "sqlite":
                for verb in ("update", "delete"):
                    connection.execute(text(f"DROP TRIGGER IF EXISTS audit_no_{verb}"))
            else:
                connection.execute(text("ALTER TABLE audit DISABLE TRIGGER ALL"))
            for statement in statements:
                connection.execute(text(statement))
        engine.dispose()

    def redo_hashes(self, first: int = 0) -> None:
        """As somebody who has read our source: every leaf from ``first`` on fits again."""
        engine = create_engine(self.hands.url)
        with engine.begin() as connection:
            rows = [dict(row) for row in connection.execute(text("SELECT * FROM audit ORDER BY entry")).mappings()]
            before = bytes.fromhex(rows[first - 1]["leaf"]) if first else bytes(32)
            for row in rows[first:]:
                before = leaf_of(row, before)
                connection.execute(
                    text("UPDATE audit SET leaf = :leaf WHERE entry = :entry"),
                    {"leaf": before.hex(), "entry": row["entry"]},
                )
        engine.dispose()


@pytest.fixture
def house(hands: Hands, tmp_path: Path) -> House:
    return House(hands, tmp_path)


def test_what_nobody_touched_is_whole(house: House) -> None:
    assert house.verify() == AuditVerdict(entries=14, checkpoints=3, covered=12)


def edit(house: House) -> None:
    house.tamper("UPDATE audit SET actor = 'somebody' WHERE entry = 5")


def edit_and_redo(house: House) -> None:
    edit(house)
    house.redo_hashes()


def edit_one_leaf(house: House) -> None:
    edit(house)
    engine = create_engine(house.hands.url)
    with engine.begin() as connection:
        rows = [dict(row) for row in connection.execute(text("SELECT * FROM audit ORDER BY entry")).mappings()]
        leaf = leaf_of(rows[5], bytes.fromhex(rows[4]["leaf"])).hex()
        connection.execute(text("UPDATE audit SET leaf = :leaf WHERE entry = 5"), {"leaf": leaf})
    engine.dispose()


def edit_the_young(house: House) -> None:
    house.tamper("UPDATE audit SET at = at - 1 WHERE entry = 12")


def delete(house: House) -> None:
    house.tamper("DELETE FROM audit WHERE entry = 5")


def delete_and_redo(house: House) -> None:
    house.tamper(
        "DELETE FROM audit WHERE entry = 5",
        *(f"UPDATE audit SET entry = {n - 1} WHERE entry = {n}" for n in range(6, 14)),
    )
    house.redo_hashes()


def insert_and_redo(house: House) -> None:
    house.tamper(
        *(f"UPDATE audit SET entry = {n + 1} WHERE entry = {n}" for n in range(13, 4, -1)),
        "INSERT INTO audit SELECT 5, at, kind, 'ghost', role, address, action, object, result, reason, fields, leaf "
        "FROM audit WHERE entry = 4",
    )
    house.redo_hashes()


def reorder(house: House) -> None:
    house.tamper(*(f"UPDATE audit SET entry = {new} WHERE entry = {old}" for old, new in ((5, 99), (6, 5), (99, 6))))


def reorder_and_redo(house: House) -> None:
    reorder(house)
    house.redo_hashes()


def truncate_the_tail(house: House) -> None:
    house.tamper("DELETE FROM audit WHERE entry >= 10")


def delete_everything(house: House) -> None:
    house.tamper("DELETE FROM audit")


def rewrite_everything(house: House) -> None:
    house.tamper("UPDATE audit SET actor = 'nobody', reason = ''")
    house.redo_hashes()


def rewrite_and_take_the_leaves_away(house: House) -> None:
    for one in exported(house.folder):
        one.leaves_path.unlink()
    edit_and_redo(house)


TAMPERINGS: list[tuple[Callable[[House], None], int, str]] = [
    (edit, 5, "was changed"),
    (edit_and_redo, 5, "not the one that was exported"),
    (edit_one_leaf, 5, "not the one that was exported"),
    (edit_the_young, 12, "was changed"),
    (delete, 5, "is missing"),
    (delete_and_redo, 5, "not the one that was exported"),
    (insert_and_redo, 5, "not the one that was exported"),
    (reorder, 5, "was changed"),
    (reorder_and_redo, 5, "not the one that was exported"),
    (truncate_the_tail, 10, "entries 10 to 11 are missing"),
    (delete_everything, 0, "entries 0 to 11 are missing"),
    (rewrite_everything, 0, "not the one that was exported"),
    (rewrite_and_take_the_leaves_away, 4, "entries 4 to 7 are not those"),
]


@pytest.mark.parametrize(
    ("tampering", "entry", "words"), TAMPERINGS, ids=lambda value: getattr(value, "__name__", None)
)
def test_tampering_is_found_and_the_first_bad_entry_named(
    house: House, tampering: Callable[[House], None], entry: int, words: str
) -> None:
    tampering(house)

    verdict = house.verify()
    assert verdict.problem is not None
    assert words in verdict.problem
    assert verdict.entry == entry


def test_the_key_is_exchanged_and_everything_signed_again(house: House, tmp_path: Path) -> None:
    """The folder was within reach: only the auditor's own copy of the public key tells."""
    own_copy = tmp_path / "own.pub"
    own_copy.write_bytes((house.folder / "audit.pub").read_bytes())
    rewrite_everything(house)
    house.key_file.unlink()
    for path in [*house.folder.glob("*/*"), house.folder / "audit.pub"]:
        path.unlink()
    exporter = house.open()
    exporter.export()
    exporter._database.close()
    assert house.verify().problem is None

    verdict = house.verify(own_copy)
    assert verdict.problem is not None
    assert "exchanged" in verdict.problem


def test_a_checkpoint_of_another_key_is_named(house: House) -> None:
    one = exported(house.folder)[1]
    head = notes.read(one.path.read_bytes(), notes.load_public((house.folder / "audit.pub").read_bytes()))
    one.path.write_bytes(notes.sign(head, notes.new_key()))

    verdict = house.verify()
    assert verdict.problem is not None
    assert str(one.path) in verdict.problem
    assert "not signed by the audit's key" in verdict.problem


def test_no_bit_of_a_checkpoint_can_be_changed(house: House) -> None:
    """Not even one that decodes to the same bytes: an unused bit of base64, another kind of line end."""
    path = exported(house.folder)[1].path
    key = notes.load_public((house.folder / "audit.pub").read_bytes())
    whole = path.read_bytes()
    assert notes.read(whole, key).size == exported(house.folder)[1].size
    for place in range(len(whole)):
        for bit in range(8):
            data = bytearray(whole)
            data[place] ^= 1 << bit
            with pytest.raises(ValueError, match=r"^(is|has) "):
                pytest.fail(f"byte {place}, bit {bit}: {notes.read(bytes(data), key)}")
    for place in range(0, len(whole), 37):
        data = bytearray(whole)
        data[place] ^= 1
        path.write_bytes(data)

        assert house.verify().problem is not None, place


def test_a_signature_is_written_in_one_way_only(house: House) -> None:
    """68 bytes leave two bits of the last digit unused: its three neighbours decode alike, and are refused."""
    key = notes.load_public((house.folder / "audit.pub").read_bytes())
    whole = exported(house.folder)[1].path.read_text(encoding="utf-8")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    digit = alphabet.index(whole[-3])
    assert whole.endswith("=\n")
    assert digit % 4 == 0
    for other in (digit + 1, digit + 2, digit + 3):
        changed = f"{whole[:-3]}{alphabet[other]}=\n"
        assert base64.b64decode(changed.rsplit(maxsplit=1)[-1]) == base64.b64decode(whole.split()[-1])
        with pytest.raises(ValueError, match="not signed by the audit's key"):
            notes.read(changed.encode(), key)
    for ending in ("", "\v", "\r\n", "\n\n", "\x85"):
        with pytest.raises(ValueError, match=r"not written as a checkpoint|not signed"):
            notes.read((whole[:-1] + ending).encode(), key)


# --- exporting ------------------------------------------------------------------------------------------------------


def test_checkpoints_come_by_time_or_by_number_and_only_for_something_new(hands: Hands, tmp_path: Path) -> None:
    exporter = AuditExporter(
        hands.url, tmp_path / "c", tmp_path / "k", "x", lambda: hands.now, every_s=60, every_entries=3
    )
    sizes = []
    for _ in range(4):
        hands.desk.record(AuditEntry("login", "a", "login"))
        exporter.export_due()
        sizes.append(len(exported(tmp_path / "c")))
    hands.now += 60_000
    exporter.export_due()
    sizes.append(len(exported(tmp_path / "c")))
    hands.now += 60_000
    exporter.export_due()
    hands.desk.record(AuditEntry("login", "a", "login"))
    exporter.close()

    assert sizes == [0, 0, 1, 1, 2]
    assert [one.size for one in exported(tmp_path / "c")] == [3, 4, 5]
    assert (tmp_path / "k").stat().st_mode & 0o777 == 0o600


def test_a_rewritten_database_is_seen_when_exporting_goes_on(house: House) -> None:
    edit_and_redo(house)

    again = house.open()
    with pytest.raises(CorruptionError, match="lifeline verify"):
        again.export()
    house.hands.desk.record(AuditEntry("login", "a", "login"))
    again.export_due()  # it failed a moment ago: not asked again before its time
    house.hands.now += 60_000
    with pytest.raises(CorruptionError):
        again.export_due()
    again._database.close()


def test_another_key_is_refused(house: House) -> None:
    house.key_file.unlink()

    with pytest.raises(ConfigurationError, match="another key"):
        house.open()


def test_a_file_that_is_no_key_is_named(house: House) -> None:
    house.key_file.write_text("no key")

    with pytest.raises(ConfigurationError, match=r"audit\.pem is not a readable Ed25519 key"):
        house.open()


def test_a_stranger_can_check_a_checkpoint_and_proofs_with_nothing_of_ours(house: House) -> None:
    """The note is verified with the standard library's words of the format and the bare signature algorithm."""
    from hashlib import sha256

    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    first, last = exported(house.folder)[0], exported(house.folder)[-1]
    note = last.path.read_bytes()
    body, _, signatures = note.partition(b"\n\n")
    name, encoded = signatures.decode().strip().removeprefix("— ").rsplit(" ", 1)
    key: Any = load_pem_public_key((house.folder / "audit.pub").read_bytes())
    raw = base64.b64decode(encoded)
    key.verify(raw[4:], body + b"\n")
    assert raw[:4] == sha256(name.encode() + b"\n\x01" + key.public_bytes_raw()).digest()[:4]

    _, size, root, _ = body.decode().split("\n")
    entry = house.hands.desk.prove_entry(5, int(size))
    with house.hands.desk._database.read() as connection:
        known = [bytes.fromhex(row["leaf"]) for row in walk(connection)]
    assert base64.b64decode(root) == root_of(known[: int(size)]) == bytes.fromhex(entry["root"])
    proof = [bytes.fromhex(one) for one in entry["proof"]]
    assert check_inclusion(known[5], 5, int(size), proof, base64.b64decode(root))
    old_root = base64.b64decode(first.path.read_text().split("\n")[2])
    both = house.hands.desk.prove_consistency(first.size, int(size))
    proof = [bytes.fromhex(one) for one in both["proof"]]
    assert check_consistency(first.size, old_root, int(size), base64.b64decode(root), proof)
