"""The pages in a real browser: signing in works, they run under their own policy, and data never becomes markup."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.conftest import missing

pytestmark = pytest.mark.integration

HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
PASSWORD = "correct horse 2026"  # noqa: S105


@pytest.fixture
def chromium(tmp_path: Path) -> Iterator[Any]:
    """Chromium; where it is missing the test is skipped, but not in CI."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        missing("Chromium is not installed (Debian: apt-get install chromium)")
    spec = importlib.util.spec_from_file_location("chromium", Path(__file__).with_name("chromium.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    browser = module.Chromium(found, tmp_path / "profile")
    yield browser
    browser.close()


def one_time_link(client: Any, name: str = "viewer1") -> str:
    accounts, database = client.town.accounts()
    word = accounts.invite(name, "sign-in", actor="test")
    database.close()
    return f"http://127.0.0.1:{client.port}/login#{word}"


def test_the_page_shows_the_news_and_runs_nothing_foreign(client: Any, chromium: Any) -> None:
    client.sources.status = {
        "ready": False,
        "reason": HOSTILE,
        "at": client.sources.now_ms + 10_000_000,
        "readings_per_s": 42310.0,
        "received": 1_234_567,
        "followers": [{"name": HOSTILE, "lag_s": 9.6}],
        "rejected": {"out_of_span": 5, HOSTILE: 1},
        "brokers": [{"name": HOSTILE, "connected": False, "last_error": HOSTILE}],
        "events_open": {"red": 2},
    }
    event = {"level": "red", "status": "new", "title": HOSTILE, "place": HOSTILE, "raised_at": 1_795_000_000_000}
    client.sources.events = [event, {**event, "level": HOSTILE, "status": HOSTILE, "utility": HOSTILE}]

    chromium.open(one_time_link(client))
    chromium.until("document.querySelectorAll('td.title').length === 2")
    page = chromium.run("document.body.innerHTML")
    page = page[: page.index("<noscript>")]

    assert "未就绪" in page
    assert "42,310" in page
    assert "超出量程" in page
    assert page.count("&lt;script&gt;") >= 7
    assert "<script" not in page
    assert "<img" not in page
    assert chromium.run("document.title").startswith("(2) ")
    assert chromium.run("location.href") == f"http://127.0.0.1:{client.port}/"
    assert chromium.complaints == []


def test_a_person_signs_in_sees_an_act_at_once_and_signs_out(client: Any, chromium: Any) -> None:
    chromium.open(f"http://127.0.0.1:{client.port}/login")
    chromium.until("document.querySelector('input[name=name]') !== null")
    chromium.run(
        "(() => { document.querySelector('input[name=name]').value = 'viewer1';"
        f"document.querySelector('input[name=password]').value = {PASSWORD!r};"
        "document.querySelector('button').click(); })()"
    )
    chromium.until("document.querySelectorAll('td.title').length === 4")
    event_id = client.town.events[0]["event_id"]
    acted = client.ask("POST", f"/api/v1/events/{event_id}/actions/file", as_="operator")
    assert acted.status_code == 200
    chromium.until("document.querySelector('#events').textContent.includes('立案')")
    assert "viewer1" in chromium.run("document.querySelector('.who').textContent")
    chromium.run("document.querySelector('#leave').click()")
    chromium.until("location.pathname === '/login'")
    refused = "fetch('/api/v1/me').then((answer) => answer.status, () => 'refused')"
    assert chromium.run(refused) == "refused"  # the page's own policy lets it ask nobody


def test_a_person_opens_an_event_and_acts_on_what_they_saw(client: Any, chromium: Any) -> None:
    chromium.open(one_time_link(client, "operator1"))
    chromium.until("document.querySelectorAll('tr.can').length === 4")
    event_id = client.town.events[0]["event_id"]
    rows = "[...document.querySelectorAll('tr.can')]"
    chromium.run(f"{rows}.find((row) => row.textContent.includes('D00000')).click()")
    chromium.until("document.querySelector('#event').open")
    assert event_id in chromium.run("document.querySelector('#event .facts').textContent")

    def act(action: str, words: str) -> None:
        chromium.run(f"document.querySelector('#event [data-action={action}]').click()")
        chromium.run(f"document.querySelector('#event .words').value = {words!r}")
        chromium.run("document.querySelector('#event .send').click()")

    act("file", f"属实 {HOSTILE}")
    chromium.until("document.querySelector('#event .facts').textContent.includes('filed')")
    assert "属实" in chromium.run("document.querySelector('#event .log').textContent")
    assert "<img" not in chromium.run("document.querySelector('#event').innerHTML")

    client.ask(
        "POST", f"/api/v1/events/{event_id}/actions/note", as_="dispatcher", json={"note": "somebody was faster"}
    )
    act("note", "mine")
    chromium.until("document.querySelector('#event .fault').textContent !== ''")
    assert "look again" in chromium.run("document.querySelector('#event .fault').textContent")
    refused = [text for text in chromium.complaints if "412" not in text]
    assert refused == []


def test_times_are_the_sites_whatever_the_browser_thinks(client: Any, chromium: Any) -> None:
    event_id = client.town.events[0]["event_id"]
    for action, role in (("file", "operator"), ("dispatch", "dispatcher"), ("accept", "operator")):
        acted = client.ask("POST", f"/api/v1/events/{event_id}/actions/{action}", as_=role)
        assert acted.status_code == 200, acted.text
    told = datetime(2027, 1, 5, 18, 30, tzinfo=ZoneInfo("Asia/Shanghai"))
    chromium.open(one_time_link(client, "operator1"))
    chromium.until("document.querySelectorAll('tr.can').length === 4")
    chromium.run(f"document.dispatchEvent(new CustomEvent('lifeline:event', {{ detail: '{event_id}' }}))")
    chromium.until("document.querySelector('#event [data-action=ask-extension]') !== null")
    facts = chromium.run("document.querySelector('#event .facts').textContent")
    assert "橙色 orange" in facts
    assert "已接受 accepted" in facts

    chromium.run("document.querySelector('#event [data-action=ask-extension]').click()")
    chromium.run(f"document.querySelector('#event .slot input').value = '{told:%Y-%m-%dT%H:%M}'")
    chromium.run("document.querySelector('#event .words').value = '需破路'")
    chromium.run("document.querySelector('#event .send').click()")
    chromium.until("document.querySelector('#event .facts').textContent.includes('extension-asked')")

    event = client.get(f"/api/v1/events/{event_id}", as_="dispatcher").json()
    assert event["extension_until"] == int(told.timestamp() * 1000)
    summer = "shared.siteTime('2026-07-01T12:00')"
    assert chromium.run(summer) == int(datetime(2026, 7, 1, 12, tzinfo=told.tzinfo).timestamp() * 1000)


def test_an_event_that_cannot_be_read_is_told(client: Any, chromium: Any) -> None:
    chromium.open(one_time_link(client))
    chromium.until("document.querySelectorAll('tr.can').length === 4")

    chromium.run("document.dispatchEvent(new CustomEvent('lifeline:event', { detail: 'ffffffffffffffffffff' }))")
    chromium.until("document.querySelector('#event').open")

    assert "ffffffff" in chromium.run("document.querySelector('#event .fault').textContent")
    assert "读取失败" in chromium.run("document.querySelector('#event .title').textContent")


def test_the_policy_stops_what_an_injection_would_try(client: Any, chromium: Any) -> None:
    chromium.open(one_time_link(client, "operator1"))
    chromium.until("document.querySelectorAll('td.title').length === 4")
    chromium.run(
        "(() => { const s = document.createElement('script'); s.textContent = 'window.pwned = 1';"
        "document.body.append(s);"
        "const i = document.createElement('img'); i.src = 'http://127.0.0.1:1/x.png'; document.body.append(i);"
        "const e = document.createElement('div'); e.setAttribute('onclick', 'window.pwned = 2');"
        "document.body.append(e); e.click(); })()"
    )
    assert chromium.run("window.pwned") is None
    assert any("Content Security Policy" in text for text in chromium.complaints)
    assert chromium.run("document.cookie") == ""
    path = f"/api/v1/alarms/{client.town.alarms[0]['alarm_id']}/actions/ack"
    forged = chromium.run(f"fetch('{path}', {{method: 'POST'}}).then((answer) => answer.status)")
    csrf = "{'X-CSRF-Token': document.documentElement.dataset.csrf}"
    honest = chromium.run(f"fetch('{path}', {{method: 'POST', headers: {csrf}}}).then((answer) => answer.status)")
    assert (forged, honest) == (403, 200)
