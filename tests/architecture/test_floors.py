"""The floors hold, and each contract turns red when its violation is planted."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("LIFELINE_TREE", Path(__file__).resolve().parents[2]))
PACKAGES = ("lifeline", "ingest", "rules", "simulators", "benchmarks")

PLANTED = {
    "core-imports-the-engine": ("lifeline/core/clash.py", "import lifeline.engine.tally", "Imports go down"),
    "rules-import-ingest": ("rules/clash.py", "import ingest.messages", "Imports go down"),
    "simulators-import-ingest": ("simulators/clash.py", "import ingest.messages", "Imports go down"),
    "unlisted-module": ("lifeline/attic.py", "", "has chosen its floor"),
    "ingest-imports-the-log": ("ingest/clash.py", "import lifeline.log.local", "Rooms get durable things"),
    "socket-in-the-codec": ("ingest/mqtt/clash.py", "import socket", "pure parts import no clock"),
    "clock-in-the-rules": ("rules/clash.py", "import time", "pure parts import no clock"),
    "cycle": ("lifeline/engine/clash.py", "import lifeline.engine.clash2", "No cycles"),
    "fake-in-production": ("lifeline/engine/clash.py", "import lifeline.testing", "Nobody imports"),
}


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    program = "import sys; from importlinter.cli import lint_imports_command as main; sys.argv[0]='lint'; main()"
    return subprocess.run(
        [sys.executable, "-c", program, "--no-cache"], cwd=tree, capture_output=True, text=True, check=False
    )


def copy_tree(target: Path) -> None:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, target / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", target)


def test_the_tree_keeps_its_floors() -> None:
    result = lint(ROOT)

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_violation_is_caught(name: str, tmp_path: Path) -> None:
    path, line, contract = PLANTED[name]
    copy_tree(tmp_path)
    (tmp_path / path).write_text(f'"""Planted."""\n{line}\n')
    if name == "cycle":
        (tmp_path / "lifeline/engine/clash2.py").write_text('"""Planted."""\nimport lifeline.engine.clash\n')

    result = lint(tmp_path)

    assert result.returncode == 1, result.stdout + result.stderr
    broken = [row for row in result.stdout.splitlines() if "BROKEN" in row]
    assert any(contract in row for row in broken), result.stdout
