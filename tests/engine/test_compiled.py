"""What ``lifeline warm`` keeps beside the sources: bytecode, also where Python was told to keep none."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from lifeline.app import compiled

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SAYS = "import rules.one, sys; print(rules.one.WORD)"


def test_modules_are_kept_compiled_and_a_changed_one_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in compiled.PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    source = tmp_path / "rules" / "one.py"
    source.write_text("WORD = 'first'\n")
    monkeypatch.setattr(compiled.lifeline, "__file__", str(tmp_path / "lifeline" / "__init__.py"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(tmp_path)}

    def said() -> str:
        command = [sys.executable, "-S", "-c", SAYS]
        return subprocess.run(command, env=environment, cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    assert compiled.compile_modules()

    kept = importlib.util.cache_from_source(str(source))
    held = source.stat()
    with open(kept, "rb") as file:  # noqa: PTH123 - the name comes as text
        assert b"first" in file.read()
    source.write_text("WORD = 'other'\n")  # of the same size
    os.utime(source, ns=(held.st_atime_ns, held.st_mtime_ns))
    assert said() == "first\n"  # so it is what was kept that runs
    os.utime(source, (held.st_atime + 2, held.st_mtime + 2))
    assert said() == "other\n"


def test_where_nothing_may_be_written_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in compiled.PACKAGES:
        (tmp_path / package).mkdir()
    (tmp_path / "rules" / "one.py").write_text("WORD = 'first'\n")
    (tmp_path / "rules" / "__pycache__").touch()  # in the place of the folder
    monkeypatch.setattr(compiled.lifeline, "__file__", str(tmp_path / "lifeline" / "__init__.py"))

    assert not compiled.compile_modules()
