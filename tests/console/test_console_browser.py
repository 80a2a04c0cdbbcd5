"""The page in a real browser: it runs under its own policy, and what devices say never becomes markup."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script>'


@pytest.fixture
def browser() -> str:
    """Chromium; where it is missing the test is skipped, but not in CI."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        reason = "Chromium is not installed (Debian: apt-get install chromium)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.mark.integration
def test_the_page_shows_the_news_and_runs_nothing_foreign(client: Any, browser: str, tmp_path: Path) -> None:
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
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    flags += " --disable-component-update --disable-sync --enable-logging=stderr --virtual-time-budget=6000 --dump-dom"
    run = subprocess.run(
        [browser, *flags.split(), f"--user-data-dir={tmp_path}", f"http://127.0.0.1:{client.port}/"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    dom = run.stdout
    page = dom[dom.index("<body>") : dom.index("<noscript>")]
    assert "未就绪" in page
    assert "42,310" in page
    assert "超出量程" in page
    assert page.count('<td class="title">') == 2
    assert page.count("&lt;script&gt;") >= 7
    assert "<script" not in page
    assert "<img" not in page
    title = re.search(r"<title>(.*)</title>", dom)
    assert title is not None
    assert title[1].startswith("(2) ")
    assert "Content Security Policy" not in run.stderr
    assert "Uncaught" not in run.stderr
