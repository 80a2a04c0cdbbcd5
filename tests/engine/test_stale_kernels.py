"""What numba compiled is forgotten when a helper inside of it has changed."""

import os
from pathlib import Path
from typing import Any

import pytest

from lifeline.app.compiled import forget_stale


def write(path: Path, age_s: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (1_000_000 - age_s, 1_000_000 - age_s))
    return path


@pytest.mark.parametrize("chosen", [False, True])
def test_what_is_older_than_a_kernel_of_its_package_is_taken_away(tmp_path: Any, monkeypatch: Any, chosen: Any) -> None:
    """Of that package, and nothing else of it; in numba's folder beside the sources or the one that was chosen."""
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    compiled = {}
    for package, helper_age in (("ingest", 50), ("rules", 500)):
        kernels = tmp_path / package / "kernels"
        write(kernels / "caller.py", 1_000)
        write(kernels / "helper.py", helper_age)
        folder = kernels / "__pycache__"
        if chosen:
            monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "numba"))
            folder = tmp_path / "numba" / f"kernels_{package}"
        compiled[package] = write(folder / f"caller.{package}-1.py311.nbi", 100)
        write(folder / f"helper.{package}-1.py311.nbi", 10)
        write(folder / f"other.{package}-1.py311.nbi", 900)

    # of a chosen folder nobody can say which package it holds: both lists of sources reach into both
    gone = {package for package, path in compiled.items() if path.exists()}
    count = forget_stale(tmp_path)
    gone -= {package for package, path in compiled.items() if path.exists()}

    assert "ingest" in gone
    assert ("rules" in gone) == chosen
    assert count == len(gone)
    assert len(list(tmp_path.rglob("*.nbi"))) == 6 - len(gone)


def test_what_is_older_than_a_helper_of_all_packages_is_taken_away(tmp_path: Any, monkeypatch: Any) -> None:
    """Those of ``lifeline/core/kernels`` are inside of functions of every package."""
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    write(tmp_path / "lifeline" / "core" / "kernels" / "fetch.py", 50)
    caller = write(tmp_path / "ingest" / "kernels" / "caller.py", 1_000)
    older = write(caller.parent / "__pycache__" / "caller.older-1.py311.nbi", 100)
    newer = write(caller.parent / "__pycache__" / "caller.newer-1.py311.nbi", 10)

    assert forget_stale(tmp_path) == 1
    assert not older.exists()
    assert newer.exists()
