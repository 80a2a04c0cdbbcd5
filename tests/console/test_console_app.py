"""The console over a real socket: what it shows, what it refuses, and that bad sources never bring it down."""

import re
from importlib import resources
from typing import Any
from urllib.parse import quote

import pytest

from lifeline.core.schema import LEVELS, REASONS, UTILITIES
from lifeline.governance.states import CLOSED_STATES, STATES

NOW_MS = 1_795_000_000_000


def test_ready_follows_the_engine(client: Any) -> None:
    client.sources.now_ms = NOW_MS
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "reason": None})
    client.sources.status = {"ready": False, "reason": "log: disk full", "at": client.sources.now_ms}
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"ready": False, "reason": "log: disk full"})


def test_an_engine_that_fell_silent_is_not_ready(client: Any) -> None:
    client.sources.now_ms = NOW_MS + 60_000
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "said nothing for 6" in answer.json()["reason"]
    assert client.get("/status.json", as_="viewer").json()["stale"] is True


def test_no_engine_at_all_is_a_status_not_an_error(client: Any) -> None:
    client.sources.status = None
    assert client.get("/readyz").status_code == 503
    answer = client.get("/status.json", as_="viewer")
    assert (answer.status_code, answer.json()["ready"]) == (200, False)
    assert client.get("/healthz").status_code == 200


def test_events_of_the_page_are_bounded(client: Any) -> None:
    events = client.get("/events.json?limit=3", as_="viewer").json()["events"]
    assert len(events) == 3
    assert events[0]["raised_at"] == NOW_MS - 60_000


@pytest.mark.parametrize("limit", ["0", "-1", "101", "x", "", "9" * 400])
def test_other_limits_are_refused(client: Any, limit: str) -> None:
    answer = client.get(f"/events.json?limit={quote(limit)}", as_="viewer")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


def test_a_broken_queue_is_said(client: Any) -> None:
    path = client.town.site.config.database_path
    cookie = client.sign_in("viewer1")
    path.write_bytes(b"garbage" * 5000)
    answer = client.get("/api/v1/events", as_="viewer")
    assert answer.status_code == 503
    assert answer.json()["type"] == "/problems/unavailable"
    assert client.get("/healthz").status_code == 200
    cookie.close()


def test_metrics_pass_through_or_say_why_not(client: Any) -> None:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.content.startswith(b"lifeline_readings_received_total 7.0\n")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    client.sources.metrics = None
    assert client.get("/metrics").status_code == 503


def test_only_known_paths_and_methods(client: Any) -> None:
    assert client.ask("POST", "/status.json", as_="viewer").status_code == 405
    for path in ("/nothing", "/../etc/passwd", "/web/page.js", "/docs", "/openapi.json"):
        answer = client.get(path, as_="viewer")
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("evil.example", 421),
        ("127.0.0.1.evil.example:80", 421),
        ("localhost:1", 200),
        ("[::1]:8600", 200),
        ("::1", 421),
    ],
)
def test_foreign_names_are_refused(client: Any, host: str, code: int) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == code


def test_every_answer_carries_the_safe_headers(client: Any) -> None:
    for path in ("/", "/login", "/status.json", "/nothing", "/healthz", "/api/v1/events"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "server" not in headers


def test_the_pages_let_only_their_own_code_run(client: Any) -> None:
    browser = client.sign_in("viewer1")
    for path in ("/", "/login"):
        first, second = browser.get(path), browser.get(path)
        policy = first.headers["content-security-policy"]
        nonce = re.search(r"script-src 'nonce-([\w-]{24})'", policy)
        assert nonce is not None
        assert first.text.count(f'nonce="{nonce[1]}"') == first.text.count("<script") + first.text.count("<style") == 2
        assert nonce[1] not in second.text
        assert "unsafe" not in policy
        assert not re.search(r'(?:src|href)="(?!data:|/login/oidc)', first.text)
        assert not re.search(r"\son\w+=|style=", first.text.split("<script")[0].split("</style>")[1])
    browser.close()


def test_the_sites_name_is_text(client: Any) -> None:
    browser = client.sign_in("viewer1")
    text = browser.get("/").text
    assert "<h1>&lt;b&gt;&quot;City&quot;&lt;/b&gt; {{script}}</h1>" in text
    assert 'data-timezone="Asia/Shanghai"' in text
    assert "&lt;b&gt;&quot;City&quot;&lt;/b&gt; {{script}}" in client.get("/login").text
    browser.close()


WEB = resources.files("lifeline.console").joinpath("web")
SCRIPT = "".join(WEB.joinpath(name).read_text(encoding="utf-8") for name in ("words.js", "page.js", "event.js"))
LOGIN_SCRIPT = WEB.joinpath("login.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("danger", ["HTML", "document.write", "eval(", "Function(", 'setAttribute("on', "javascript:"])
def test_the_scripts_never_make_markup_of_data(danger: str) -> None:
    assert danger not in SCRIPT + LOGIN_SCRIPT


def test_the_script_knows_the_closed_lists() -> None:
    for word in (*REASONS, *STATES, *LEVELS, *UTILITIES):
        assert re.search(rf'(?:\b|"){re.escape(word)}(?:\b|")', SCRIPT), word
    for state, (chinese, _) in STATES.items():
        assert re.search(rf'"?{re.escape(state)}"?: "{chinese}"', SCRIPT), state
    done = re.search(r"DONE = new Set\(\[([^\]]*)\]\)", SCRIPT)
    assert done is not None
    assert set(re.findall(r'"([^"]+)"', done[1])) == CLOSED_STATES
