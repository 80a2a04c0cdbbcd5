"""Sparkplug B and CJ/T 188 through a real broker and the real engine, published by ``mosquitto_pub``."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import need
from tests.ingest_payload.sparkplug_proto import Payload, payload

pytestmark = pytest.mark.integration

FIELD = """
[[broker]]
name = "field"
url = "{url}"
client_id = "lifeline-field"
subscribe = [
  {{ filter = "spBv1.0/#", qos = 1, payload = "sparkplug" }},
  {{ filter = "meters/#", qos = 1, payload = "cjt188" }},
]
"""
REGISTRY = """\
device_id,quantity,unit,utility,kind,span_low,span_high,interval_s
Pump-1,pressure,kPa,water,pump,0,2500,10
78331505104145,volume,m3,water,household-meter,0,99999,86400
"""
METER = "FE FE 68 10 45 41 10 05 15 33 78 81 16 1F 90 AA 00 59 59 00 2C FF FF FF FF 2C FF FF FF FF FF FF FF 00 00 C2 16"


def test_births_data_a_gap_and_a_meter_reach_the_lake_and_a_rebirth_is_asked_for(
    mosquitto: Any, make_site: Any, tmp_path: Path, wait_for: Any
) -> None:
    registry = tmp_path / "field.csv"
    registry.write_text(REGISTRY)
    site = make_site(mosquitto.url, registry, FIELD.format(url=mosquitto.url))
    site.start(wait_for)
    hears = [need("mosquitto_sub"), "-h", "127.0.0.1", "-p", str(mosquitto.port), "-t", "spBv1.0/City/NCMD/#"]
    asked = subprocess.Popen([*hears, "-C", "1", "-N", "-W", "30"], stdout=subprocess.PIPE)
    now = time.time_ns() // 1_000_000
    born = {"name": "Inlet/pressure", "alias": 1, "datatype": 9, "float_value": 0.5, "properties": {"engUnit": "MPa"}}
    node = {"name": "bdSeq", "datatype": 8, "long_value": 0}
    mosquitto.publish("spBv1.0/City/NBIRTH/Edge-1", payload(0, now, node))
    mosquitto.publish("spBv1.0/City/DBIRTH/Edge-1/Pump-1", payload(1, now, born))
    data = "spBv1.0/City/DDATA/Edge-1/Pump-1"
    mosquitto.publish(data, payload(2, now + 1, {"alias": 1, "float_value": 0.75}))
    mosquitto.publish(data, payload(5, now + 2, {"alias": 1, "float_value": 1.0}, {"alias": 9, "float_value": 1.0}))
    mosquitto.publish("meters/gw", METER)
    mosquitto.publish("meters/gw", METER.replace("C2 16", "C3 16"))

    wait_for(lambda: site.status()["rejected"] == {"unknown_quantity": 1, "malformed_payload": 1}, 15, "two rejects")
    wait_for(lambda: site.one("SELECT count(*) FROM readings") == 4, 15, f"four readings: {site.output()}")
    assert site.sql("SELECT device_id, quantity, value, quality FROM readings ORDER BY device_id, ts") == [
        ("78331505104145", "volume", 5959.0, 0),
        ("Pump-1", "pressure", 500.0, 0),
        ("Pump-1", "pressure", 750.0, 0),
        ("Pump-1", "pressure", 1000.0, 1),
    ]
    told, _ = asked.communicate(timeout=30)
    assert Payload.FromString(told).metrics[0].name == "Node Control/Rebirth"
    assert any("City/Edge-1" in (broker["warning"] or "") for broker in site.status()["brokers"])
    site.stop()
