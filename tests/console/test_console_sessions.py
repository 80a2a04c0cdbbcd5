"""Signing in: sessions, one-time words, forgery from other pages, rates, and secrets that leave no trace."""

from __future__ import annotations

import logging
import re
import time
from typing import Any

import httpx
import pytest

from lifeline.console.limits import Buckets, Rate
from lifeline.core.principal import Grant

PASSWORD = "correct horse 2026"  # noqa: S105


def test_without_a_session_the_console_sends_to_the_sign_in_page(client: Any) -> None:
    answer = client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert client.get("/events.json").status_code == 401


@pytest.mark.both_databases
def test_a_password_opens_the_console_and_signing_out_closes_it(client: Any) -> None:
    browser = client.sign_in("operator1")
    cookie = next(iter(browser.cookies.jar))
    assert cookie.has_nonstandard_attr("HttpOnly")
    assert cookie.get_nonstandard_attr("SameSite") == "lax"
    page = browser.get("/")
    assert page.status_code == 200
    assert "operator1" in page.text
    csrf = browser.get("/api/v1/me").json()["csrf"]
    assert f'data-csrf="{csrf}"' in page.text
    kept = dict(browser.cookies)
    assert browser.post("/logout", headers={"X-CSRF-Token": csrf}).status_code == 204
    browser.cookies.update(kept)
    assert browser.get("/api/v1/me").status_code == 401
    browser.close()


def test_a_wrong_password_says_nothing_about_which_part_was_wrong(client: Any) -> None:
    texts = {
        re.sub(r"nonce(-|=\")[\w-]+", "", client.ask("POST", "/login", data={"name": name, "password": word}).text)
        for name, word in (("operator1", "not the password"), ("nobody", PASSWORD), ("", ""))
    }
    assert len(texts) == 1


def test_an_act_from_a_page_of_ours_needs_the_sessions_token_and_origin(client: Any) -> None:
    browser = client.sign_in("operator1")
    csrf = browser.get("/api/v1/me").json()["csrf"]
    path = f"/api/v1/alarms/{client.town.alarms[0]['alarm_id']}/actions/ack"
    base = str(browser.base_url).rstrip("/")
    for headers in (
        {},
        {"X-CSRF-Token": "0" * 64},
        {"X-CSRF-Token": csrf, "Origin": "http://evil.example"},
        {"X-CSRF-Token": csrf, "Origin": "null"},
        {"X-CSRF-Token": csrf, "Sec-Fetch-Site": "cross-site"},
        {"X-CSRF-Token": csrf, "Sec-Fetch-Site": "same-site"},
    ):
        assert browser.post(path, headers=headers).status_code == 403, headers
    assert client.get(path.removesuffix("/actions/ack"), as_="viewer").json()["state"] == "unacked"
    good = {"X-CSRF-Token": csrf, "Origin": base, "Sec-Fetch-Site": "same-origin"}
    assert browser.post(path, headers=good).json()["state"] == "acked"
    browser.close()


def test_a_foreign_page_cannot_sign_a_browser_in(client: Any) -> None:
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "http://["}, {"Sec-Fetch-Site": "cross-site"}):
        answer = client.ask("POST", "/login", data={"name": "viewer1", "password": PASSWORD}, headers=headers)
        assert answer.status_code == 403


def test_a_form_of_many_fields_is_refused(client: Any) -> None:
    answer = client.ask("POST", "/login", data={f"field{i}": "x" for i in range(41)})
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid")


def test_a_one_time_word_asks_for_a_password_and_works_once(client: Any) -> None:
    accounts, database = client.town.accounts()
    accounts.add("zhao", (Grant("viewer"),), actor="test")
    word = accounts.invite("zhao", "password", actor="test")
    database.close()
    asked = client.ask("POST", "/login", data={"word": word})
    assert (asked.status_code, "设置密码" in asked.text, word in asked.text) == (200, True, True)
    weak = client.ask("POST", "/login", data={"word": word, "password": "short"})
    assert (weak.status_code, "12" in weak.text) == (422, True)
    assert client.ask("POST", "/login", data={"word": word, "password": PASSWORD}).status_code == 303
    assert client.ask("POST", "/login", data={"word": word, "password": PASSWORD}).status_code == 401
    client.sign_in("zhao").close()


def test_guessing_is_slowed_down_by_name_and_by_address(client: Any) -> None:
    codes = [
        client.ask("POST", "/login", data={"name": "viewer1", "password": f"guess number {i}"}).status_code
        for i in range(7)
    ]
    assert codes == [401] * 5 + [429] * 2
    limited = client.ask("POST", "/login", data={"name": "viewer1", "password": PASSWORD})
    assert limited.status_code == 429
    assert int(limited.headers["retry-after"]) > 0
    client.sign_in("operator1").close()  # somebody else is not locked out


def test_a_credential_has_a_rate(client: Any) -> None:
    client.app.state.lifeline.gate._buckets = Buckets(Rate(3, 0.001), time.monotonic)
    codes = [client.get("/api/v1/me", as_="viewer").status_code for _ in range(4)]
    assert codes == [200, 200, 200, 429]
    assert client.get("/api/v1/me", as_="operator").status_code == 200


def test_disabling_and_revoking_hold_from_the_next_request_on(client: Any) -> None:
    browser = client.sign_in("analyst1")
    assert browser.get("/api/v1/me").status_code == 200
    accounts, database = client.town.accounts()
    accounts.disable("analyst1", actor="test")
    assert browser.get("/api/v1/me").status_code == 401
    assert client.get("/api/v1/me", as_="analyst").status_code == 401
    token_id, token = accounts.create_token("viewer1", actor="test")
    assert client.get("/api/v1/me", as_=token).status_code == 200
    accounts.revoke_token(token_id, actor="test")
    assert client.get("/api/v1/me", as_=token).status_code == 401
    database.close()
    browser.close()


@pytest.mark.parametrize("header", ["Basic dXNlcjpwYXNz", "Bearer", "Bearer lft_", "bearer  x", "Bearer " + "x" * 5000])
def test_other_credentials_are_none(client: Any, header: str) -> None:
    answer = client.get("/api/v1/me", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_token_in_the_address_is_no_credential(client: Any) -> None:
    assert client.get(f"/api/v1/me?token={client.town.tokens['viewer']}").status_code == 401
    assert client.get(f"/api/v1/me?access_token={client.town.tokens['viewer']}").status_code == 401


def test_no_secret_is_ever_logged(client: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    browser = client.sign_in("viewer1")
    secrets = [PASSWORD, client.town.tokens["viewer"], *dict(browser.cookies).values()]
    client.get("/api/v1/events", as_="viewer")
    client.get("/api/v1/events?limit=x", as_="viewer")
    client.ask("POST", "/login", data={"name": "viewer1", "password": "another secret"})
    client.ask("POST", "/api/v1/sql", as_="analyst", content=b"{")
    audit = client.get("/api/v1/audit?limit=1000", as_="auditor").text
    ours = [record for record in caplog.records if not record.name.startswith("http")]  # the test's own client talks
    logged = "\n".join(record.getMessage() for record in ours) + audit
    assert "login.in" in audit
    for secret in (*secrets, "another secret"):
        assert secret not in logged
    browser.close()


def test_oversized_and_slow_requests_are_refused(client: Any) -> None:
    big = client.ask("POST", "/login", content=b"x" * (2 << 20))
    assert big.status_code == 413
    with pytest.raises(httpx.HTTPError):
        client.get("/healthz", headers={"X-Long": "x" * (1 << 20)}).raise_for_status()
