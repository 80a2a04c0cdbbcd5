"""Why the engine is not ready, in Chinese and English."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lifeline.app import status as status_file
from lifeline.cli.main import app
from lifeline.console.sources import STALE_MS, StatusFile, judged
from lifeline.console.terminal import status_line
from lifeline.core.reasons import in_both, in_chinese
from lifeline.engine import status as board

SSL = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired (_ssl.c:1006)"


@pytest.mark.parametrize(
    ("reason", "chinese"),
    [
        ("starting", "正在启动"),
        ("broker city: not connected", "消息代理 city：未连接"),
        ("broker city: no SUBACK within 10 s", "消息代理 city：代理在 10 秒内未答复（SUBACK）"),
        ("broker city: 10.0.0.5:1883: [Errno 111] Connection refused", "消息代理 city：10.0.0.5:1883 拒绝连接"),
        (
            f"broker city: b.example:8883: {SSL}",
            "消息代理 city：b.example:8883 的证书未通过验证：certificate has expired (_ssl.c:1006)",
        ),
        ("broker a{0}: not connected", "消息代理 a{0}：未连接"),
        ("follower rules is 41 s behind", "规则落后 41 秒"),
        ("log: [Errno 28] No space left on device", "日志：[Errno 28] No space left on device"),
        ("lake: stopped by a defect at log record 7", "数据湖：因程序缺陷停在日志记录 7"),
        ("what nobody has foreseen", "what nobody has foreseen"),
    ],
)
def test_reasons_are_told_in_chinese(reason: str, chinese: str) -> None:
    assert in_chinese(reason) == chinese


def test_every_reason_that_the_board_itself_words_has_its_chinese() -> None:
    """The sources' own literals, so that a new one without Chinese is seen here."""
    text = Path(board.__file__).read_text(encoding="utf-8")
    worded = re.findall(
        r'(?:return False, |"stopped" if self\.stopped else |fault or |"reason": )(f?"[^\n]+?")(?:$|[,}\s])',
        text,
        re.MULTILINE,
    )
    assert len(worded) >= 7
    for literal in worded:
        said = re.sub(r"\{[^}]*\}", "7", literal.removeprefix("f").strip('"'))
        assert re.search("[\u4e00-\u9fff]", in_chinese(said)), said


def test_the_console_and_the_terminal_have_both(tmp_path: Path) -> None:
    assert judged(StatusFile(tmp_path / "none"), 0)["reason_zh"] == "引擎尚未运行过：没有状态文件"
    old = judged(lambda: {"ready": True, "at": 0}, STALE_MS + 1000)
    assert (old["reason"], old["reason_zh"]) == ("the engine has said nothing for 6 s", "引擎已 6 秒没有消息")
    ready: dict[str, Any] = judged(lambda: {"ready": True, "reason": None, "at": 0}, 0)
    assert ready["reason_zh"] is None
    assert "正在停止 · stopping" in status_line({"ready": False, "reason": "stopping"}).plain
    assert in_both("nothing known") == "nothing known"


def test_status_says_that_rules_were_not_reloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that goes on with its old rules is ready: who saved the file must hear of it elsewhere."""
    report = {
        "ready": True,
        "readings_per_s": 0.0,
        **dict.fromkeys(("received", "late", "unacknowledged"), 0),
        **dict.fromkeys(("followers", "brokers"), ()),
        "rejected": {},
        "events_open": {},
        "ingest_to_event_ms": {"p50": 0.0, "p99": 0.0, "max": 0.0},
        "rules_fault": "gas.toml: rule a.raise: unknown column vale",
        "too_late": 7,
    }
    monkeypatch.setattr(status_file, "read_status", lambda _: report)
    said = CliRunner().invoke(app, ["status"])
    assert said.exit_code == 0, said.output
    assert "规则未重新载入" in said.stdout
    assert "unknown column vale" in said.stdout
    assert "7 readings came too late" in said.stdout
