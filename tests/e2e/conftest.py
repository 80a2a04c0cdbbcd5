"""A real site: an engine process, a configuration, and the books that prove what it kept."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.e2e.books import Books, balance

REGISTRY_CSV = """\
device_id,quantity,unit,utility,kind,span_low,span_high,interval_s,asset_id,zone,gateway
G1,ch4,%LEL,gas,valve-well,0,100,10,WELL-1,R-1,GW-1
G1,temp,degC,gas,valve-well,-40,80,10,WELL-1,R-1,GW-1
G2,ch4,%LEL,gas,valve-well,0,100,10,WELL-2,R-1,GW-1
W1,pressure,MPa,water,pressure-point,0,1.6,60,PIPE-1,DMA-1,GW-2
"""


def cli(*arguments: str, timeout: float = 60, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the real program."""
    result = subprocess.run(
        [sys.executable, "-m", "lifeline.cli", *arguments], capture_output=True, text=True, timeout=timeout, check=False
    )
    if check and result.returncode != 0:
        pytest.fail(f"lifeline {' '.join(arguments)} ended {result.returncode}\n{result.stdout}\n{result.stderr}")
    return result


@dataclass
class Site:
    """A folder with a configuration, and the engine that runs on it."""

    directory: Path
    broker_url: str
    registry: Path
    extra: str = ""
    database: str = "sqlite:///governance.db"
    process: subprocess.Popen[bytes] | None = None
    kills: int = field(default=0)

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        rules = Path(__import__("rules").__file__).parent / "library"
        areas = self.registry.with_name(f"{self.registry.stem}.areas.parquet")
        self.config.write_text(
            f"""
[site]
name = "Test city"
timezone = "Asia/Shanghai"
data_dir = "var"

[[broker]]
name = "city"
url = "{self.broker_url}"
client_id = "lifeline-test"
protocol = 5
reconnect = {{ min_s = 0.1, max_s = 1 }}
subscribe = [{{ filter = "lifeline/#", qos = 1, payload = "lifeline" }}]

[registry]
file = "{self.registry}"
{f'areas = "{areas}"' if areas.exists() else ""}
unknown = "reject"

[rules]
files = ["{rules}/*.toml"]

[governance]
database = "{self.database}"

[metrics]
listen = "127.0.0.1:0"
{self.extra}
"""
        )

    @property
    def config(self) -> Path:
        return self.directory / "lifeline.toml"

    @property
    def data(self) -> Path:
        return self.directory / "var"

    def start(self, wait_ready: Callable[..., None] | None = None) -> None:
        with (self.directory / "engine.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "lifeline.cli", "run", "-c", str(self.config), "--no-console", "--quiet"],
                stdout=log,
                stderr=log,
            )
        if wait_ready is not None:
            wait_ready(self.is_ready, 60, f"the engine is ready\n{self.output()}")

    def is_ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            pytest.fail(f"the engine ended with {self.process.returncode}\n{self.output()}")
        status = self.status()
        return bool(status and status["pid"] == self.process.pid and status["ready"])

    def receives(self) -> bool:
        """Whether this very process has made readings durable."""
        assert self.process is not None
        status = self.status()
        return bool(status and status["pid"] == self.process.pid and status["received"] > 0)

    def output(self) -> str:
        path = self.directory / "engine.log"
        return path.read_text()[-4000:] if path.exists() else ""

    def status(self) -> dict[str, Any] | None:
        with suppress(FileNotFoundError, json.JSONDecodeError):
            found: dict[str, Any] = json.loads((self.data / "state/status.json").read_text())
            return found
        return None

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)
        self.kills += 1

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                code = self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                pytest.fail(f"the engine did not stop within 60 s\n{self.output()}")
            assert code == 0, self.output()

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        """What an analyst's own DuckDB says, over the published catalog."""
        with duckdb.connect(str(self.data / "catalog/lifeline.duckdb"), read_only=True) as db:
            return db.execute(query).fetchall()

    def one(self, query: str) -> Any:
        return self.sql(query)[0][0]


@pytest.fixture
def small_registry(tmp_path: Path) -> Path:
    path = tmp_path / "sensors.csv"
    path.write_text(REGISTRY_CSV)
    return path


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Build sites; whatever still runs at the end is killed."""
    sites: list[Site] = []

    def make(broker_url: str, registry: Path, extra: str = "", **more: str) -> Site:
        site = Site(tmp_path / f"site{len(sites)}", broker_url, registry, extra, **more)
        sites.append(site)
        return site

    yield make
    for site in sites:
        if site.process is not None and site.process.poll() is None:
            site.process.kill()
            site.process.wait(10)


@dataclass
class Publisher:
    """``lifeline simulate`` in a process of its own, with a ledger."""

    directory: Path
    arguments: list[str]
    process: subprocess.Popen[str] | None = None

    @property
    def ledger(self) -> Path:
        return self.directory / "ledger.parquet"

    def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lifeline.cli", "simulate", *self.arguments, "--ledger", str(self.ledger), "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, timeout: float) -> dict[str, Any]:
        assert self.process is not None
        out, err = self.process.communicate(timeout=timeout)
        assert self.process.returncode == 0, err
        summary: dict[str, Any] = json.loads(out)
        return summary


@pytest.fixture
def books() -> Callable[[Site, Path], Books]:
    return lambda site, ledger: balance(site.data / "catalog/lifeline.duckdb", ledger)


@pytest.fixture
def run_cli() -> Callable[..., subprocess.CompletedProcess[str]]:
    return cli


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[Callable[..., Publisher]]:
    made: list[Publisher] = []

    def make(*arguments: str) -> Publisher:
        made.append(Publisher(tmp_path / f"publisher{len(made)}", list(arguments)))
        return made[-1]

    yield make
    for one in made:
        if one.process is not None and one.process.poll() is None:
            one.process.kill()
            one.process.wait(10)


@pytest.fixture(autouse=True)
def _quiet_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
