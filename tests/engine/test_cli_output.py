"""What a device sent is shown as what it is, and does nothing to the terminal."""

from __future__ import annotations

import io
import json
import re

import pytest
import typer
from rich.cells import cell_len
from rich.console import Console

from lifeline.cli import output
from lifeline.core.errors import ConfigurationError, Problem, UnavailableError


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


@pytest.mark.parametrize(("width", "as_table"), [(160, True), (80, False), (70, False)])
def test_a_narrow_terminal_gets_paragraphs_and_not_columns_of_three_letters(
    width: int, as_table: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Console(file=io.StringIO(), force_terminal=True, no_color=True, width=width, markup=False, highlight=False)
    monkeypatch.setattr(output, "console", lambda: out)
    row = {
        "alarm_id": "55a8035874f80680eb15b267",
        "level": "orange",
        "state": "returned-unacked 已恢复未确认",
        "value": 30.0,
    }
    row |= {
        "rule_id": "gas.ch4.corroborated",
        "device_id": "G0000002",
        "quantity": "ch4",
        "cleared_at": None,
        "limit": 25.0,
    }
    names = ["alarm_id", "level", "state", "rule_id", "device_id", "quantity", "cleared_at", "value", "limit"]
    output.table("", names, [row, row], empty="")
    shown = re.sub("\x1b\\[[0-9;]*m", "", out.file.getvalue())  # type: ignore[attr-defined]
    lines = [line.rstrip() for line in shown.splitlines() if line.strip()]
    assert all(cell_len(line) <= width for line in lines)
    assert sum("55a8035874f80680eb15b267" in line and "已恢复未确认" in line for line in lines) == 2
    assert sum("gas.ch4.corroborated" in line for line in lines) == 2, "no id is cut"
    assert (len(lines) == 3) is as_table
    assert ("rule_id gas.ch4.corroborated · device_id G0000002" in shown) is not as_table


def test_brackets_in_errors_and_remedies_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = Problem(
        "site/[a]/lifeline.toml", "sink[0].url", "is [/no] address", "see [[sink]], or choose another [http]"
    )
    with pytest.raises(typer.Exit), output.failures():
        raise ConfigurationError([wrong])
    with pytest.raises(typer.Exit), output.failures():
        raise UnavailableError("127.0.0.1:8600 cannot be listened on; choose another [http] listen")

    told = capsys.readouterr().err
    assert "✗ site/[a]/lifeline.toml: sink[0].url: is [/no] address" in told
    assert "→ see [[sink]], or choose another [http]" in told
    assert "choose another [http] listen" in told


def test_what_a_citizen_wrote_neither_styles_nor_steers_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    output.say(output.GOOD, " [/bold] [red]gas[/red] :fire: \x1b[2J ", ("[b]new[/b]", "bold"))

    assert capsys.readouterr().out == "✓ [/bold] [red]gas[/red] :fire: \\x1b[2J [b]new[/b]\n"
