"""Picture, page and ledger come from a results document, whatever is missing in it."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks import ledger, page, picture, summary
from benchmarks.__main__ import main
from benchmarks.harness import Figure
from benchmarks.machine import machine

PNG = b"\x89PNG\r\n\x1a\n"


def result(workload: str, figures: dict[str, Figure], peers: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "workload": workload,
        "scale": 1.0,
        "figures": {name: figure.json() for name, figure in figures.items()},
        "peers": peers or {},
        "hash": "0" * 32,
        "notes": ["a <note>"],
    }


BROKER = result(
    "broker",
    {"cpu_us": Figure(2.0, "µs/message"), "times_paho_mqtt": Figure(25.0, "x less CPU", 20)},
    {"paho-mqtt": {"cpu_us": Figure(50.0, "µs/message").json()}, "telegraf": {"skipped": "not on PATH <here>"}},
)
SCALE = result("scale", {"x1_cpu_us": Figure(1.0, "µs/reading"), "x1_devices": Figure(219_300, "devices")})
ENGINE = result(
    "engine", {"qos1_lost": Figure(0, "readings", 0, "lower"), "rss_mib": Figure(2048, "MiB", 1024, "lower")}
)
FAILED = {"workload": "query", "scale": 1.0, "error": "ended with 1\n<boom>"}


@pytest.mark.parametrize(
    "results",
    [
        pytest.param([BROKER, SCALE, ENGINE, FAILED], id="all panels"),
        pytest.param([FAILED], id="nothing but a failure"),
        pytest.param([], id="nothing"),
    ],
)
def test_any_results_can_be_drawn(tmp_path: Path, results: list[dict[str, Any]]) -> None:
    document = tmp_path / "out.json"
    document.write_text(json.dumps({"machine": machine(), "results": results}))

    assert main(["picture", str(document), "--out", str(tmp_path / "drawn")]) == 0

    assert (tmp_path / "drawn" / "benchmarks.png").read_bytes().startswith(PNG)
    html = (tmp_path / "drawn" / "benchmarks.html").read_text()
    assert "data:image/png;base64," in html
    assert "<note>" not in html
    assert "<boom>" not in html
    assert "<script" not in html
    if BROKER in results:
        assert "telegraf: skipped, not on PATH &lt;here&gt;" in html
        assert 'class="missed">≤ 1,024' in html
        assert "<td>missed, 2 times worse" in html


def test_how_far_a_figure_is_from_its_target_counts_either_way() -> None:
    rows = picture._targets({"broker": BROKER, "engine": ENGINE})

    assert [(name, times, met) for name, times, _, met in rows] == [
        ("broker: times_paho_mqtt", 1.25, True),
        ("engine: rss_mib", 0.5, False),
    ]


def test_the_closing_table_has_every_target_and_every_peer_once() -> None:
    peer = {"paho-mqtt": {"cpu_us": Figure(50.0, "µs/message").json()}, "telegraf": {"skipped": "not here"}}
    alone = result("alone", {"rows": Figure(5, "rows")})
    of_nothing = result("lost", {"lost": Figure(3, "readings", 0, "lower")})
    broker = result("broker", {"cpu_us": Figure(2.0, "µs/message"), "times": Figure(10.0, "x", 20)}, peer)

    found = summary.lines([broker, alone, ENGINE, FAILED, of_nothing])

    assert [(line.workload, line.name, line.verdict, dict(line.peers)) for line in found] == [
        ("broker", "cpu_us", "", {"paho-mqtt": 50.0}),
        ("broker", "times", "missed, 2 times worse", {}),
        ("engine", "qos1_lost", "met", {}),
        ("engine", "rss_mib", "missed, 2 times worse", {}),
        ("lost", "lost", "missed", {}),
    ]


def test_the_closing_table_is_printed_whole() -> None:
    console = Console(width=150, file=StringIO())

    summary.show([BROKER, ENGINE], console)
    summary.show([FAILED], console)

    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "broker · cpu_us" in shown
    assert "paho-mqtt 50" in shown
    assert "missed, 2 times worse" in shown
    assert shown.count("all targets and peers") == 1


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"machine": {}}'])
def test_what_is_no_results_document_is_named(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)

    assert main(["picture", str(path)]) == 2
    assert "run --json" in " ".join(capsys.readouterr().out.split())


def test_each_run_is_a_line_of_the_ledger(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "ledger.jsonl"
    for _ in range(2):
        ledger.append(path, ledger.entry(machine(), [BROKER, FAILED], 12.34))

    first, second = map(json.loads, path.read_text().splitlines())
    assert (
        first["workloads"]
        == second["workloads"]
        == {
            "broker": {"scale": 1.0, "hash": "0" * 32, "figures": {"cpu_us": 2.0, "times_paho_mqtt": 25.0}},
            "query": {"scale": 1.0, "error": "ended with 1"},
        }
    )
    assert {"at", "commit", "machine", "seconds"} <= set(first)
    assert first["seconds"] == 12.3


def test_the_page_names_the_machine(tmp_path: Path) -> None:
    image = tmp_path / "x.png"
    image.write_bytes(PNG)
    page.write({"machine": machine() | {"cpu": "A <fast> one"}, "results": []}, image, tmp_path / "x.html")

    assert "A &lt;fast&gt; one" in (tmp_path / "x.html").read_text()
