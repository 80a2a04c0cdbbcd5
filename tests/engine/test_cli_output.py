"""What a device sent is shown as what it is, and does nothing to the terminal."""

from __future__ import annotations

import json

import pytest
import typer

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
