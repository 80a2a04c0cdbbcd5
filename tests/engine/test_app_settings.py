"""``lifeline settings``: shown as it is set, in force at once, versions, refusals with their place."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from lifeline.app.settings import kept_where
from lifeline.app.site import load_site
from lifeline.cli.main import app
from lifeline.governance.desk import GovernanceDesk
from lifeline.governance.places import PlaceLookup
from lifeline.governance.queue import GovernanceQueue
from tests.engine.conftest import T0

if TYPE_CHECKING:
    from pathlib import Path

POLICY = '[[limit]]\nstage = "triage"\nlevel = "orange"\nwithin = "7min"\n'


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A site on which an engine has run."""
    assert CliRunner().invoke(app, ["init", str(tmp_path / "site")]).exit_code == 0
    config = tmp_path / "site" / "lifeline.toml"
    nowhere: Any = None
    GovernanceQueue(load_site(config).database_url, {}, PlaceLookup(nowhere), lambda: T0, policy_file="").close()
    return config


def run(config: Path, *words: str, status: int = 0) -> str:
    """What it says: stdout and stderr."""
    result = CliRunner().invoke(app, ["settings", *words, "-c", str(config)])
    assert result.exit_code == status, result.output
    return result.output


def test_a_policy_is_set_shown_and_on_record(config: Path, tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(POLICY)
    assert "version 1 is in force" in run(config, "set", "policy", str(file), "--reason", "汛期", "--actor", "li")
    assert POLICY in run(config, "show", "policy")
    assert "is at version 1, not 0" in run(
        config, "set", "policy", str(file), "--reason", "again", "--seen", "0", status=1
    )
    (version,) = json.loads(run(config, "versions", "policy", "--json"))["versions"]
    assert (version["version"], version["actor"], version["role"], version["reason"]) == (1, "li", "admin", "汛期")
    assert version["source"] == "shell"
    with closing(GovernanceDesk(load_site(config).database_url, lambda: T0)) as desk:
        done, refused = ({one["result"]: one for one in desk.list_audit()[0]}[name] for name in ("done", "refused"))
    assert (done["object"], done["actor"], done["fields"]["version"]) == ("settings/policy", "li", 1)
    assert refused["object"] == "settings/policy"


def test_a_start_that_would_replace_what_was_set_at_the_shell_is_warned_of(config: Path) -> None:
    file = config.parent / "policy.toml"
    file.write_text(POLICY)
    run(config, "set", "policy", str(file), "--reason", "汛期", "--actor", "li")
    assert kept_where(load_site(config))["warnings"] == []
    text = config.read_text()
    config.write_text(text.replace("[governance]\n", '[governance]\npolicy = "policy.toml"\n', 1))

    (warning,) = kept_where(load_site(config))["warnings"]

    assert "version 1 by li" in warning
    assert "made at the shell" in warning


def test_units_go_out_and_in_as_csv(config: Path, tmp_path: Path) -> None:
    file = tmp_path / "units.csv"
    file.write_text("unit,capacity,contact\n燃气一队,5,\n供水二队,3,0371-1\n")
    run(config, "set", "units", str(file), "--reason", "two")
    result = CliRunner().invoke(app, ["settings", "show", "units", "-c", str(config)])
    file.write_text(result.stdout)
    run(config, "set", "units", str(file), "--reason", "the same again")
    first, second = (json.loads(run(config, "show", "units", "--version", n, "--json"))["rows"] for n in "12")
    assert first == second
    assert json.loads(run(config, "show", "units", "--json"))["source"] == "shell"
    assert {row["unit"]: row["capacity"] for row in first} == {"燃气一队": 5, "供水二队": 3}


@pytest.mark.parametrize(
    ("name", "content", "told", "status"),
    [
        ("policy", '[[limit]]\nstage = "nope"\nwithin = "7min"\n', "limit.0.stage", 2),
        ("policy", '[emergency.overrides."no.such.rule"]\nlimit = 1.0\n', "no.such.rule", 2),
        ("units", "unit,capacity\n一队,many\n", "cannot be read", 2),
        ("units", "unit,capacity\n,5\n", "unit", 2),
        ("duties", "utility,unit\nsteam,一队\n", "steam", 2),
    ],
)
def test_what_cannot_be_is_said_with_its_place(
    config: Path, tmp_path: Path, name: str, content: str, told: str, status: int
) -> None:
    file = tmp_path / "given"
    file.write_text(content)
    assert told in run(config, "set", name, str(file), "--reason", "x", status=status)
    assert json.loads(run(config, "show", name, "--json"))["version"] == 0
    assert "cannot be read" in run(config, "set", name, str(tmp_path / "none"), "--reason", "x", status=2)
