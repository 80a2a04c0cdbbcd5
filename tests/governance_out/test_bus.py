"""MQTT out and commands to devices, over a real Mosquitto, heard by the real ``mosquitto_sub``."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
import pytest
import yaml

from lifeline.core.errors import LifelineError
from lifeline.governance.actor import Actor
from lifeline.governance.errors import FieldError, ForbiddenError, IllegalActionError
from lifeline.governance.outgoing.bus import Bus, BusSettings
from lifeline.governance.outgoing.downlink import KIND, ORDERS, SINK, Downlink
from lifeline.governance.outgoing.envelope import EVENT_FIELDS
from lifeline.governance.outgoing.topics import COMMANDS, EVENTS, PREFIX, REPLIES, EventsOnBus, level, parse_reply
from lifeline.governance.outgoing.worker import DeliveryError
from tests.conftest import Mosquitto, need
from tests.governance.conftest import T0, Hands, raised
from tests.governance_out.conftest import SOURCE, sink

ASYNCAPI = Path(__file__).parents[2] / "docs" / "asyncapi.yaml"
LI = Actor("li", "dispatcher", areas=("410105",))
PLACE = {"utility": "gas", "area_code": "410105"}


class Ears:
    """``mosquitto_sub`` on everything."""

    def __init__(self, broker: Mosquitto) -> None:
        self.heard: list[tuple[str, bool, dict[str, Any]]] = []
        command = [need("mosquitto_sub"), "-p", str(broker.port), "-V", "5", "-q", "1", "-t", "#", "-F", "%t\t%r\t%p"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            topic, retained, body = line.rstrip("\n").split("\t", 2)
            self.heard.append((topic, retained == "1", orjson.loads(body)))

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def ears(mosquitto: Mosquitto, wait_for: Callable[..., None]) -> Iterator[Ears]:
    made = Ears(mosquitto)
    wait_for(lambda: probe(mosquitto, made), 20, "mosquitto_sub is subscribed")
    made.heard.clear()
    yield made
    made.close()


def probe(broker: Mosquitto, ears: Ears) -> bool:
    broker.publish("probe", b"{}")
    time.sleep(0.05)
    return bool(ears.heard)


def settings(broker: Mosquitto, name: str = "test", **more: Any) -> BusSettings:
    return BusSettings("127.0.0.1", broker.port, f"lifeline-out-{name}", timeout_s=3.0, **more)


@pytest.mark.parametrize("protocol", [5, 4])
def test_events_go_out_on_a_topic_for_each_area(
    hands: Hands, mosquitto: Mosquitto, ears: Ears, wait_for: Callable[..., None], protocol: int
) -> None:
    worker = sink(hands, EventsOnBus(Bus(settings(mosquitto, protocol=protocol)), SOURCE))
    opened = hands.apply(raised("ch4.high", 0, T0), raised("ch4.high", 1, T0))
    worker.step()
    worker.stop()

    wait_for(lambda: len(ears.heard) == 2, 20, "two messages")
    topics = {topic for topic, _, _ in ears.heard}
    assert topics == {
        f"{PREFIX}/events/{area}/{key}" for area, key in zip(("410105", "410102001"), opened, strict=True)
    }
    assert all(body["specversion"] == "1.0" for _, _, body in ears.heard)


def test_a_broker_that_is_away_gets_everything_once_it_is_back(
    hands: Hands, mosquitto: Mosquitto, wait_for: Callable[..., None]
) -> None:
    worker = sink(hands, EventsOnBus(Bus(settings(mosquitto)), SOURCE, retain=True))
    hands.apply(raised("ch4.high", 0, T0))
    worker.step()
    mosquitto.stop()
    hands.apply(raised("ch4.high", 1, T0), position=2)
    worker.step()
    assert stand(hands)["attempts"] == 1
    mosquitto.start()
    hands.now += 3_600_000
    wait_for(lambda: worker.step() or stand(hands)["waiting"] == 0 or later(hands), 30, "everything is delivered")
    worker.stop()

    after = Ears(mosquitto)
    wait_for(lambda: after.heard, 20, "what the broker keeps is heard by who comes later")
    after.close()
    assert after.heard[0][1] is True


def later(hands: Hands) -> bool:
    hands.now += 3_600_000
    return False


def stand(hands: Hands) -> dict[str, Any]:
    return hands.desk.list_sinks()[0]


def test_a_broker_that_speaks_another_version_is_a_sentence_and_leaves_nothing_running() -> None:
    """CONNACK 0x84, as brokers of MQTT 3.1.1 alone answer."""
    over = threading.Event()

    def refuse() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(bytes.fromhex("2003008400"))
            over.wait(10)  # and do not hang up

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=refuse)
        thread.start()
        bus = Bus(BusSettings("127.0.0.1", listener.getsockname()[1], "c", timeout_s=3.0))
        with pytest.raises(DeliveryError, match="write protocol = 4"):
            bus.connect()
        # what the client library has running for a connection that is just ending
        asyncio.run_coroutine_threadsafe(asyncio.sleep(60), bus._loop)
        bus.close()
        over.set()
        thread.join(10)
    assert asyncio.all_tasks(bus._loop) == set()


def test_no_name_reaches_further_than_its_level() -> None:
    assert [level(text) for text in ("a/b", "+", "#", "G1", "", "x\0")] == ["a_b", "_", "_", "G1", "_", "x_"]


# --- commands ------------------------------------------------------------------------------------------------------


@pytest.fixture
def downlink(hands: Hands, mosquitto: Mosquitto) -> Iterator[Any]:
    made = sink(
        hands, Downlink(settings(mosquitto, SINK), hands.queue._database, lambda: hands.now), SINK, kinds=(KIND,)
    )
    yield made
    made.stop()


def test_a_command_goes_to_the_device_and_its_reply_comes_back(
    hands: Hands, mosquitto: Mosquitto, ears: Ears, downlink: Any, wait_for: Callable[..., None]
) -> None:
    row = hands.desk.command(LI, "G00001", "sample-faster", place=PLACE, interval_s=10, reason="look closer")
    downlink.step()
    wait_for(lambda: ears.heard, 20, "the command")
    topic, _, body = ears.heard[0]

    assert topic == f"{PREFIX}/commands/G00001"
    assert (body["action"], body["params"], body["id"]) == (
        "sample-faster",
        {"interval_s": 10, "for_s": 3600},
        row["command_id"],
    )
    assert hands.desk.list_commands()[0][0]["status"] == "sent"
    stranger = f"{PREFIX}/replies/G00002/{row['command_id']}"
    for topic in (stranger, body["reply_to"], body["reply_to"]):
        mosquitto.publish(topic, orjson.dumps({"id": row["command_id"], "status": "done", "detail": topic}))
    wait_for(lambda: hands.desk.list_commands()[0][0]["status"] == "done", 20, "the reply")
    assert hands.desk.list_commands()[0][0]["reply"]["detail"] == body["reply_to"]
    (entry,) = hands.desk.list_audit(object="device/G00001")[0]
    assert (entry["actor"], entry["action"], entry["reason"], entry["result"]) == (
        "li",
        "sample-faster",
        "look closer",
        "done",
    )


def test_a_command_that_nobody_can_send_in_time_expires(hands: Hands, ears: Ears, downlink: Any) -> None:
    hands.desk.command(LI, "G00001", "inspect-valve", place=PLACE)
    hands.now += 601_000
    downlink.step()

    assert hands.desk.list_commands()[0][0]["status"] == "expired"
    assert ears.heard == []


@pytest.mark.parametrize(
    ("actor", "action", "numbers", "error"),
    [
        (Actor("a", "viewer"), "sample-faster", {}, ForbiddenError),
        (Actor("a", "operator"), "inspect-valve", {}, ForbiddenError),
        (Actor("a", "admin", areas=("410102",)), "sample-faster", {}, ForbiddenError),
        (Actor("a", "admin", utilities=("water",)), "sample-faster", {}, ForbiddenError),
        (Actor("a", "admin"), "close-valve", {}, IllegalActionError),
        (Actor("a", "admin"), "sample-faster", {"interval_s": 0}, FieldError),
        (Actor("a", "admin"), "sample-faster", {"force": 1}, FieldError),
    ],
)
def test_what_may_not_be_ordered_is_refused_audited_and_not_sent(
    hands: Hands, downlink: Any, actor: Actor, action: str, numbers: dict[str, Any], error: type[LifelineError]
) -> None:
    with pytest.raises(error):
        hands.desk.command(actor, "G00001", action, place=PLACE, **numbers)

    assert hands.desk.list_commands()[0] == []
    assert stand(hands)["waiting"] == 0
    assert [one["result"] for one in hands.desk.list_audit()[0]] == ["refused"]


def test_without_a_way_to_devices_a_command_is_refused(hands: Hands) -> None:
    with pytest.raises(IllegalActionError, match="no way to devices"):
        hands.desk.command(LI, "G00001", "sample-faster", place=PLACE)


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b"{}", b'{"id":1,"status":"done"}', b'{"id":"x","status":"boom"}', b"\xff"]
)
def test_a_reply_that_is_none_is_passed_over(payload: bytes) -> None:
    assert parse_reply(payload) is None


# --- the description -------------------------------------------------------------------------------------------------


def described() -> Any:
    return yaml.safe_load(ASYNCAPI.read_text(encoding="utf-8"))


def test_the_asyncapi_file_names_our_topics_actions_and_fields() -> None:
    document = described()

    assert document["asyncapi"].startswith("3.")
    addresses = {name: channel["address"] for name, channel in document["channels"].items()}
    assert addresses.pop("rebirths").startswith("spBv1.0/")  # its test is beside Sparkplug's
    assert addresses == {"events": EVENTS, "commands": COMMANDS, "replies": REPLIES}
    schemas = document["components"]["schemas"]
    assert set(schemas["Event"]["properties"]) == set(EVENT_FIELDS)
    assert schemas["Command"]["properties"]["action"]["enum"] == list(ORDERS)
    assert document["channels"]["events"]["parameters"].keys() == {"prefix", "area", "event_id"}
    qos = {name: operation["bindings"]["mqtt"]["qos"] for name, operation in document["operations"].items()}
    assert qos == {"tellEvents": 1, "sendCommand": 1, "hearReply": 1, "askRebirth": 0}


def test_what_we_send_is_as_the_asyncapi_file_says(
    hands: Hands, mosquitto: Mosquitto, ears: Ears, downlink: Any, wait_for: Callable[..., None]
) -> None:
    events = sink(hands, EventsOnBus(Bus(settings(mosquitto)), SOURCE), "events")
    (event_id,) = hands.apply(raised("ch4.high", 0, T0))
    hands.desk.act(event_id, "file", LI)
    hands.desk.command(LI, "G00001", "sample-faster", place=PLACE)
    events.step()
    downlink.step()
    events.stop()
    wait_for(lambda: len(ears.heard) == 3, 20, "two events and a command")

    schemas = described()["components"]["schemas"]
    for topic, _, body in ears.heard:
        name = "CloudEvent" if "/events/" in topic else "Command"
        schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
        jsonschema_rs.validate(schema, body)
