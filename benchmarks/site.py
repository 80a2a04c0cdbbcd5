"""A site on disk for a whole engine, and the processes around it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from benchmarks.harness import BagHash
from benchmarks.streams import EPOCH_MS
from lifeline.lake.query import open_catalog

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

CLIENT_ID: Final = "lifeline-bench"
CONFIG: Final = """\
[site]
name = "Benchmark"
timezone = "Asia/Shanghai"
data_dir = "var"

[[broker]]
name = "bench"
url = "mqtt://127.0.0.1:{port}"
client_id = "{client_id}"
protocol = 4
reconnect = {{ min_s = 0.1, max_s = 1 }}
subscribe = [{{ filter = "lifeline/#", qos = {qos}, payload = "lifeline" }}]

[registry]
file = "sensors.parquet"
areas = "sensors.areas.parquet"

[rules]
files = ["{rules}/*.toml"]

[governance]
database = "sqlite:///governance.db"

[metrics]
listen = "127.0.0.1:0"
"""
READY_S: Final = 300.0


def write_config(folder: Path, port: int, qos: int) -> Path:
    """``lifeline.toml`` with the rules that come with the program."""
    from importlib import resources

    rules = Path(str(resources.files("rules").joinpath("library")))
    path = folder / "lifeline.toml"
    path.write_text(CONFIG.format(client_id=CLIENT_ID, port=port, qos=qos, rules=rules))
    return path


def shift_now() -> int:
    """What makes the stream's clocks right: its first round reports now."""
    return time.time_ns() // 1_000_000 - EPOCH_MS


class Child:
    """A helper process that speaks JSON lines; ended by the end of its stdin."""

    def __init__(self, module: str, arguments: Sequence[object]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def hear(self) -> dict[str, Any]:
        """Its next line.

        Raises:
            RuntimeError: it ended without one.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a helper process ended with {self._process.wait()}; its error is above")
        heard: dict[str, Any] = json.loads(line)
        return heard

    def tell(self, line: str) -> None:
        """One line to its stdin."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def end(self) -> None:
        """No more lines."""
        assert self._process.stdin is not None
        self._process.stdin.close()


def stored(data_dir: Path, shift_ms: int) -> BagHash:
    """The digest of everything in the lake, as an analyst's DuckDB sees it."""
    bag = BagHash()
    # the lock of the analysts' connection stays on: this is what they would see
    with open_catalog(data_dir, memory_limit="4GB") as db:
        found = db.sql("SELECT point, epoch_ms(ts) AS ts, seq, value FROM readings_raw")
        for rows in found.to_arrow_reader(1 << 20):
            point, ts, seq, value = (column.to_numpy(zero_copy_only=False) for column in rows.columns)
            bag.add(point, ts - shift_ms, seq, value)
    return bag
