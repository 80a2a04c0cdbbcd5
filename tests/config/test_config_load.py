"""Loading lifeline.toml: the contract's file is accepted, and everything wrong is said at once, with a remedy."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import make_url

from lifeline.app.site import Site
from lifeline.config import Config, load, read_password
from lifeline.config.address import is_loopback, parse_listen, parse_url
from lifeline.core.errors import ConfigurationError, Problem

CONTRACT = """
[site]
name = "Zhengzhou"
timezone = "Asia/Shanghai"
data_dir = "var"

[[broker]]
name = "city"
url = "mqtts://broker.example:8883"
client_id = "lifeline-city-1"
username = "lifeline"
password_file = "secrets/mqtt"
ca_file = "ca.pem"
protocol = 5
share = "lifeline"
receive_maximum = 65535
reconnect = { min_s = 1, max_s = 30 }
subscribe = [{ filter = "lifeline/#", qos = 1, payload = "lifeline" }]

[[payload]]
name = "acme"
kind = "json"
rows = "$.data[*]"
device = "$.dev"
time = { path = "$.t", format = "epoch_s" }
values = { pressure = { path = "$.p", unit = "kPa" } }
seq = "$.n"

[registry]
file = "sensors.parquet"
unknown = "reject"

[rules]
files = ["rules/*.toml"]

[governance]
database = "sqlite:///governance.db"
"""

MINIMAL = '[[broker]]\nname = "a"\nurl = "embedded"\n[registry]\nunknown = "register"\n[rules]\nfiles = []\n'


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with every file that the contract's configuration names."""
    for name in ("secrets/mqtt", "ca.pem", "sensors.parquet", "rules/b.toml", "rules/a.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("s3cret\n")
    return tmp_path


def read(site: Path, text: str, **options: object) -> Config:
    (site / "lifeline.toml").write_text(text)
    return load(site / "lifeline.toml", **options)  # type: ignore[arg-type]


def wrong(site: Path, text: str, **options: object) -> dict[str, Problem]:
    with pytest.raises(ConfigurationError) as caught:
        read(site, text, **options)
    assert all(problem.file == str(site / "lifeline.toml") for problem in caught.value.problems)
    return {problem.key: problem for problem in caught.value.problems}


def test_the_contracts_file_loads(site: Path) -> None:
    config = read(site, CONTRACT)
    broker = config.broker[0]
    assert config.data_dir == site / "var"
    assert config.database_path == site / "var" / "governance.db"
    assert config.rule_files == (site / "rules/a.toml", site / "rules/b.toml")
    assert config.registry.file == site / "sensors.parquet"
    assert (broker.address.scheme, broker.address.host, broker.address.port) == ("mqtts", "broker.example", 8883)
    assert broker.ca_file == site / "ca.pem"
    assert broker.reconnect.max_s == 30.0
    assert read_password(broker) == "s3cret"
    assert config.payload[0].values["pressure"].path == "$.p"
    assert "s3cret" not in repr(config) + repr(broker)


def test_a_minimal_file_gets_defaults(tmp_path: Path) -> None:
    config = read(tmp_path, MINIMAL)
    assert config.broker[0].session_id == "lifeline-a"
    assert config.broker[0].address.embedded
    assert [(s.filter, s.qos, s.payload) for s in config.broker[0].subscribe] == [("lifeline/#", 1, "lifeline")]
    assert str(config.http.address) == "127.0.0.1:8600"
    assert config.ingest.future_s == 600.0


def test_relative_paths_start_at_the_file_not_at_the_caller(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (site / "sub").mkdir()
    monkeypatch.chdir(site / "sub")
    (site / "lifeline.toml").write_text(CONTRACT)
    assert load("../lifeline.toml").registry.file == site / "sensors.parquet"


def test_everything_wrong_is_said_at_once(site: Path) -> None:
    text = (
        CONTRACT.replace('"Asia/Shanghai"', '"Asia/Beijing"')
        .replace("qos = 1", "qos = 2")
        .replace('client_id = "lifeline-city-1"', 'clientid = "x"')
        .replace("protocol = 5", "protocol = 3")
        .replace('ca_file = "ca.pem"', 'ca_file = "none.pem"')
        .replace('device = "$.dev"', 'device = "dev"')
        .replace('"sensors.parquet"', '"sensors.xlsx"')
        .replace('"rules/*.toml"', '"regeln/*.toml"')
        .replace("sqlite:///governance.db", "postgresql+psycopg://x:hush@db/y")
        + '[metrics]\nlisten = "0.0.0.0:8601"\n[htp]\nx = 1\n'
    )
    found = wrong(site, text)
    assert set(found) == {
        "site.timezone",
        "broker[0].subscribe[0].qos",
        "broker[0].clientid",
        "broker[0].protocol",
        "payload[0].device",
        "registry.file",
        "rules.files[0]",
        "governance.database",
        "metrics.listen",
        "htp",
    }
    assert found["broker[0].clientid"].remedy == "did you mean 'client_id'?"
    assert found["htp"].remedy == "did you mean 'http'?"
    assert "holds a password" in found["governance.database"].message
    assert "hush" not in "".join(map(str, found.values()))
    assert all(problem.remedy for problem in found.values())


@pytest.mark.parametrize(
    ("key", "old", "new"),
    [
        ("broker[0].ca_file", '"ca.pem"', '"none.pem"'),
        ("broker[0].ca_file", '"ca.pem"', '"~nobody-has-this-name/ca.pem"'),
        ("broker[0].password_file", '"secrets/mqtt"', '"secrets/none"'),
        ("broker[0].username", 'username = "lifeline"', ""),
        ("broker[0].key_file", 'ca_file = "ca.pem"', 'cert_file = "ca.pem"'),
        ("broker[0].ca_file", "mqtts://", "mqtt://"),
        ("broker[0].reconnect", "min_s = 1", "min_s = 31"),
        ("broker[0].reconnect.min_s", "min_s = 1", "min_s = 0"),
        ("broker[0].receive_maximum", "65535", "65536"),
        ("broker[0].receive_maximum", "65535", '"65535"'),
        ("broker[0].receive_maximum", "65535", "true"),
        ("broker[0].share", 'share = "lifeline"', 'share = "a/b"'),
        ("broker[0].subscribe[0].filter", "lifeline/#", "lifeline#"),
        ("broker[0].subscribe[0].filter", "lifeline/#", "#/a"),
        ("broker[0].subscribe[0].filter", "lifeline/#", "$share/g/a"),
        ("broker[0].subscribe[0].payload", 'payload = "lifeline"', 'payload = "acmee"'),
        ("broker[0].share", 'payload = "lifeline"', 'payload = "sparkplug"'),
        ("broker[0].subscribe[0].quos", "qos = 1", "quos = 1"),
        ("broker[0].url", "mqtts://broker.example:8883", "mqtts://me:hush@broker.example"),
        ("broker[0].url", "mqtts://broker.example:8883", "http://broker.example"),
        ("broker[0].url", "mqtts://broker.example:8883", "mqtts://broker.example:99999"),
        ("broker[0].url", "mqtts://broker.example:8883", "mqtts://"),
        ("broker[0].password", 'password_file = "secrets/mqtt"', 'password = "hush"'),
        ("broker[0].listen", "protocol = 5", 'listen = "127.0.0.1:1883"'),
        ("payload[0].name", 'name = "acme"', 'name = "senml"'),
        ("payload[0].values.pressure.path", '"$.p"', '"$.p["'),
        ("payload[0].values.pressure.units", "unit = ", "units = "),
        ("payload[0].time.fmt", "format = ", "fmt = "),
        ("payload[0].time.format", '"epoch_s"', '"seconds"'),
        ("payload[0].seq", '"$.n"', '"$.n[*]"'),
        ("payload[0].seq", '"$.n"', '"topic[1]"'),
        ("payload[0].rows", '"$.data[*]"', '"$[*].a[*]"'),
        ("registry.unknown", '"reject"', '"ignore"'),
        ("registry.file", 'file = "sensors.parquet"', ""),
        ("site.name", '"Zhengzhou"', "7"),
        ("rules.files", '["rules/*.toml"]', '"rules/*.toml"'),
    ],
)
def test_one_mistake_gives_one_problem_at_its_key(site: Path, key: str, old: str, new: str) -> None:
    assert old in CONTRACT
    found = wrong(site, CONTRACT.replace(old, new, 1))
    assert list(found) == [key]
    assert found[key].remedy
    assert "hush" not in str(found[key])


def test_a_password_may_come_from_the_environment(site: Path) -> None:
    text = CONTRACT.replace('password_file = "secrets/mqtt"', 'password_env = "PW"')
    config = read(site, text, environ={"PW": "from env"})
    assert read_password(config.broker[0], {"PW": "from env"}) == "from env"
    assert list(wrong(site, text, environ={})) == ["broker[0].password_env"]
    assert list(wrong(site, text, environ={"PW": ""})) == ["broker[0].password_env"]


def test_a_changed_password_file_is_seen_at_the_next_connect(site: Path) -> None:
    config = read(site, CONTRACT)
    (site / "secrets/mqtt").write_text("new one\r\n")
    assert read_password(config.broker[0]) == "new one"
    (site / "secrets/mqtt").write_text("\n")
    with pytest.raises(ConfigurationError, match="empty"):
        read_password(config.broker[0])


def test_every_accepted_path_is_one_that_the_decoder_compiles() -> None:
    from ingest.payload.paths import Path as DecoderPath
    from lifeline.config import PayloadConfig

    for text in (
        "$",
        "$.a",
        "$.a.b[0]",
        "$['a b'].c",
        '$["a.b"]',
        "$.$x-y",
        "$.data[*]",
        "$.data[*].x",
        "$[*]",
        "$.名",
    ):
        try:
            mapping = PayloadConfig.model_validate(
                {"name": "m", "device": "$.d", "values": {"q": {"path": "$.q"}}, "rows": text}
            )
        except ValueError:
            with pytest.raises(ValueError, match="not understood"):
                DecoderPath.compile(text, rows=True)
        else:
            assert DecoderPath.compile(mapping.rows, rows=True).text == text


def test_the_contracts_mapping_compiles_in_the_decoder(site: Path) -> None:
    from ingest.payload.mapping import compile_mapping

    spec = read(site, CONTRACT).payload[0].model_dump(exclude_none=True)
    assert compile_mapping(spec).name == "acme"


def test_a_broken_mapping_is_not_called_missing_too(site: Path) -> None:
    text = CONTRACT.replace('payload = "lifeline"', 'payload = "acme"')
    assert read(site, text).broker[0].subscribe[0].payload == "acme"
    assert list(wrong(site, text.replace("$.dev", "dev"))) == ["payload[0].device"]


def test_two_brokers_must_differ(tmp_path: Path) -> None:
    found = wrong(tmp_path, MINIMAL + '[[broker]]\nname = "a"\nurl = "embedded"\n')
    assert set(found) == {"broker[1].name", "broker[1].client_id", "broker[1].listen"}


def test_formats_of_this_version_are_a_parameter(tmp_path: Path) -> None:
    text = MINIMAL.replace(
        'url = "embedded"', 'url = "embedded"\nsubscribe = [{ filter = "a", payload = "sparkplug" }]'
    )
    found = wrong(tmp_path, text, payloads=("lifeline",))
    assert "not available" in found["broker[0].subscribe[0].payload"].message
    assert read(tmp_path, text).broker[0].subscribe[0].payload == "sparkplug"
    assert read(tmp_path, text.replace("sparkplug", "cjt188")).broker[0].subscribe[0].payload == "cjt188"


def test_remote_listening_must_be_asked_for(tmp_path: Path) -> None:
    text = MINIMAL + '[http]\nlisten = "0.0.0.0:8600"\n'
    assert list(wrong(tmp_path, text)) == ["http.listen"]
    assert read(tmp_path, text + "allow_remote = true\n").http.address.host == "0.0.0.0"  # noqa: S104


def test_console_and_metrics_need_two_addresses(tmp_path: Path) -> None:
    assert list(wrong(tmp_path, MINIMAL + '[metrics]\nlisten = "127.0.0.1:8600"\n')) == ["metrics.listen"]
    free = read(tmp_path, MINIMAL + '[http]\nlisten = "127.0.0.1:0"\n[metrics]\nlisten = "127.0.0.1:0"\n')
    assert free.http.address == free.metrics.address  # any free port: each its own


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[[sink]]\nname = "a"\nkind = "webhook"\nurl = "http://["\n', "sink[0].url"),
        ('[[sink]]\nname = "a"\nkind = "mqtt"\nurl = "mqtts://[::1"\ncrl_file = "lifeline.toml"\n', "sink[0].url"),
        ('[governance]\ndatabase = "postgresql+psycopg://["\n', "governance.database"),
    ],
)
def test_an_address_that_is_none_is_a_problem(tmp_path: Path, text: str, key: str) -> None:
    assert wrong(tmp_path, MINIMAL + text)[key].remedy


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        ("", "broker", "missing"),
        ("broker = 3\n", "broker", "[[broker]]"),
        ('[broker]\nname = "a"\n', "broker", "[[broker]]"),
        ("[[site]]\n", "site", "[site]"),
        ('[site]\nname = "a\n', "at line 2, column 10", "not TOML"),
        ("[site]\nname = Zhengzhou\n", "at line 2, column 8", "not TOML"),
    ],
)
def test_shapes_that_are_not_ours(tmp_path: Path, text: str, key: str, said: str) -> None:
    problem = wrong(tmp_path, text)[key.removeprefix("at ")]
    assert said in str(problem)


def test_a_missing_or_foreign_file_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="lifeline init"):
        load(tmp_path / "none.toml")
    (tmp_path / "gbk.toml").write_bytes('[site]\nname = "郑州"\n'.encode("gbk"))
    with pytest.raises(ConfigurationError, match="line 2: is not UTF-8"):
        load(tmp_path / "gbk.toml")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load(tmp_path)


def test_a_byte_order_mark_is_harmless(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(MINIMAL, encoding="utf-8-sig")
    assert load(tmp_path / "a.toml").broker[0].name == "a"


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=40) | st.sampled_from(["mqtt://[", "ws://h:", "mqtt://h:-1", "mqtts://[::1]:8883"]))
def test_any_url_parses_or_says_why_without_repeating_it(text: str) -> None:
    try:
        assert parse_url(text).port > 0
    except ValueError as error:
        assert str(error)  # noqa: PT017 - the legal outcomes are two


@settings(max_examples=60, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda x: st.lists(x, max_size=3)))
def test_any_value_anywhere_is_a_problem_never_a_crash(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    import json

    folder = tmp_path_factory.mktemp("any")
    text = json.dumps(value if value is not None else 1.5)
    for key in ("site", "broker", "rules", "site.name", "rules.files", "registry.file", "payload"):
        (folder / "a.toml").write_text(f"{key} = {text}\n")
        with pytest.raises(ConfigurationError):
            load(folder / "a.toml")


@pytest.mark.parametrize(
    ("text", "host"), [("127.0.0.1:1", "127.0.0.1"), ("[::1]:8600", "::1"), ("localhost:65535", "localhost")]
)
def test_listen_addresses(text: str, host: str) -> None:
    assert parse_listen(text).host == host
    assert parse_listen(text).loopback
    assert str(parse_listen(text)) == text


@pytest.mark.parametrize("text", ["", "8600", ":8600", "h:65536", "h:٣", "::1:8600", "h:"])
def test_bad_listen_addresses(text: str) -> None:
    with pytest.raises(ValueError, match=r"port|host|IPv6"):
        parse_listen(text)


def test_only_local_names_are_loopback() -> None:
    assert [is_loopback(h) for h in ("127.9.9.9", "::1", "0.0.0.0", "example.com", "10.0.0.1")] == [  # noqa: S104
        True,
        True,
        False,
        False,
        False,
    ]


def test_importing_the_configuration_brings_no_arrays() -> None:
    code = (
        "import sys, lifeline.config\n"
        "print([m for m in ('numpy', 'pyarrow', 'polars', 'numba', 'duckdb', 'rich', 'starlette') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("line", "key", "message"),
    [
        ('database = "postgres://x@db/y"', "governance.database", "scheme 'postgres'"),
        ('database = "postgresql://x@db/y"', "governance.database", "scheme 'postgresql'"),
        ('database = "postgresql+psycopg://x@db"', "governance.database", "names no database"),
        ('database = "mysql://x@db/y"', "governance.database", "not a database we can open"),
        ('database = "sqlite:///:memory:"', "governance.database", "not a database we can open"),
        ('password_file = "secrets/mqtt"', "governance.password_file", "no effect"),
        (
            'database = "postgresql+psycopg://x@db/y"\npassword_file = "no"',
            "governance.password_file",
            "cannot be read",
        ),
        ('database = "postgresql+psycopg://db/y"\npassword_file = "secrets/mqtt"', "governance.database", "no user"),
        (
            'database = "postgresql+psycopg://x@db/y"\npassword_file = "secrets/mqtt"\npassword_env = "HOME"',
            "governance.password_env",
            "given too",
        ),
    ],
)
def test_a_database_that_cannot_be_is_named(site: Path, line: str, key: str, message: str) -> None:
    found = wrong(site, MINIMAL + f"[governance]\n{line}\n")

    assert list(found) == [key]
    assert message in found[key].message
    assert found[key].remedy


def test_a_servers_password_comes_from_its_file(site: Path) -> None:
    (site / "secrets" / "db").write_text("p@ss/word\n")
    text = MINIMAL + '[governance]\ndatabase = "postgresql+psycopg://x@db:5433/y"\npassword_file = "secrets/db"\n'

    loaded = Site(read(site, text))

    assert loaded.config.database_path is None
    assert make_url(loaded.database_url).password == "p@ss/word"  # noqa: S105 it is made up
    assert make_url(loaded.database_url).host == "db"
    assert "p@ss" not in repr(loaded.config.governance)


@pytest.mark.parametrize(
    ("key", "lines"),
    [
        ("http.client_ca_file", '[http]\nclient_ca_file = "ca.pem"\n'),
        ("http.client_crl_file", '[http]\ncert_file = "ca.pem"\nkey_file = "ca.pem"\nclient_crl_file = "ca.pem"\n'),
        (
            "sink[0].key_file",
            '[[sink]]\nname = "a"\nkind = "webhook"\nurl = "https://a.example/"\ncert_file = "ca.pem"\n',
        ),
        (
            "sink[0].crl_file",
            '[[sink]]\nname = "a"\nkind = "webhook"\nurl = "http://a.example/"\ncrl_file = "ca.pem"\n',
        ),
    ],
)
def test_tls_files_without_effect_or_their_half_are_problems(tmp_path: Path, key: str, lines: str) -> None:
    (tmp_path / "ca.pem").write_text("")
    assert list(wrong(tmp_path, MINIMAL + lines)) == [key]
