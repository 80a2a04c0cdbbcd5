"""Somebody types ``mosquitto_pub``: good messages show within a second, bad ones are kept with their reason."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.integration


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def obj(device: str = "G1", **fields: Any) -> str:
    return json.dumps({"id": device, "ts": now_ms(), **fields})


BAD = {
    "malformed_payload": ('{"id":"G1","ts":', "lifeline/gas/G1"),
    "unknown_device": ('{"id":"NOBODY","ts":TS,"ch4":1}', "lifeline/gas/NOBODY"),
    "unknown_quantity": ('{"id":"G1","ts":TS,"radon":1}', "lifeline/gas/G1"),
    "not_a_number": ('{"id":"G1","ts":TS,"ch4":"12,5"}', "lifeline/gas/G1"),
    "out_of_span": ('{"id":"G1","ts":TS,"ch4":250}', "lifeline/gas/G1"),
    "future_timestamp": ('{"id":"G1","ts":4102444800000,"ch4":1}', "lifeline/gas/G1"),
    "too_old": ('{"id":"G1","ts":0,"ch4":1}', "lifeline/gas/G1"),
}


def test_good_messages_show_within_a_second(
    mosquitto: Any, make_site: Any, small_registry: Path, run_cli: Any, wait_for: Any
) -> None:
    site = make_site(mosquitto.url, small_registry)
    site.start(wait_for)
    mosquitto.publish("lifeline/gas/G1", obj(ch4=1.25, temp=18.4, seq=1))
    sent = time.monotonic()

    wait_for(lambda: site.status()["received"] == 2, 1.0, "two readings in the status")
    wait_for(
        lambda: (
            site.sql("SELECT quantity, value, unit, utility, late FROM readings ORDER BY quantity")
            == [("ch4", 1.25, "%LEL", "gas", False), ("temp", 18.4, "degC", "gas", False)]
        ),
        max(0.1, 1.5 - (time.monotonic() - sent)),
        "both in an analyst's DuckDB",
    )

    answer = run_cli(
        "sql",
        "SELECT device_id, quantity, value FROM readings ORDER BY quantity",
        "-c",
        str(site.config),
        "--format",
        "json",
    )
    assert json.loads(answer.stdout) == [
        {"device_id": "G1", "quantity": "ch4", "value": 1.25},
        {"device_id": "G1", "quantity": "temp", "value": 18.4},
    ]
    status = json.loads(run_cli("status", "-c", str(site.config), "--json").stdout)
    assert status["ready"], status["reason"]
    assert status["received"] == 2
    site.stop()


def test_every_kind_of_bad_message_is_kept_with_its_reason(
    mosquitto: Any, make_site: Any, small_registry: Path, run_cli: Any, wait_for: Any
) -> None:
    site = make_site(mosquitto.url, small_registry)
    site.start(wait_for)
    sent = {}
    for reason, (payload, topic) in BAD.items():
        sent[reason] = payload.replace("TS", str(now_ms()))
        mosquitto.publish(topic, sent[reason])
    good = obj(ch4=2.0, seq=5)
    mosquitto.publish("lifeline/gas/G1", good)
    mosquitto.publish("lifeline/gas/G1", good)  # a repeat

    expected = {**dict.fromkeys(BAD, 1), "duplicate": 1}
    wait_for(lambda: site.status()["rejected"] == expected, 5, f"one reject of each kind: {site.status()}")

    def listed() -> dict[str, tuple[str, str]]:
        page = json.loads(run_cli("rejects", "list", "-c", str(site.config), "--json").stdout)
        return {row["reason"]: (row["topic"], row["payload"]) for row in page["rejects"]}

    wait_for(lambda: len(listed()) == len(expected), 5, "rejects in the list")
    kept = listed()
    for reason, payload in sent.items():
        assert kept[reason] == (BAD[reason][1], payload)
    assert kept["duplicate"] == ("lifeline/gas/G1", good)
    assert site.one("SELECT count(*) FROM readings") == 1
    site.stop()


def test_good_neighbours_in_a_pack_are_kept(
    mosquitto: Any, make_site: Any, small_registry: Path, wait_for: Any
) -> None:
    site = make_site(mosquitto.url, small_registry)
    site.start(wait_for)
    pack = [
        {"id": "G1", "ts": now_ms(), "ch4": 1.0},
        {"id": "NOBODY", "ts": now_ms(), "ch4": 1.0},
        {"id": "G2", "ts": now_ms(), "ch4": 200.0},
        {"id": "W1", "ts": now_ms(), "pressure": 0.31},
        {"id": "G2", "ts": now_ms(), "ch4": None},
    ]
    mosquitto.publish("lifeline/gas/gw/GW-1", json.dumps(pack))

    wait_for(lambda: site.status()["received"] == 3, 15, f"three good readings: {site.status()} {site.output()}")
    assert site.status()["rejected"] == {"unknown_device": 1, "out_of_span": 1}
    wait_for(lambda: site.one("SELECT count(*) FROM readings") == 3, 5, "in the lake")
    assert site.sql("SELECT device_id, value FROM readings ORDER BY device_id") == [
        ("G1", 1.0),
        ("G2", None),
        ("W1", 0.31),
    ]
    site.stop()


def test_a_methane_alarm_becomes_an_event(
    mosquitto: Any, make_site: Any, small_registry: Path, run_cli: Any, wait_for: Any
) -> None:
    site = make_site(mosquitto.url, small_registry)
    site.start(wait_for)
    for i, value in enumerate([1.0, 1.2, 30.0, 31.0]):
        mosquitto.publish("lifeline/gas/G1", obj(ch4=value, seq=i))

    def events() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(run_cli("events", "list", "-c", str(site.config), "--json").stdout)[
            "events"
        ]
        return found

    wait_for(lambda: any(event["utility"] == "gas" for event in events()), 30, "an event in the queue")
    event = next(event for event in events() if event["utility"] == "gas")
    assert event["level"] in {"red", "orange"}
    assert event["status"] == "new"
    run_cli(
        "events", "act", event["event_id"], "file", "-c", str(site.config), "--note", "seen", "--role", "dispatcher"
    )
    shown = json.loads(run_cli("events", "show", event["event_id"][:10], "-c", str(site.config), "--json").stdout)
    assert shown["status"] == "filed"
    assert [row["action"] for row in shown["log"]][-1] == "file"
    assert shown["alarms"][0]["device_id"] == "G1"
    wait_for(lambda: site.one("SELECT status FROM events WHERE utility = 'gas'") == "filed", 5, "the catalog follows")
    site.stop()


@pytest.mark.parametrize("running", [True, False], ids=["engine runs", "engine stopped"])
def test_rejects_are_replayed_once_the_registry_was_fixed(
    mosquitto: Any, make_site: Any, small_registry: Path, run_cli: Any, wait_for: Any, *, running: bool
) -> None:
    site = make_site(mosquitto.url, small_registry)
    site.start(wait_for)
    mosquitto.publish("lifeline/gas/G7", obj("G7", ch4=7.5, seq=1))
    mosquitto.publish("lifeline/gas/G8", obj("G8", ch4=8.5, seq=1))
    mosquitto.publish("lifeline/gas/G1", '{"id":"G1","ts":')
    wait_for(lambda: site.one("SELECT count(*) FROM rejects") == 3, 15, "three rejects in the catalog")

    def replay() -> dict[str, int]:
        report: dict[str, int] = json.loads(run_cli("rejects", "replay", "-c", str(site.config), "--json").stdout)
        return report

    assert replay() == {"tried": 3, "accepted": 0, "rejected": 3, "incomplete": 0}

    site.stop()
    with small_registry.open("a") as file:
        file.write("G7,ch4,%LEL,gas,valve-well,0,100,10,WELL-7,R-1,GW-1\n")
    if running:
        site.start(wait_for)

    assert replay() == {"tried": 3, "accepted": 1, "rejected": 2, "incomplete": 0}
    assert replay() == {"tried": 2, "accepted": 0, "rejected": 2, "incomplete": 0}

    if not running:
        site.start(wait_for)
    wait_for(lambda: site.sql("SELECT device_id, value FROM readings") == [("G7", 7.5)], 15, "the reading, once")
    assert site.one("SELECT count(*) FROM rejects") == 3
    site.stop()


def test_check_live_shows_rows_and_rejects_and_takes_nothing(
    mosquitto: Any, make_site: Any, small_registry: Path, run_cli: Any
) -> None:
    site = make_site(mosquitto.url, small_registry)
    done = threading.Event()

    def publish() -> None:
        while not done.wait(0.2):
            mosquitto.publish("lifeline/gas/G1", obj(ch4=1.25))
            mosquitto.publish("lifeline/gas/X", obj("NOBODY", ch4=1.0))

    sender = threading.Thread(target=publish)
    sender.start()
    try:
        answer = run_cli("check", "-c", str(site.config), "--live", "2", "--json")
    finally:
        done.set()
        sender.join()
    (live,) = json.loads(answer.stdout)["live"]

    assert live["connected"]
    assert {(row["device_id"], row["quantity"], row["value"]) for row in live["readings"]} == {("G1", "ch4", 1.25)}
    assert {row["reason"] for row in live["rejects"]} == {"unknown_device"}
    assert not site.data.exists()
