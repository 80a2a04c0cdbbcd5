"""Shared by all tests: hypothesis profiles, the rule about missing real parts, a real Mosquitto and PostgreSQL."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("dev"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "dev")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What runs for minutes belongs to `make soak` alone: it is not collected elsewhere, so that nothing is skipped."""
    if os.environ.get("LIFELINE_SOAK") == "1":
        return
    long = [item for item in items if item.get_closest_marker("only_soak")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if not item.get_closest_marker("only_soak")]


def need(program: str) -> str:
    """Path of a real part; a missing one skips the test with the reason, and fails it with CI=true."""
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        _missing(f"{program} is not installed (Debian: apt-get install mosquitto mosquitto-clients)")
    return path


def _missing(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Poll until ``condition()`` is true; fail by name after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def listens(port: int) -> bool:
    """Whether somebody accepts connections on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Mosquitto:
    """A real broker with its own configuration on a free port."""

    directory: Path
    port: int = field(default_factory=free_port)
    extra: str = ""
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Write the configuration, start, wait until it accepts connections."""
        program = need("mosquitto")
        conf = self.directory / "mosquitto.conf"
        conf.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nuser root\n"
            "max_inflight_messages 0\nmax_queued_messages 0\nmax_queued_bytes 0\nset_tcp_nodelay true\n"
            f"log_dest file {self.directory}/mosquitto.log\nlog_type error\nlog_type warning\n{self.extra}"
        )
        self.process = subprocess.Popen(
            [program, "-c", str(conf)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for(lambda: listens(self.port), 10, "mosquitto accepts connections")

    def stop(self, sig: int = signal.SIGTERM) -> None:
        """End it."""
        if self.process is not None:
            self.process.send_signal(sig)
            self.process.wait(10)
            self.process = None

    def publish(self, topic: str, payload: str | bytes, qos: int = 1) -> None:
        """One message by the real ``mosquitto_pub``."""
        data = payload.encode() if isinstance(payload, str) else payload
        subprocess.run(
            [need("mosquitto_pub"), "-h", "127.0.0.1", "-p", str(self.port), "-t", topic, "-q", str(qos), "-s"],
            input=data,
            check=True,
            timeout=10,
        )


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A running Mosquitto without limits on queues, on a free port."""
    directory = tmp_path / "mosquitto"
    directory.mkdir()
    broker = Mosquitto(directory)
    broker.start()
    yield broker
    broker.stop(signal.SIGKILL)


class Postgres:
    """A real PostgreSQL of our own: its files and socket in a fresh folder, on a free port, never the system's.

    The server refuses to run as root; then it runs as ``postgres``, the account of the Debian package.
    """

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="lifeline-pg-"))  # short: a socket's path has 107 bytes
        self.port = free_port()
        self._bin = _postgres_programs()
        self._user: str | None = None
        if os.geteuid() == 0:
            self._user = "postgres"
            shutil.chown(self.directory, self._user)
        self._names = itertools.count(1)
        run = [self._bin / "initdb", "--pgdata", self.directory / "data", "--no-sync", "--auth=trust"]
        self._run(*run, "--username=lifeline", "--encoding=UTF8", "--locale=C.UTF-8")
        self.start()

    def _run(self, *command: object) -> None:
        done = subprocess.run(
            [str(part) for part in command],
            user=self._user,
            cwd=self.directory,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = f"-p {self.port} -k {self.directory} -c listen_addresses=127.0.0.1 -c shared_buffers=16MB"
        log = self.directory / "log"
        self._run(self._bin / "pg_ctl", "-D", self.directory / "data", "-l", log, "-w", "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """``immediate`` is a crash: nothing is written on the way out, the next start recovers."""
        self._run(self._bin / "pg_ctl", "-D", self.directory / "data", "-w", "-m", mode, "stop")

    def execute(self, statement: str, database: str = "postgres") -> None:
        """One statement by the real ``psql``."""
        connection = f"host={self.directory} port={self.port} user=lifeline dbname={database}"
        self._run(self._bin / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", connection, "-c", statement)

    def url(self, name: str = "postgres") -> str:
        """How a program names a database here."""
        return f"postgresql+psycopg://lifeline@127.0.0.1:{self.port}/{name}"

    def database(self) -> str:
        """The URL of a new, empty database."""
        name = f"city{next(self._names)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def schema(self) -> str:
        """The URL of a new, empty schema, which is all that most tests need of a database, and comes at once."""
        name = f"city{next(self._names)}"
        self.execute(f"CREATE SCHEMA {name}")
        return f"{self.url()}?options=-csearch_path%3D{name}"

    def close(self) -> None:
        """Stop it and remove everything."""
        self.stop()
        shutil.rmtree(self.directory)


def _postgres_programs() -> Path:
    """Where initdb and the others are: Debian keeps them off the PATH, one folder a version."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    found = [folder for folder in folders if (folder / "initdb").exists()]
    on_path = shutil.which("initdb")
    if not found and on_path is None:
        _missing("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    return found[-1] if found else Path(str(on_path)).resolve().parent


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running PostgreSQL for the whole session; every test makes databases of its own in it."""
    server = Postgres()
    yield server
    server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty governance database of each kind: what asks for this runs on both."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/governance.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.schema()


@pytest.fixture(name="wait_for")
def _wait_for() -> Callable[..., None]:
    return wait_for
