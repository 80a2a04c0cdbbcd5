"""The console over a real socket: what it shows, what it refuses, and that bad sources never bring it down."""

import datetime as dt
import json
import re
from importlib import resources
from typing import Any

import pytest

from lifeline.core.schema import LEVELS, REASONS, UTILITIES
from lifeline.governance.states import CLOSED_STATES, STATES

NOW_MS = 1_795_000_000_000


def test_ready_follows_the_engine(client: Any) -> None:
    client.sources.now_ms = NOW_MS
    answer = client.get("/readyz")
    assert (answer.code, json.loads(answer.body)) == (200, {"ready": True, "reason": None})
    client.sources.status = {"ready": False, "reason": "log: disk full", "at": client.sources.now_ms}
    answer = client.get("/readyz")
    assert (answer.code, json.loads(answer.body)) == (503, {"ready": False, "reason": "log: disk full"})


def test_an_engine_that_fell_silent_is_not_ready(client: Any) -> None:
    client.sources.now_ms = NOW_MS + 60_000
    answer = client.get("/readyz")
    assert answer.code == 503
    assert "said nothing for 6" in json.loads(answer.body)["reason"]
    assert json.loads(client.get("/status.json").body)["stale"] is True


def test_no_engine_at_all_is_a_status_not_an_error(client: Any) -> None:
    client.sources.status = None
    assert client.get("/readyz").code == 503
    answer = client.get("/status.json")
    assert (answer.code, json.loads(answer.body)["ready"]) == (200, False)
    assert client.get("/healthz").code == 200


def test_events_are_bounded_and_times_are_iso(client: Any) -> None:
    at = dt.datetime(2026, 11, 23, 23, 0, tzinfo=dt.UTC)
    client.sources.events = [{"event_id": str(i), "raised_at": at, "title": "<script>x</script>"} for i in range(500)]
    events = json.loads(client.get("/events.json?limit=3").body)["events"]
    assert [event["event_id"] for event in events] == ["0", "1", "2"]
    assert events[0]["raised_at"] == "2026-11-23T23:00:00Z"
    assert len(json.loads(client.get("/events.json").body)["events"]) == 100
    assert set(client.sources.limits) == {100}


@pytest.mark.parametrize("limit", ["0", "-1", "101", "x", "", "9" * 400, "٣"])
def test_other_limits_are_refused(client: Any, limit: str) -> None:
    from urllib.parse import quote

    answer = client.get(f"/events.json?limit={quote(limit)}")
    assert (answer.code, answer.headers["content-type"]) == (400, "application/problem+json")


def test_a_broken_queue_is_said(client: Any) -> None:
    client.sources.events = None
    answer = client.get("/events.json")
    assert answer.code == 503
    assert json.loads(answer.body)["detail"] == "governance.db: disk I/O error"


def test_metrics_pass_through_or_say_why_not(client: Any) -> None:
    answer = client.get("/metrics")
    assert (answer.code, answer.body) == (200, b"lifeline_readings_received_total 7.0\n")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    client.sources.metrics = None
    assert client.get("/metrics").code == 503


def test_only_reading_and_only_known_paths(client: Any) -> None:
    assert client.get("/status.json", method="POST").code == 405
    for path in ("/nothing", "/../etc/passwd", "/web/page.js"):
        answer = client.get(path)
        assert (answer.code, answer.headers["content-type"]) == (404, "application/problem+json")


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
    assert client.get("/healthz", host=host).code == code


def test_every_answer_carries_the_safe_headers(client: Any) -> None:
    for path in ("/", "/status.json", "/nothing", "/healthz"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "server" not in headers


def test_the_page_lets_only_its_own_code_run(client: Any) -> None:
    first, second = client.get("/"), client.get("/")
    text = first.body.decode()
    nonce = re.search(r"script-src 'nonce-([\w-]{24})'", first.headers["content-security-policy"])
    assert nonce is not None
    assert text.count(f'nonce="{nonce[1]}"') == text.count("<script") + text.count("<style") == 2
    assert nonce[1] not in second.body.decode()
    assert "unsafe" not in first.headers["content-security-policy"]
    assert not re.search(r'(?:src|href)="(?!data:)', text)
    assert not re.search(r"\son\w+=|style=", text.split("<script")[0].split("</style>")[1])


def test_the_sites_name_is_text(client: Any) -> None:
    text = client.get("/").body.decode()
    assert "<h1>&lt;b&gt;&quot;City&quot;&lt;/b&gt; {{script}}</h1>" in text
    assert 'data-timezone="Asia/Shanghai"' in text


SCRIPT = resources.files("lifeline.console").joinpath("web", "page.js").read_text()


@pytest.mark.parametrize("danger", ["HTML", "document.write", "eval(", "Function(", 'setAttribute("on', "javascript:"])
def test_the_script_never_makes_markup_of_data(danger: str) -> None:
    assert danger not in SCRIPT


def test_the_script_knows_the_closed_lists() -> None:
    for word in (*REASONS, *STATES, *LEVELS, *UTILITIES):
        assert re.search(rf'(?:\b|"){re.escape(word)}(?:\b|")', SCRIPT), word
    for state, (chinese, _) in STATES.items():
        assert re.search(rf'"?{re.escape(state)}"?: "{chinese}"', SCRIPT), state
    done = re.search(r"DONE = new Set\(\[([^\]]*)\]\)", SCRIPT)
    assert done is not None
    assert set(re.findall(r'"([^"]+)"', done[1])) == CLOSED_STATES
