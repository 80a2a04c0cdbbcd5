"""The command line where the terminal is not UTF-8: a Chinese Windows-like GBK, and plain ASCII."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from lifeline.cli.main import main
from lifeline.cli.output import print_json


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])  # the latter is Python's own choice in locale C
@pytest.mark.parametrize("encoding", ["gbk", "ascii", "latin-1", "utf-8"])
def test_what_the_terminal_cannot_show_is_spelled_and_nothing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, errors: str
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(written, encoding, errors))
    monkeypatch.setattr(sys, "argv", ["lifeline", "check", "-c", str(tmp_path / "没有.toml")])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    sys.stderr.flush()
    told = written.getvalue().decode(encoding)
    assert told.startswith("✗" if encoding == "utf-8" else "\\u2717")
    assert ("没有" if encoding in {"gbk", "utf-8"} else "\\u6ca1\\u6709") in told


@pytest.mark.parametrize("encoding", ["gbk", "ascii", "utf-8"])
def test_json_means_the_same_in_any_encoding(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding))
    print_json({"title": "燃气 ✓ m³"})
    assert json.loads(written.getvalue().decode(encoding)) == {"title": "燃气 ✓ m³"}
