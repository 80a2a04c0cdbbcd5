"""Births of Sparkplug edge nodes beyond the process: one file an edge node and broker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ingest.payload.judge import Bounds
from lifeline.app.births import BirthStore, for_looking, for_replay, sparkplug
from lifeline.config import BrokerConfig
from lifeline.core.errors import UnavailableError
from lifeline.core.metrics import Metrics
from lifeline.core.schema import Quality
from tests.ingest_payload.sparkplug_proto import payload

NOW = 1_795_000_000_000
BOUNDS = Bounds(NOW, 0, 2 * NOW)
BIRTH = payload(0, NOW, {"name": "level", "alias": 4, "datatype": 10, "double_value": 1.0})
DATA = payload(9, NOW, {"alias": 4, "double_value": 2.0})


def broker(name: str, payload_name: str = "sparkplug", **more: Any) -> BrokerConfig:
    table = {"name": name, "url": "mqtt://h", "subscribe": ({"filter": "spBv1.0/#", "payload": payload_name},)}
    return BrokerConfig.model_validate(table | more)


def send(family: Any, kind: str, data: bytes) -> list[Any]:
    found: list[Any] = family.parse(f"spBv1.0/城市/{kind}/Edge-1", data, BOUNDS)
    family.settle()
    return found


def count(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, {"broker": "a"} | labels)


def test_another_process_knows_the_names_and_asks_for_a_rebirth(tmp_path: Path) -> None:
    metrics = Metrics()
    send(sparkplug(broker("a"), tmp_path, metrics), "NBIRTH", BIRTH)
    again = sparkplug(broker("a"), tmp_path, None)
    (found,) = send(again, "NDATA", DATA)

    assert (found.values[0].quantity, found.quality) == ("level", Quality.UNCERTAIN)
    assert again is not None
    assert [topic for topic, _ in again.outgoing(NOW)] == ["spBv1.0/城市/NCMD/Edge-1"]
    assert count(metrics, "lifeline_sparkplug_events_total", event="births") == 1
    assert count(metrics, "lifeline_sparkplug_edge_nodes", state="certain") == 1


def test_rebirth_false_asks_nothing_and_a_broker_without_sparkplug_remembers_nothing(tmp_path: Path) -> None:
    silent = sparkplug(broker("a", rebirth=False), tmp_path, None)
    send(silent, "NDATA", DATA)

    assert silent is not None
    assert silent.outgoing(NOW) == []
    assert sparkplug(broker("a", "senml"), tmp_path, None) is None


def test_replay_reads_the_births_of_every_broker_and_looking_writes_none(tmp_path: Path) -> None:
    send(sparkplug(broker("b"), tmp_path, None), "NBIRTH", BIRTH)
    before = sorted(tmp_path.rglob("*"))
    replay = for_replay([broker("a"), broker("b")], tmp_path)

    assert send(replay, "NDATA", DATA)[0].values[0].quantity == "level"
    assert len(send(for_looking(broker("a"), tmp_path), "NBIRTH", BIRTH)) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_file_in_the_way_is_no_birth_and_a_disk_that_refuses_is_said(tmp_path: Path) -> None:
    store = BirthStore([tmp_path / "a"], writes=True)
    store.save("g/n", b"x")
    assert store.load("g/n") == b"x"
    blocked = tmp_path / "blocked"
    blocked.write_text("")

    assert BirthStore([blocked]).load("g/n") is None
    with pytest.raises(UnavailableError):
        BirthStore([blocked], writes=True).save("g/n", b"x")
