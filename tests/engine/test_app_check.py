"""``lifeline check --live`` against what does not answer: told once, with the place to look, and exit status 1."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from lifeline.app import check
from lifeline.app.init import init_site
from lifeline.cli.main import app
from tests.authority import Authority, tls_server


@pytest.fixture(name="checked")
def _checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(check, "CONNECT_S", 1.5)
    monkeypatch.setattr(check, "ensure_warm", lambda _: None)

    def run(url: str, *options: str, **keys: str) -> Result:
        init_site(tmp_path / "site")
        path = tmp_path / "site" / "lifeline.toml"
        lines = "".join(f'\n{key} = "{value}"' for key, value in keys.items())
        text = path.read_text(encoding="utf-8").replace('url = "embedded"', f'url = "{url}"{lines}\n', 1)
        path.write_text(text, encoding="utf-8")
        return CliRunner().invoke(app, ["check", "-c", str(path), "--live", "0.1", *options])

    return run


@pytest.mark.parametrize(
    ("server", "advice"), [("expired", "renew"), ("wrong name", "subjectAltName"), ("foreign", "ca_file")]
)
def test_a_certificate_that_does_not_hold_is_told_once_with_the_remedy(
    tmp_path: Path, checked: Any, caplog: pytest.LogCaptureFixture, server: str, advice: str
) -> None:
    own = Authority(tmp_path, "own")
    made = {
        "expired": lambda: own.issue("old", days=-1),
        "wrong name": lambda: own.issue("elsewhere", address="192.0.2.1"),
        "foreign": lambda: Authority(tmp_path, "strange").issue("stranger"),
    }[server]()
    with tls_server(made, lambda connection: connection.recv(100)) as port:
        told = checked(f"mqtts://127.0.0.1:{port}", ca_file=str(own.ca_file))
    assert told.exit_code == 1
    assert told.output.count("certificate verify failed") == 1
    assert advice in told.output.split("→")[1]
    assert not caplog.records


def test_as_json_too_nobody_listening_is_a_failure(checked: Any) -> None:
    told = checked("mqtt://127.0.0.1:1", "--json")
    assert told.exit_code == 1
    report = json.loads(told.stdout)
    assert report["ok"] is False
    (broker,) = report["live"]
    assert not broker["connected"]
    assert "refused" in broker["error"]
    assert "does the broker run" in broker["remedy"]
