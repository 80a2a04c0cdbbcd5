"""A real console server on a free port over a small real site: queue, accounts, lake, last values.

Only the engine itself is not there: its status and its metrics are what a test says.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest

from lifeline.app.console import make_parts
from lifeline.app.identity import make_accounts
from lifeline.app.site import Site, load_site
from lifeline.console.app import create_app
from lifeline.console.parts import Settings
from lifeline.console.server import bind, make_server
from lifeline.core.alarm import AlarmChange, RuleInfo, alarm_id
from lifeline.core.batch import LogRecord, Readings
from lifeline.core.errors import UnavailableError
from lifeline.core.principal import ROLES, Grant
from lifeline.core.registry import Registry
from lifeline.core.schema import AREAS, POINTS
from lifeline.governance.database import Database
from lifeline.governance.desk import GovernanceDesk
from lifeline.governance.places import PlaceLookup
from lifeline.governance.queue import GovernanceQueue
from lifeline.identity import Accounts
from lifeline.lake.catalog import Catalog
from lifeline.lake.writer import LakeFollower
from lifeline.live.values import LiveValues
from tests.queues import queue_file

NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusted by clients that speak plain HTTP: reading the system's authorities takes longer than what they ask."""

NOW_MS = 1_795_000_000_000
PASSWORD = "correct horse 2026"  # noqa: S105

CONFIG = """\
[site]
name = '<b>"City"</b> {{script}}'
timezone = "Asia/Shanghai"
data_dir = "var"

[[broker]]
name = "none"
url = "mqtt://127.0.0.1:1"

[registry]
unknown = "register"

[rules]
files = []
"""

PLACES = (
    ("gas", "410102001001", "valve-well"),
    ("gas", "410105002001", "household-detector"),
    ("water", "410102001001", "dma-inlet"),
    ("water", "R4101050030001", "dma-inlet"),
)
"""Utility, area and kind of the four devices; each has one quantity and one alarm in one event."""


def registry() -> Registry:
    rows = [
        {
            "point": i,
            "device_id": f"D{i:05d}",
            "quantity": "value",
            "unit": "kPa",
            "utility": utility,
            "area_code": area,
            "kind": kind,
            "lon": 113.612_345 + i,
            "lat": 34.712_345,
            "asset_id": f"A{i}",
        }
        for i, (utility, area, kind) in enumerate(PLACES)
    ]
    areas = [
        {"area_code": "410102", "level": "district", "name": "中原区", "parent_code": "410100"},
        {"area_code": "410105", "level": "district", "name": "金水区", "parent_code": "410100"},
    ]
    return Registry(pa.Table.from_pylist(rows, POINTS), pa.Table.from_pylist(areas, AREAS))


RULE = RuleInfo("value.high", 1, "压力高", "Value high", "orange", "process", "high", "device", "c", "q", "a", 1800)


def raised(point: int, onset: int = NOW_MS - 60_000) -> AlarmChange:
    return AlarmChange(
        kind="raised",
        alarm_id=alarm_id(RULE.rule_id, 1, f"D{point:05d}", "value", onset),
        rule_id=RULE.rule_id,
        rule_version=1,
        point=point,
        raised_at=onset,
        detected_at=onset + 1000,
        cleared_at=None,
        value=30.0,
        limit=25.0,
        level="orange",
        lsn=point + 1,
    )


class _Source:
    """The registry that never changes."""

    def __init__(self) -> None:
        self.registry = registry()

    def current(self) -> Registry:
        return self.registry


@dataclass
class Town:
    """A site on disk with four points, four events and a thousand readings of the first point."""

    site: Site
    events: list[dict[str, Any]] = field(default_factory=list)
    alarms: list[dict[str, Any]] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)

    def account(self, name: str, *grants: Grant, grade: str = "general") -> str:
        """A new account with a password; a token of it."""
        database = Database(self.site.database_url)
        accounts = make_accounts(database)
        accounts.add(name, grants, actor="test", password=PASSWORD, grade=grade)
        _, token = accounts.create_token(name, actor="test")
        database.close()
        return token

    def accounts(self) -> tuple[Accounts, Database]:
        database = Database(self.site.database_url)
        return make_accounts(database), database


def on(database: str) -> str:
    """The section of the configuration that names a database; nothing for the default, a file."""
    return f'\n[governance]\ndatabase = "{database}"\n' if database else ""


def build(directory: Path, database: str = "") -> Town:
    """A site that looks as if an engine had run; ``database``: its URL, a file of its own without one."""
    config = directory / "lifeline.toml"
    config.write_text(f"{CONFIG}{on(database)}")
    site = load_site(config)
    source = _Source()
    site.state.mkdir(parents=True)
    catalog = Catalog(site.data)
    catalog.publish_table("points", source.registry.points)
    catalog.publish_table("areas", source.registry.areas)
    if not database:
        queue_file(site.config.database_path)
    queue = GovernanceQueue(site.database_url, {RULE.rule_id: RULE}, PlaceLookup(source.current), lambda: NOW_MS)
    queue.apply([raised(point) for point in range(len(PLACES))], 9, NOW_MS)
    queue.close()
    desk = GovernanceDesk(site.database_url, lambda: NOW_MS)
    for name, table in desk.snapshot_tables().items():
        catalog.publish_table(name, table)
    alarms = sorted(desk.list_alarms()[0], key=lambda row: int(row["point"]))
    town = Town(site, [desk.get_event(alarm["event_id"]) for alarm in alarms], alarms)
    desk.close()
    rows = 1000
    readings = Readings(
        point=np.zeros(rows, np.int32),
        ts=NOW_MS - np.arange(rows, dtype=np.int64)[::-1] * 1000,
        received_at=np.full(rows, NOW_MS),
        value=np.sin(np.arange(rows) / 50.0),
        seq=np.arange(rows).astype(np.uint32),
        quality=np.zeros(rows, np.uint8),
        flags=np.zeros(rows, np.uint8),
    )
    record = LogRecord(1, NOW_MS, readings, None)
    lake = LakeFollower(site.data, catalog)
    lake.consume([record])
    lake.close()
    catalog.publish()
    live = LiveValues(site.live_path, source)
    live.consume([record])
    live.close()
    for role in ROLES:
        town.tokens[role] = town.account(f"{role}1", Grant(role), grade="important" if role == "analyst" else "general")
    town.tokens["other-area"] = town.account("other-area1", *(Grant(role, ("420000",)) for role in _COMMON))
    town.tokens["other-utility"] = town.account("other-utility1", *(Grant(role, (), ("heat",)) for role in _COMMON))
    return town


_COMMON = ("viewer", "operator", "dispatcher", "analyst")


@dataclass
class Sources:
    """What the engine says; ``None``: it says nothing."""

    status: dict[str, Any] | None = field(default_factory=lambda: {"ready": True, "reason": None, "at": NOW_MS})
    metrics: bytes | None = b"lifeline_readings_received_total 7.0\n"
    events: list[dict[str, Any]] | None = None
    """Rows to be shown in place of the queue's newest."""
    now_ms: int = NOW_MS

    def read_status(self) -> dict[str, Any]:
        if self.status is None:
            raise UnavailableError("the engine has not run yet: no status file")
        return self.status

    def clock(self) -> int:
        """Each call a second later, so that nothing is answered from a cache."""
        self.now_ms += 1000
        return self.now_ms


@dataclass
class Client:
    """A browser or program that asks the running console."""

    port: int
    town: Town
    sources: Sources
    http: httpx.Client
    app: Any

    def get(self, path: str, *, as_: str | None = None, **more: Any) -> httpx.Response:
        return self.ask("GET", path, as_=as_, **more)

    def ask(self, method: str, path: str, *, as_: str | None = None, **more: Any) -> httpx.Response:
        headers = dict(more.pop("headers", {}))
        if as_ is not None:
            headers["Authorization"] = f"Bearer {self.town.tokens.get(as_, as_)}"
        return self.http.request(method, path, headers=headers, **more)

    def sign_in(self, name: str) -> httpx.Client:
        """A browser with a session."""
        browser = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=20, verify=NOBODY)
        answer = browser.post("/login", data={"name": name, "password": PASSWORD})
        assert answer.status_code == 303, answer.text
        return browser


class _Shown:
    """The real queue, except that a test may say what the newest events are."""

    def __init__(self, queue: Any, sources: Sources) -> None:
        self._queue, self._sources = queue, sources

    def list_events(self, within: Any, **filters: Any) -> Any:
        if self._sources.events is not None:
            return self._sources.events, None
        return self._queue.list_events(within, **filters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)


@pytest.fixture(scope="session")
def model_town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site that is built once; tests work on copies."""
    directory = tmp_path_factory.mktemp("town") / "model"
    directory.mkdir()
    return keep(build(directory), directory)


def keep(town: Town, directory: Path) -> Path:
    """What tests must know of a town, beside it."""
    facts = {"events": town.events, "alarms": town.alarms, "tokens": town.tokens}
    (directory / "facts.json").write_text(json.dumps(facts))
    return directory


@pytest.fixture(scope="session")
def model_town_on_postgresql(tmp_path_factory: pytest.TempPathFactory, postgres: Any) -> tuple[Path, str]:
    """The same over PostgreSQL, and the name of its database: a template for those of tests."""
    directory = tmp_path_factory.mktemp("town-pg") / "model"
    directory.mkdir()
    url: str = postgres.database()
    return keep(build(directory, url), directory), url.rpartition("/")[2]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What is marked ``both_databases`` runs over each."""
    if metafunc.definition.get_closest_marker("both_databases"):
        metafunc.parametrize("on_database", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def on_database(request: pytest.FixtureRequest) -> str:
    """Which database the town has."""
    return str(getattr(request, "param", "sqlite"))


@pytest.fixture
def town(request: pytest.FixtureRequest, on_database: str, tmp_path: Path) -> Iterator[Town]:
    """The town, with its database as it was when it was built; on PostgreSQL a copy of it."""
    if on_database == "postgresql":
        model, template = request.getfixturevalue("model_town_on_postgresql")
        url = request.getfixturevalue("postgres").database(template)
        config = tmp_path / "lifeline.toml"  # the lake is the model's: its catalog names files by their whole paths
        config.write_text(CONFIG.replace('"var"', f'"{model / "var"}"') + on(url))
        yield Town(load_site(config), **json.loads((model / "facts.json").read_text()))
        return
    model_town: Path = request.getfixturevalue("model_town")
    site = load_site(model_town / "lifeline.toml")
    database = site.config.database_path
    backup = {path: path.read_bytes() for path in database.parent.glob("governance.db*")}
    yield Town(site, **json.loads((model_town / "facts.json").read_text()))
    for path in database.parent.glob("governance.db*"):
        path.unlink()
    for path, data in backup.items():
        path.write_bytes(data)


@contextmanager
def serving(app: Any) -> Iterator[int]:
    """A real server of an application; its port."""
    server = make_server(app)
    with bind("127.0.0.1", 0) as sock:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        try:
            yield sock.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(20)


_routes: dict[int, Any] = {}
"""Router → what FastAPI has made of it for the first application of this process."""


def share_routes(app: Any) -> None:
    """An application makes every route's models at its first request, a tenth of a second: here they are made once.

    Nothing of an application is in them: what a request needs it finds in ``app.state``.
    """
    app.router.routes[:] = [
        _routes.setdefault(id(route.original_router), route) if hasattr(route, "original_router") else route
        for route in app.router.routes
    ]
    assert _routes


@pytest.fixture
def client(town: Town) -> Iterator[Client]:
    """The console of the site ``<b>"City"</b>`` in Shanghai's time."""
    sources = Sources()
    with ExitStack() as stack:
        parts = make_parts(town.site, stack.callback)
        parts = replace(
            parts, status=sources.read_status, metrics=lambda: sources.metrics, queue=_Shown(parts.queue, sources)
        )
        config = town.site.config
        settings = Settings(site=config.site.name, timezone=config.site.timezone)
        app = create_app(parts, settings, clock=sources.clock)
        share_routes(app)
        port = stack.enter_context(serving(app))
        http = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, verify=NOBODY))
        yield Client(port, town, sources, http, app)
