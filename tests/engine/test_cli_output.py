"""What a device sent is shown as what it is, and does nothing to the terminal."""

from __future__ import annotations

import json

import pytest

from lifeline.cli import output


def test_bytes_that_are_no_text_are_shown_in_hexadecimal(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json({"text": '{"a":"压"}'.encode(), "frame": bytes.fromhex("68fe")})

    assert json.loads(capsys.readouterr().out) == {"text": '{"a":"压"}', "frame": "hex:68fe"}


def test_control_characters_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"topic": "a\x1b[2Jb", "payload": b"x\x1b]0;evil\x07", "detail": "压力"}
    output.records(["topic"], ["payload", "detail"], [row], empty="")

    shown = capsys.readouterr().out
    assert "\x1b]" not in shown
    assert "\x1b[2J" not in shown
    assert "x\\x1b]0;evil" in shown
    assert "压力" in shown
