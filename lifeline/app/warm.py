"""``lifeline warm``: compiles every module and every kernel once.

By a demo of two hundred sensors: the way of a reading is the only list of kernels that cannot go stale. What no sensor
does in its five seconds (fall silent, report late) is rehearsed beside it, and what nobody can read is read; its lake
is then judged again, for a backtest, whose arrays may be written to, has kernels of its own.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa

from ingest.payload.index import PointIndex
from ingest.payload.judge import Bounds
from ingest.payload.native import parse
from lifeline.app.compiled import compile_modules, forget_stale, mark_warm
from lifeline.app.demo import DemoSettings, run_demo
from lifeline.app.history import lake_history
from lifeline.app.site import load_site
from lifeline.core.registry import Registry
from lifeline.core.schema import POINTS
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


def _misread() -> None:
    """What only a payload meets that the compiled decoder refuses: it is looked at once more, message by message."""
    rows = [{"point": 0, "device_id": "W1", "quantity": "ch4", "utility": "gas"}]
    columns = {field.name: pa.array([row.get(field.name) for row in rows], field.type) for field in POINTS}
    index = PointIndex(Registry(pa.table(columns, schema=POINTS)))
    device = index.device("W1")
    assert device is not None
    assert index.row(device, "ch4") is not None
    parse(b"[{", Bounds(received_at=0, ts_min=0, ts_max=0))


def warm_kernels() -> float:
    """Compile; the seconds it took. What is compiled stays beside the sources, or in ``NUMBA_CACHE_DIR``."""
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="lifeline-warm-"))
    compile_modules()
    forget_stale()
    rehearse()
    _misread()
    try:
        settings = DemoSettings(seconds=5, sensors=200, interval_s=1.0, directory=folder, console_port=None)
        done = run_demo(settings, _Silent())
        points, batches = lake_history(load_site(Path(done["config"])).data, None, None)
        backtest.run(RuleSet.standard(), points, iter(batches))
        backtest.run(RuleSet.standard(), points, batches)  # looked at first
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    mark_warm()
    return time.monotonic() - started
