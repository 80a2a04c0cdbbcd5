"""Sources, server shell and terminal line, each by itself."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lifeline.app import http
from lifeline.console.limits import Buckets, Rate
from lifeline.console.server import bind
from lifeline.console.sources import Cached, StatusFile, judged
from lifeline.console.terminal import StatusLine, human, status_line
from lifeline.core.errors import UnavailableError
from lifeline.governance import states
from lifeline.governance.causes import CAUSES

STATUS = {
    "ready": True,
    "readings_per_s": 42_310.4,
    "received": 1_234_567,
    "followers": [{"name": "rules", "lag_s": 0.1}, {"name": "lake", "lag_s": 0.62}],
    "events_open": {"red": 2, "yellow": 12},
    "unacknowledged": 0,
}


def test_the_status_file_is_read_or_says_why_not(tmp_path: Path) -> None:
    source = StatusFile(tmp_path / "status.json")
    with pytest.raises(UnavailableError, match="not run yet"):
        source()
    (tmp_path / "status.json").write_text('{"ready": tr')
    with pytest.raises(UnavailableError, match="cannot be read"):
        source()
    (tmp_path / "status.json").write_text("[1]")
    with pytest.raises(UnavailableError, match="no status"):
        source()
    (tmp_path / "status.json").write_text(json.dumps({"ready": True, "at": 1_000_000}))
    assert judged(source, 1_005_000)["ready"] is True
    assert judged(source, 1_005_001)["ready"] is False


def test_many_viewers_cost_one_question() -> None:
    now, asked = [0], []

    def ask() -> int:
        asked.append(now[0])
        return len(asked)

    cached = Cached(ask, 100, lambda: now[0])
    assert [cached() for _ in range(50)] == [1] * 50
    now[0] = 100
    assert cached() == 2
    now[0] = 50  # the clock was set back: ask again, do not wait for it to catch up
    assert cached() == 3


def test_a_failed_question_is_not_remembered() -> None:
    answers = iter([UnavailableError("no"), 7])

    def ask() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    cached = Cached(ask, 1000, lambda: 0)
    with pytest.raises(UnavailableError):
        cached()
    assert cached() == 7


def test_an_address_in_use_is_a_sentence() -> None:
    with bind("127.0.0.1", 0) as sock, pytest.raises(UnavailableError, match=r"cannot be listened on.*\[http\] listen"):
        bind("127.0.0.1", sock.getsockname()[1])


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_the_process_answers_and_stops_when_told(town: Any, stop: signal.Signals) -> None:
    with bind("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
    town.site.status_path.write_text(json.dumps({"ready": True, "at": time.time_ns() // 1_000_000 + 60_000}))
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "lifeline.app.console",
            str(town.site.config.path),
            "127.0.0.1",
            str(port),
            "",
            str(os.getpid()),
        ],
        stderr=subprocess.PIPE,
    )
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
                    assert json.load(answer)["ready"] is True
                break
            except OSError:
                assert time.monotonic() < deadline
                assert process.poll() is None
        process.send_signal(stop)
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode in {0, -stop}
    assert b"Traceback" not in errors


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (987, "987"), (9999, "9,999"), (42_310, "42.3 k"), (1_234_567, "1.2 M"), (3_400_000_000, "3.4 G")],
)
def test_counts_for_people(count: int, text: str) -> None:
    assert human(count) == text


def test_the_line_says_what_matters() -> None:
    assert status_line(STATUS).plain == (
        "● 42,310 readings/s · received 1.2 M · lag rules 0.1 s lake 0.6 s · events 14 (2 red, 12 yellow) · unacked 0"
    )
    assert status_line({"ready": False, "reason": "log: disk full"}).plain.startswith(
        "✗ 日志：disk full · log: disk full · 0 readings/s"
    )
    assert "rejected 5" in status_line({**STATUS, "rejected": {"too_old": 2, "oversized": 3}}).plain
    assert " · repeats 4 · unacked" in status_line({**STATUS, "rejected": {"duplicate": 4}}).plain
    assert status_line({}).plain


def test_markup_in_a_reason_stays_text() -> None:
    assert "[red]x[/red]" in status_line({"reason": "[red]x[/red]"}).plain


def test_without_a_terminal_lines_come_now_and_then() -> None:
    out, now = io.StringIO(), [0.0]
    with StatusLine(Console(file=out, width=60), clock=lambda: now[0]) as line:
        for now[0] in (0.0, 1.0, 4.9, 5.0, 6.0):
            line.update(STATUS)
        line.say("[done]")
    lines = out.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("● 42,310")
    assert lines[0].endswith("unacked 0")
    assert lines[2] == "[done]"


def test_on_a_terminal_the_line_renews_itself_and_goes_away() -> None:
    out = io.StringIO()
    line = StatusLine(Console(file=out, width=200, force_terminal=True, color_system=None))
    for _ in range(3):
        line.update(STATUS)
    line.close()
    line.close()
    assert out.getvalue().count("42,310") >= 3
    assert out.getvalue().endswith("\x1b[1A\x1b[2K")  # one line up, erase it


def test_a_bucket_gives_its_burst_then_its_rate() -> None:
    now = [0.0]
    buckets = Buckets(Rate(3, 0.5), lambda: now[0])
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 2.0]
    assert buckets.take("b") == 0
    now[0] = 1.0
    assert buckets.take("a") == 1.0
    now[0] = 2.0
    assert buckets.take("a") == 0
    now[0] = 1e6
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 2.0]


def test_the_console_starts_without_the_rules_compiler() -> None:
    """Numba, LLVM and Polars are 100 MB that 1,000 streams have no room for."""
    modules = sorted(path.stem for path in Path(http.__file__).parent.glob("*.py") if path.stem != "__init__")
    lines = ["import sys", "import lifeline.app.console", *(f"import lifeline.app.http.{name}" for name in modules)]
    lines.append("print(sorted({'numba', 'llvmlite', 'polars'} & set(sys.modules)))")
    told = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_the_pages_words_are_those_of_the_queue() -> None:
    script = resources.files("lifeline.console").joinpath("web", "words.js").read_text(encoding="utf-8")
    causes = re.findall(r'"?([a-z-]+)"?: "', script[script.index("CAUSES =") : script.index("const zone")])
    actions = dict(re.findall(r'"?([a-z-]+)"?: "(.*?)"', script[script.index("ACTIONS =") : script.index("CAUSES =")]))
    assert causes == list(CAUSES)
    assert set(actions) == set(states.ACTIONS)
    assert actions == states.NAMES
