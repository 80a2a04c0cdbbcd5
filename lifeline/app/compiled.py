"""Whether the kernels are compiled here, so that no engine takes its first reading with a compiler running.

A marker beside numba's own cache names the sources and versions that were compiled (``lifeline warm``); ``ensure_warm``
asks it first.

``lifeline warm`` compiles the modules themselves too. Python keeps them as bytecode when it first imports them, but not
where it is told not to (``PYTHONDONTWRITEBYTECODE``, as in many images): there each start compiled 311 modules again.
"""

from __future__ import annotations

import compileall
import hashlib
import logging
import os
import platform
import subprocess
import sys
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import lifeline

if TYPE_CHECKING:
    from collections.abc import Callable

PACKAGES: Final = ("lifeline", "ingest", "rules", "simulators")
logger = logging.getLogger(__name__)


def ensure_warm(say: Callable[[str], None]) -> None:
    """Compile unless these sources were compiled here before; a failure is logged, never fatal: it only costs time."""
    if any((folder / _name()).exists() for folder in _folders()):
        return
    say("compiling the kernels (once, about a minute) … 首次启动，正在编译内核（约一分钟）")
    # in a process of its own: a compiler leaves hundreds of MiB behind
    done = subprocess.run(
        [sys.executable, "-m", "lifeline.cli", "warm", "--quiet"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    if done.returncode != 0:  # whatever fails here will fail again, and be reported, where it matters
        logger.warning("kernels not compiled ahead, the first readings will wait: %s", done.stderr.decode()[-500:])


def outlive_refused_caches() -> None:
    """From now on a kernel that was compiled and cannot be kept is used all the same, and a warning says so.

    Numba ends the call that compiled it with the disk's error, so that a follower which met a kernel for the first time
    while the disk refused to be written to stopped for good.
    """
    from numba.core.caching import Cache  # 0.2 s, which no other command needs

    save = Cache.save_overload
    if getattr(save, "outlives", False):
        return

    def save_if_possible(self: Cache, signature: Any, data: Any) -> None:
        try:
            save(self, signature, data)
        except OSError as error:
            logger.warning("a compiled kernel is used but not kept, the next start compiles it again: %s", error)

    save_if_possible.outlives = True  # type: ignore[attr-defined]
    Cache.save_overload = save_if_possible


def forget_stale(root: Path = Path(lifeline.__file__).parents[1]) -> int:
    """Take away what was compiled before a kernel of its package changed; how many functions that were.

    Numba looks at the file of the function that it compiled, not at those of the helpers inside of it.
    """
    gone = 0
    shared = list((root / "lifeline" / "core").rglob("kernels/*.py"))
    for package in PACKAGES:
        sources = list((root / package).rglob("kernels/*.py"))
        newest = max((path.stat().st_mtime_ns for path in [*sources, *shared]), default=0)
        for compiled in [one for path in sources for one in _compiled(path)]:
            with suppress(OSError):  # another process was faster, or nothing may be written: then nothing changes here
                if compiled.stat().st_mtime_ns < newest:
                    compiled.unlink()
                    gone += 1
    return gone


def _compiled(source: Path) -> list[Path]:
    """Numba's indexes of a file's functions; without its index nothing that was compiled is used."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    folders = list(Path(chosen).glob(f"{source.parent.name}_*")) if chosen else [source.parent / "__pycache__"]
    return [index for folder in folders for index in folder.glob(f"{source.stem}.*.nbi")]


def _name() -> str:
    """The marker's name: a digest of every kernel's source, numba's version and the processor's kind."""
    root = Path(lifeline.__file__).parents[1]
    digest = hashlib.blake2b(f"{metadata.version('numba')} {platform.machine()}".encode(), digest_size=12)
    for package in PACKAGES:
        for path in sorted((root / package).rglob("kernels/*.py")):
            digest.update(path.read_bytes())
    return f"lifeline-warm-{digest.hexdigest()}"


def _folders() -> list[Path]:
    """Where a marker may lie: with numba's cache, wherever that is (its own order of preference)."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    if chosen:
        return [Path(chosen)]
    return [Path(lifeline.__file__).parent / "__pycache__", Path.home() / ".cache" / "lifeline"]


def compile_modules() -> bool:
    """Keep every module of the program as bytecode beside its source; False where nothing may be written.

    Such bytecode bears the time and size of its source, so Python passes over it once that has changed.
    """
    root = Path(lifeline.__file__).parents[1]
    done = [compileall.compile_dir(root / package, quiet=2) for package in PACKAGES]
    return all(done)


def mark_warm() -> None:
    """Say that these sources are compiled; where nothing may be written, every start looks again."""
    for folder in _folders():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / _name()).touch()
        except OSError:
            continue
        return
