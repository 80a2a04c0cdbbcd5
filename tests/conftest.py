"""Shared by all tests: hypothesis profiles, the rule about missing real parts, a real Mosquitto and PostgreSQL."""

from __future__ import annotations

import atexit
import gc
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers
from psycopg import OperationalError

from lifeline.app.compiled import forget_stale
from tests.queues import make_tables, queue_file

FILLED = ("meta", "touched", "alembic_version", "identity_version")
"""Tables that are not empty in an empty database."""
MODEL = "model_of_a_queue"
"""A schema whose tables others are copied from."""

HOMES = tuple(
    f"{Path(path).resolve()}{os.sep}"
    for name in ("lifeline", "ingest", "rules", "simulators", "benchmarks")
    for path in import_module(name).__path__
)

# hypothesis also draws constants that stand in local modules, which it knows by their place: against the wheel (see
# tools/test.sh) that would be every library and not our own, read and parsed for half a minute in a fresh tree
assert hasattr(providers, "is_local_module_file"), "hypothesis tells local modules in another way now"
providers.is_local_module_file = lambda path: str(Path(path).resolve()).startswith(HOMES)  # type: ignore[attr-defined]

settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("dev"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "dev")


forget_stale()  # before any kernel is imported: no test judges a helper as it was

LONG_FILES = frozenset(
    [
        "api_matrix",
        "api_sql",
        "bench_run",
        "bench_gate",
        "crash_network",
        "crash_disk",
        "crash_cuts",
        "crash_mixed",
        "crash_warnings",
        "crash_syscalls",
        "governance_crash",
        "governance_migrations",
        "governance_storm",
        "kill_sweep",
        "rules_library",
        "rules_library_foreign",
        "rules_foreign_files",
        "payload_boundscheck",
        "lake_writer",
        "log_kill",
    ]
)
"""They come first, so that none of them runs on alone when the other workers have nothing left."""


PACKED_BYTES_MIN = 17
"""An empty gzip file has 20 bytes, a frame or a mark that is told by its bytes fewer than 17."""


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """What is packed or encoded is named by its place: gzip holds the second, and two workers may not agree on it.

    (What differs in every run, such as the order of a set, the workers tell of by themselves.)
    """
    packed = isinstance(val, bytes) and len(val) >= PACKED_BYTES_MIN and not (val.isascii() and b"\0" not in val)
    return argname if packed else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What runs for minutes belongs to `make soak` alone: it is not collected elsewhere, so that nothing is skipped."""
    items.sort(key=lambda item: item.path.stem.removeprefix("test_") not in LONG_FILES)
    if os.environ.get("LIFELINE_SOAK") == "1":
        return
    long = [item for item in items if item.get_closest_marker("only_soak")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if not item.get_closest_marker("only_soak")]


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """Nothing that is imported and collected is garbage: nobody looks for any meanwhile."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish(session: pytest.Session) -> None:
    """What was imported and collected lives as long as the process: a full collection has no need to walk it again.

    With it, each `gc.collect()` of a test, and each full collection that comes by itself, takes a third of a second.
    Small ones come seldom: they are a twentieth of the tests' CPU at the usual pace, and free what nobody waits for.
    """
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)  # the interpreter's last collection takes libraries down in order
    gc.set_threshold(10_000, 10, 10)


def need(program: str) -> str:
    """Path of a real part; a missing one skips the test with the reason, and fails it with CI=true."""
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        missing(f"{program} is not installed (Debian: apt-get install mosquitto mosquitto-clients)")
    return path


def missing(reason: str) -> NoReturn:
    """A real part is not there: skips the test with the reason, and fails it with CI=true."""
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
        self._clean: list[str] = []
        self._shape: list[tuple[str, ...]] = []
        run = [self._bin / "initdb", "--pgdata", self.directory / "data", "--no-sync", "--auth=trust"]
        self._run(*run, "--username=lifeline", "--encoding=UTF8", "--locale=C.UTF-8")
        self.start()

    def _run(self, *command: object) -> str:
        done = subprocess.run(
            [str(part) for part in command],
            user=self._user,
            cwd=self.directory,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

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

    def database(self, template: str = "") -> str:
        """The URL of a new database: empty, or a copy of one that nobody is connected to."""
        name = f"city{next(self._names)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}" if template else f"CREATE DATABASE {name}")
        return self.url(name)

    def schema(self) -> str:
        """The URL of a new, empty schema, which is all that most tests need of a database, and comes at once."""
        name = f"city{next(self._names)}"
        self._send(f"CREATE SCHEMA {name}")
        return self._schema_url(name)

    def lend(self) -> str:
        """The URL of a schema with the tables of queue and accounts, as the migrations leave them; give it back."""
        if not self._shape:
            self._send(f"CREATE SCHEMA {MODEL}")
            make_tables(self._schema_url(MODEL))
            self._shape = self._shape_of(MODEL)
        if self._clean:
            return self._clean.pop()
        url = self.schema()
        make_tables(url)
        return url

    def take_back(self, url: str) -> None:
        """Empty a schema for the next test: a tenth of what making its tables takes.

        Not where the test has changed tables or triggers, or where something still holds a lock.
        """
        name = url.rpartition("%3D")[2]
        if self._shape_of(name) != self._shape:
            return
        found = f"SELECT relname, relkind FROM pg_class WHERE relnamespace = '{name}'::regnamespace"
        parts = self._send(found)
        tables = [table for table, kind in parts if kind == "r"]
        settings = {"session_replication_role": "replica", "lock_timeout": "'2s'", "synchronous_commit": "off"}
        steps = [f"SET {setting} = {value}" for setting, value in settings.items()]  # triggers are for the programs
        steps += [f'DELETE FROM {name}."{table}"' for table in tables]
        counters = [part for part, kind in parts if kind == "S"]
        steps += [f"SELECT setval('{name}.{one}', last_value, is_called) FROM {MODEL}.{one}" for one in counters]
        steps += [f"INSERT INTO {name}.{table} SELECT * FROM {MODEL}.{table}" for table in FILLED]
        with suppress(OperationalError):
            self._send("; ".join(steps))
            self._clean.append(url)

    def _shape_of(self, schema: str) -> list[tuple[str, ...]]:
        """Columns, triggers and indices of a schema."""
        of = f"JOIN pg_class c ON c.oid = %s WHERE c.relnamespace = '{schema}'::regnamespace"
        return self._send(
            f"SELECT c.relname, attname, atttypid::text FROM pg_attribute {of % 'attrelid'} AND attnum > 0 "
            f"UNION ALL SELECT c.relname, tgname, tgenabled::text FROM pg_trigger {of % 'tgrelid'} "
            "AND NOT tgisinternal ORDER BY 1, 2"
        )

    def _schema_url(self, name: str) -> str:
        return f"{self.url()}?options=-csearch_path%3D{name}"

    def _send(self, statements: str) -> list[tuple[str, ...]]:
        """Statements in one transaction by the driver (a psql for each would take longer than they do); their rows."""
        where = {"host": "127.0.0.1", "port": self.port, "user": "lifeline", "dbname": "postgres"}
        with psycopg.connect(**where) as connection:  # type: ignore[arg-type]
            cursor = connection.execute(statements)  # type: ignore[call-overload]
            return list(cursor.fetchall()) if cursor.description else []

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
        missing("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    return found[-1] if found else Path(str(on_path)).resolve().parent


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running PostgreSQL for the whole session; every test makes databases of its own in it."""
    server = Postgres()
    yield server
    server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    """What asks for this runs on both."""
    return str(request.param)


@pytest.fixture
def database_url(request: pytest.FixtureRequest, database_kind: str, tmp_path: Path) -> str:
    """An empty governance database of each kind."""
    if database_kind == "sqlite":
        return f"sqlite:///{tmp_path}/governance.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.schema()


@pytest.fixture
def queue_url(request: pytest.FixtureRequest, database_kind: str, tmp_path: Path) -> Iterator[str]:
    """A governance database of each kind with its tables: copied or lent, as making them has tests of its own."""
    if database_kind == "sqlite":
        yield queue_file(tmp_path / "governance.db")
        return
    server: Postgres = request.getfixturevalue("postgres")
    url = server.lend()
    yield url
    server.take_back(url)


@pytest.fixture(scope="session", autouse=True)
def _quick_passwords() -> Iterator[None]:
    """argon2id with the least work, in this process: the real parameters are held by a test of their own."""
    from argon2 import PasswordHasher

    from lifeline.identity import secret

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(secret, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        yield


@pytest.fixture(name="wait_for")
def _wait_for() -> Callable[..., None]:
    return wait_for
