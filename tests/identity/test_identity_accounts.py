"""Passwords, sessions, tokens, one-time words: what they let in, when they end, what is kept of them."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
from sqlalchemy import MetaData

from lifeline.core.principal import ROLES, Grant
from lifeline.identity import CredentialError, IdentityError, secret
from lifeline.identity.signing_in import IDLE_MS, SESSION_MS, SESSIONS_MAX

PASSWORD = "long enough 2026"  # noqa: S105
DAY_MS = 86_400_000


def add(bench: Any, name: str = "li.na", *grants: Grant, **more: Any) -> None:
    bench.accounts.add(name, grants or (Grant("operator"),), actor="root", **{"password": PASSWORD, **more})


def test_the_right_password_begins_a_session_and_the_wrong_one_does_not(bench: Any) -> None:
    add(bench)
    signed = bench.accounts.sign_in("Li.Na ", PASSWORD, "10.0.0.1")
    assert signed.principal.roles == ("operator",)
    assert bench.accounts.of_session(signed.cookie, "10.0.0.1") == signed.principal
    with pytest.raises(CredentialError) as wrong_password:
        bench.accounts.sign_in("li.na", "not the password", "10.0.0.1")
    with pytest.raises(CredentialError) as wrong_name:
        bench.accounts.sign_in("nobody", PASSWORD, "10.0.0.1")
    assert str(wrong_password.value) == str(wrong_name.value)
    assert bench.actions == ["account.add", "login.in", "login.refused", "login.refused"]


def test_a_password_costs_an_attacker_64_mib_and_three_passes() -> None:
    """The module as it ships; the suite's own copy hashes with the least work."""
    spec = importlib.util.spec_from_file_location("as_shipped", secret.__file__)
    assert spec is not None
    assert spec.loader is not None
    shipped = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(shipped)

    hashed = shipped.hash_password("li.na", PASSWORD)

    assert hashed.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert shipped.check_password(hashed, PASSWORD)
    assert not secret.check_password(hashed, PASSWORD + "!")


@pytest.mark.parametrize("password", ["short", "li.na li.na li.na", "aaaaaaaaaaaaaaa", "x" * 300, ""])
def test_weak_passwords_are_refused(bench: Any, password: str) -> None:
    with pytest.raises(IdentityError):
        add(bench, password=password)
    assert bench.accounts.is_empty


def test_nothing_in_the_database_opens_a_door(bench: Any) -> None:
    add(bench)
    _, token = bench.accounts.create_token("li.na", actor="root")
    word = bench.accounts.invite("li.na", "sign-in", actor="root")
    cookie = bench.accounts.sign_in("li.na", PASSWORD, "").cookie
    known = MetaData()
    with bench.database.read() as connection:
        known.reflect(connection)
        everything = "\n".join(str(row) for table in known.sorted_tables for row in connection.execute(table.select()))
    for kept in (token, word, cookie, PASSWORD, token.removeprefix("lft_"), word.removeprefix("llo_")):
        assert kept not in everything
    assert "$argon2id$" in everything
    assert not any(secret in str(bench.audited) for secret in (token, word, cookie, PASSWORD))


def test_a_session_ends_by_idleness_by_age_and_by_signing_out(bench: Any) -> None:
    add(bench)
    cookie = bench.accounts.sign_in("li.na", PASSWORD, "").cookie
    bench.now_ms += IDLE_MS - 1
    assert bench.accounts.of_session(cookie) is not None
    bench.now_ms += IDLE_MS
    assert bench.accounts.of_session(cookie) is None
    cookie, begun = bench.accounts.sign_in("li.na", PASSWORD, "").cookie, bench.now_ms
    while bench.now_ms < begun + SESSION_MS - IDLE_MS:
        bench.now_ms += IDLE_MS - 1
        assert bench.accounts.of_session(cookie) is not None
    bench.now_ms = begun + SESSION_MS
    assert bench.accounts.of_session(cookie) is None
    cookie = bench.accounts.sign_in("li.na", PASSWORD, "").cookie
    bench.accounts.sign_out(cookie)
    assert bench.accounts.of_session(cookie) is None


def test_a_name_means_its_account_however_it_is_written(bench: Any) -> None:
    add(bench)
    _, token = bench.accounts.create_token(" Li.Na", actor="root")
    assert [row["account"] for row in bench.accounts.list_tokens("LI.NA")] == ["li.na"]
    bench.accounts.redeem(bench.accounts.invite("Li.Na", "sign-in", actor="root"), "")
    bench.accounts.set_grants("LI.NA", (Grant("viewer"),), "core", actor="root")
    assert bench.accounts.get_account("li.na")["grade"] == "core"
    for own in (
        lambda: bench.accounts.disable("Li.Na", actor="li.na"),
        lambda: bench.accounts.set_grants("Li.Na", (Grant("admin"),), "core", actor="li.na"),
    ):
        with pytest.raises(IdentityError, match="own"):
            own()
    bench.accounts.disable("Li.Na ", actor="root")
    assert bench.accounts.of_token(token) is None
    assert bench.accounts.get_account("li.na")["disabled_at"] is not None


def test_the_oldest_of_too_many_sessions_ends(bench: Any) -> None:
    add(bench)
    cookies = []
    for _ in range(SESSIONS_MAX + 1):
        bench.now_ms += 1
        cookies.append(bench.accounts.redeem(bench.accounts.invite("li.na", "sign-in", actor="root"), "").cookie)
    assert bench.accounts.of_session(cookies[0]) is None
    assert all(bench.accounts.of_session(cookie) for cookie in cookies[1:])


def test_disabling_ends_everything_at_once(bench: Any) -> None:
    add(bench)
    cookie = bench.accounts.sign_in("li.na", PASSWORD, "").cookie
    _, token = bench.accounts.create_token("li.na", actor="root")
    word = bench.accounts.invite("li.na", "sign-in", actor="root")
    bench.accounts.disable("li.na", actor="root")
    assert bench.accounts.of_session(cookie) is None
    assert bench.accounts.of_token(token) is None
    for entry in (lambda: bench.accounts.redeem(word, ""), lambda: bench.accounts.sign_in("li.na", PASSWORD, "")):
        with pytest.raises(CredentialError):
            entry()


def test_a_token_expires_and_is_revoked_by_its_id(bench: Any) -> None:
    add(bench)
    token_id, token = bench.accounts.create_token("li.na", actor="root", days=1)
    assert token.startswith("lft_")
    assert len(token) == 4 + 43  # 256 bits
    assert bench.accounts.of_token(token).via == "token"
    bench.now_ms += DAY_MS
    assert bench.accounts.of_token(token) is None
    token_id, token = bench.accounts.create_token("li.na", actor="root")
    assert bench.accounts.revoke_token(token_id, actor="root") == token_id
    assert bench.accounts.of_token(token) is None
    assert bench.accounts.list_tokens("li.na")[0]["token_id"] == token_id
    with pytest.raises(IdentityError, match="no such token"):
        bench.accounts.revoke_token("0" * 12, actor="root")


def test_a_token_never_has_more_rights_than_its_account(bench: Any) -> None:
    add(bench, "wang", Grant("operator", ("410102",), ("gas", "water")), Grant("viewer"))
    _, token = bench.accounts.create_token(
        "wang", actor="root", roles=["operator"], areas=["410102001", "410105"], utilities=["gas", "heat"]
    )
    assert bench.accounts.of_token(token).grants == (Grant("operator", ("410102001",), ("gas",)),)
    with pytest.raises(IdentityError, match="does not hold admin"):
        bench.accounts.create_token("wang", actor="root", roles=["admin"])
    bench.accounts.set_grants("wang", (Grant("viewer"),), "general", actor="chief")
    assert bench.accounts.of_token(token).grants == ()


def test_one_time_words_work_once_and_for_a_day(bench: Any) -> None:
    bench.accounts.add("zhao", (Grant("viewer"),), actor="root")
    word = bench.accounts.invite("zhao", "password", actor="root")
    assert bench.accounts.kind_of(word) == "password"
    with pytest.raises(IdentityError):
        bench.accounts.redeem(word, "", password="weak")  # noqa: S106
    assert bench.accounts.redeem(word, "", password=PASSWORD).principal.name == "zhao"
    with pytest.raises(CredentialError):
        bench.accounts.redeem(word, "", password=PASSWORD)
    assert bench.accounts.sign_in("zhao", PASSWORD, "").principal.name == "zhao"
    word = bench.accounts.invite("zhao", "sign-in", actor="root")
    bench.now_ms += DAY_MS
    with pytest.raises(CredentialError):
        bench.accounts.redeem(word, "")


def test_the_setup_word_makes_the_first_account_and_no_second(bench: Any) -> None:
    stale = bench.accounts.invite(None, "setup", actor="system")
    word = bench.accounts.invite(None, "setup", actor="system")
    with pytest.raises(CredentialError):
        bench.accounts.redeem(stale, "", "chief", PASSWORD)
    signed = bench.accounts.redeem(word, "", "Chief", PASSWORD)
    assert (signed.principal.name, signed.principal.roles) == ("chief", ("security", "viewer"))
    again = bench.accounts.invite(None, "setup", actor="system")
    with pytest.raises(CredentialError):
        bench.accounts.redeem(again, "", "second", PASSWORD)


def test_administrators_are_kept_apart_and_nobody_changes_their_own_rights(bench: Any) -> None:
    with pytest.raises(IdentityError, match="different people"):
        add(bench, "boss", Grant("admin"), Grant("auditor"))
    add(bench, "chief", Grant("security"))
    with pytest.raises(IdentityError, match="their own"):
        bench.accounts.set_grants("chief", (Grant("admin"),), "core", actor="chief")


def test_names_are_never_used_again_and_unknown_roles_are_named(bench: Any) -> None:
    add(bench)
    bench.accounts.disable("li.na", actor="root")
    with pytest.raises(IdentityError, match="already"):
        add(bench)
    with pytest.raises(IdentityError, match=next(iter(ROLES))):
        add(bench, "new", Grant("boss"))
    with pytest.raises(IdentityError, match="no account name"):
        add(bench, "a b\n")


def test_what_cannot_be_audited_does_not_happen(bench: Any) -> None:
    add(bench)
    bench.broken = True
    for act in (
        lambda: add(bench, "other"),
        lambda: bench.accounts.disable("li.na", actor="root"),
        lambda: bench.accounts.sign_in("li.na", PASSWORD, ""),
        lambda: bench.accounts.create_token("li.na", actor="root"),
    ):
        with pytest.raises(RuntimeError):
            act()
    bench.broken = False
    assert [row["name"] for row in bench.accounts.list_accounts()] == ["li.na"]
    assert bench.accounts.list_tokens() == []
    assert bench.accounts.sign_in("li.na", PASSWORD, "").principal.name == "li.na"
