"""``lifeline warm``: compiles every module and every kernel once.

By a demo of two hundred sensors: the way of a reading is the only list of kernels that cannot go stale. What no sensor
does in its five seconds (fall silent, report late) is rehearsed beside it; its lake is then judged again, for a
backtest, whose arrays may be written to, has kernels of its own.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from lifeline.app.compiled import compile_modules, forget_stale, mark_warm
from lifeline.app.demo import DemoSettings, run_demo
from lifeline.app.history import lake_history
from lifeline.app.site import load_site
from rules import backtest
from rules.rehearsal import rehearse
from rules.rule_set import RuleSet


class _Silent:
    def update(self, status: dict[str, Any]) -> None:
        """Nobody watches."""

    def say(self, text: str) -> None:
        """Nobody listens."""

    def close(self) -> None:
        """Nothing to take away."""


def warm_kernels() -> float:
    """Compile; the seconds it took. What is compiled stays beside the sources, or in ``NUMBA_CACHE_DIR``."""
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="lifeline-warm-"))
    compile_modules()
    forget_stale()
    rehearse()
    try:
        settings = DemoSettings(seconds=5, sensors=200, interval_s=1.0, directory=folder, console_port=None)
        done = run_demo(settings, _Silent())
        backtest.run(RuleSet.standard(), *lake_history(load_site(Path(done["config"])).data, None, None))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    mark_warm()
    return time.monotonic() - started
