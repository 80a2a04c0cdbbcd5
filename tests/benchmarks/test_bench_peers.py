"""Programs beside ours that are driven by files: each message is counted once, whatever they write between them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness import rss_mib_max
from benchmarks.peers import COUNTED, PEERS

SINK = """\
#!{python}
# writes as eKuiper's file sink does: buffered, line ends between messages only, a new file after each rollingCount
import json, os, pathlib, signal
base = pathlib.Path(os.environ["KuiperBaseKey"])
rule = json.loads(json.loads((base / "data/init.json").read_text())["rules"]["all"])
sink = rule["actions"][0]["file"]
print("Serving kuiper", flush=True)
left = {messages}
while left:
    count = min(left, sink["rollingCount"])
    with open(sink["path"], "w") as file:
        file.write("\\n".join([json.dumps({{"id": "G", "ts": 1}})] * count))
    left -= count
if {stays}:
    signal.pause()
"""


def run(tmp_path: Path, messages: int, count: int, *, stays: bool) -> subprocess.CompletedProcess[str]:
    program = tmp_path / "bin" / "kuiperd"
    program.parent.mkdir()
    program.write_text(SINK.format(python=sys.executable, messages=messages, stays=stays))
    program.chmod(0o755)
    site = tmp_path / "site"
    site.mkdir()
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.peers.ekuiper", "1883", str(count), str(site)],
        env=os.environ | {"PATH": f"{program.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def heard(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_each_message_is_counted_once(tmp_path: Path) -> None:
    said = heard(run(tmp_path, (1 + COUNTED) * 300, 300, stays=True))

    assert said[:2] == [{"ready": True}, {"warm": True}]
    assert said[2]["messages"] == COUNTED * 300
    assert said[2]["rss_mib"] > 0


def test_who_ends_early_has_no_figures(tmp_path: Path) -> None:
    done = run(tmp_path, 301, 300, stays=False)

    assert done.returncode != 0
    assert "ended after 301 of 1,500 messages" in done.stderr
    assert heard(done) == [{"ready": True}, {"warm": True}]


def test_of_who_has_ended_no_memory_is_told() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)  # gone, but its entry in /proc is still there
        with pytest.raises(RuntimeError, match=f"process {ended.pid} has ended"):
            rss_mib_max(ended.pid)


@pytest.mark.parametrize("module", ["telegraf", "redpanda", "ekuiper", "mosquitto"])
def test_who_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], module: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [module, "1883", "10", str(tmp_path)])

    with pytest.raises(SystemExit) as ended:
        import_module(f"benchmarks.peers.{module}").main()

    assert ended.value.code == 0
    assert "is not on PATH" in json.loads(capsys.readouterr().out)["skipped"]


def test_every_peer_that_is_asked_for_has_a_module() -> None:
    asked = {"paho-mqtt", "aiomqtt", "gmqtt", "pymosquitto", "mosquitto_sub", "telegraf", "ekuiper", "redpanda-connect"}

    assert {peer.name for peer in PEERS} >= asked
    assert all(find_spec(f"benchmarks.peers.{peer.module}") for peer in PEERS)
