"""The command line and its JSON are the contract's; streams and digests are what they claim."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.harness import BagHash, Cost, Figure, Pairs, figure
from benchmarks.streams import Stream, bag_of, rounds_at
from benchmarks.workloads import BY_ID, TABLE
from lifeline.cli.main import app


def test_list_names_every_workload(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0

    shown = capsys.readouterr().out
    assert all(workload.id in shown for workload in TABLE)


def test_an_unknown_workload_or_scale_is_wrong_usage() -> None:
    for arguments in (["run", "nonsense"], ["run", "decode", "--scale", "0"], []):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2


def test_what_cannot_be_written_is_said_before_the_work(capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--json", "--ledger"):
        with pytest.raises(SystemExit) as ended:
            main(["run", "decode", option, "/nonexistent/out.json"])
        assert ended.value.code == 2
        assert "there is no folder /nonexistent" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["run", "decode", "--scale", "much"])
    assert "'much' is no number" in capsys.readouterr().err


def test_the_programs_own_bench_is_the_same(capfd: pytest.CaptureFixture[str]) -> None:
    """Its help too."""
    assert CliRunner().invoke(app, ["bench", "run", "--help"]).exit_code == 0
    assert "--ledger FILE" in capfd.readouterr().out


def measured(tmp_path: Path, name: str, scale: str) -> dict[str, Any]:
    """The document of a run, which ends with the table of all targets."""
    path = tmp_path / "out.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "run", name, "--scale", scale, "--json", str(path)],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all targets and peers" in done.stdout
    document: dict[str, Any] = json.loads(path.read_text())
    assert all(any(figure.endswith("rss_mib") for figure in one["figures"]) for one in document["results"])
    return document


@pytest.mark.integration
def test_a_tiny_run_writes_the_contracts_json(tmp_path: Path) -> None:
    document = measured(tmp_path, "decode", "0.01")

    assert {"cpu", "cores", "memory_gib", "python"} <= set(document["machine"])
    (found,) = document["results"]
    assert (found["workload"], found["scale"]) == ("decode", 0.01)
    rate = found["figures"]["single_messages_per_s"]
    assert rate["value"] > 0
    assert rate["target"] == 4e6
    assert rate["unit"]
    assert found["peers"]["json.loads loop"]["single_cpu_us"]["value"] > 0
    assert found["figures"]["rss_mib"]["value"] > 0
    assert len(found["hash"]) == 32


@pytest.mark.integration
@pytest.mark.slow
def test_a_tiny_engine_run_loses_nothing(tmp_path: Path) -> None:
    (found,) = measured(tmp_path, "engine", "0.001")["results"]
    for load in ("qos0", "qos1", "pack100"):
        assert found["figures"][f"{load}_lost"]["value"] == 0
        assert found["figures"][f"{load}_readings"]["value"] > 0


@pytest.mark.integration
@pytest.mark.parametrize("name", ["lake", "query", "backtest"])
def test_the_lake_holds_what_was_written_and_answers_as_plain_files_do(tmp_path: Path, name: str) -> None:
    (found,) = measured(tmp_path, name, "0.001")["results"]

    assert len(found["hash"]) == 32
    assert found["peers"]
    if name == "query":
        assert found["figures"]["lost"]["value"] == 0


@pytest.mark.soak
@pytest.mark.only_soak  # minutes each
@pytest.mark.parametrize(
    ("name", "scale", "lost"),
    [
        pytest.param("recovery", "0.02", "lost", marks=pytest.mark.timeout(300)),
        pytest.param("soak", "0.01", "lost", marks=pytest.mark.timeout(300)),
        pytest.param("scale", "0.01", "x20_lost", marks=pytest.mark.timeout(300)),
    ],
)
def test_long_workloads_lose_nothing(tmp_path: Path, name: str, scale: str, lost: str) -> None:
    (found,) = measured(tmp_path, name, scale)["results"]

    assert found["figures"][lost]["value"] == 0


def test_ids_are_unique_and_every_run_has_an_end() -> None:
    assert len(BY_ID) == len(TABLE)
    assert all(0 < workload.seconds_max <= 4500 for workload in TABLE)


def test_a_stream_is_the_same_again_whatever_the_shape_or_the_clock() -> None:
    one = Stream(300, 3)
    moved = Stream(300, 3, "gateway", qos=0, shift_ms=777_000)

    assert bag_of(iter(one), 0).hexdigest() == bag_of(iter(Stream(300, 3)), 0).hexdigest()
    assert bag_of(iter(moved), 777_000).hexdigest() == bag_of(iter(Stream(300, 3, "gateway")), 0).hexdigest()


def test_no_reading_of_a_stream_comes_twice() -> None:
    rows = [row for part in Stream(300, 4) for row in zip(part.point.tolist(), part.ts.tolist(), strict=True)]

    assert len(rows) == len(set(rows)) == 1200


def test_large_fleets_send_fewer_rounds() -> None:
    assert [rounds_at(scale) for scale in (0.01, 1, 5, 20)] == [60, 60, 12, 3]


def bag(rows: NDArray[np.int64], value: float = 1.5) -> str:
    made = BagHash()
    made.add(rows, rows + 1, rows, np.full(len(rows), value))
    return made.hexdigest()


def test_the_digest_of_a_bag_sees_rows_and_not_their_order() -> None:
    rows = np.arange(1000)
    parts = BagHash()
    for piece in (rows[600:], rows[:600]):
        parts.add(piece.astype(np.int32), piece + 1, piece.astype(np.uint32), np.full(len(piece), 1.5))

    assert bag(rows) == bag(rows[::-1]) == parts.hexdigest()
    assert len({bag(rows), bag(rows[:-1]), bag(np.append(rows, 5)), bag(rows, 1.25)}) == 4


def test_ratios_are_of_pairs_and_figures_are_medians() -> None:
    pairs = Pairs([Cost(1, 1), Cost(1, 2)], [Cost(1, 10), Cost(1, 40)])

    assert pairs.ratios(100, 10, "cpu_s") == [100, 200]
    found = figure([3, 1, 2], "x", target=2.5, better="lower")
    assert (found.value, found.low, found.high, found.runs, found.met) == (2, 1, 3, 3, True)
    assert Figure(1, "x").met is None
