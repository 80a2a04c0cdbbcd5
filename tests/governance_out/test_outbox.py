"""At least once, in order, with the same id; a sink that is down delays only itself."""

from __future__ import annotations

import http.server
import random
import time
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from lifeline.governance.actor import Actor
from lifeline.governance.outgoing import outbox
from lifeline.governance.outgoing.envelope import EVENT_FIELDS
from lifeline.governance.outgoing.outbox import Message
from lifeline.governance.outgoing.signing import headers, parse_secret
from lifeline.governance.outgoing.worker import DeliveryError, SinkRules, Worker
from tests.governance.conftest import T0, Hands, cleared, raised
from tests.governance_out.conftest import SECRET, SOURCE, Receiver, sink, web

LI = Actor("li", "dispatcher")
DAY_MS = 86_400_000


def drain(worker: Worker) -> None:
    while worker.step():
        pass


def bodies(receiver: Receiver) -> list[dict[str, Any]]:
    return [orjson.loads(request.body) for request in receiver.requests]


def stand(hands: Hands, name: str = "hook") -> dict[str, Any]:
    with hands.queue._database.read() as connection:
        return next(row for row in outbox.list_sinks(connection) if row["name"] == name)


class Broken:
    """A transport that is down."""

    def __init__(self) -> None:
        self.asked = 0

    def send(self, message: Message) -> None:
        self.asked += 1
        raise DeliveryError("down")

    def idle(self) -> None:
        pass

    def close(self) -> None:
        pass


def test_what_happens_to_an_event_arrives_as_cloud_events_in_order(hands: Hands, receiver: Receiver) -> None:
    worker = sink(hands, web(hands, receiver))
    alarm = raised("ch4.high", 0, T0)
    (event_id,) = hands.apply(alarm)
    hands.desk.act(event_id, "file", LI)
    hands.apply(cleared(alarm, T0 + 5000), position=2)
    drain(worker)

    events = bodies(receiver)
    assert [(one["type"], one["data"]["action"]) for one in events] == [
        ("lifeline.event.opened", "open"),
        ("lifeline.event.changed", "file"),
        ("lifeline.event.changed", "return-to-normal"),
    ]
    first = events[0]
    assert {name: first[name] for name in ("specversion", "source", "subject", "datacontenttype")} == {
        "specversion": "1.0",
        "source": SOURCE,
        "subject": event_id,
        "datacontenttype": "application/json",
    }
    assert first["time"].endswith("Z")
    assert set(first["data"]["event"]) == set(EVENT_FIELDS)
    assert len({one["id"] for one in events}) == 3
    assert receiver.requests[0].headers["content-type"] == "application/cloudevents+json"
    assert receiver.requests[0].path == "/hook?x=1"
    assert "li" not in orjson.dumps(events).decode().split('"')  # no person's name leaves the house


def test_an_independent_verifier_accepts_every_signature(
    hands: Hands, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    hands.now = int(time.time() * 1000)  # the verifier looks at its own clock
    new = bytes(range(40, 72))
    worker = sink(hands, web(hands, receiver, keys=[new, parse_secret(SECRET)]))
    (event_id,) = hands.apply(raised("ch4.high", 0, T0))
    hands.desk.act(event_id, "file", LI, "气味 / smell")
    drain(worker)

    for request in receiver.requests:
        for secret in (SECRET, new):
            assert Webhook(secret).verify(request.body, request.headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(SECRET).verify(request.body + b" ", request.headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(bytes(32)).verify(request.body, request.headers)
    assert len(receiver.requests) == 2


@given(st.binary(min_size=24, max_size=64), st.binary(max_size=200), st.integers(1, 2**40))
def test_our_headers_are_what_the_specifications_library_makes(key: bytes, body: bytes, number: int) -> None:
    from datetime import UTC, datetime

    text = body.hex()
    ours = headers([key], f"m{number}", 1_700_000_000, text.encode())
    theirs = Webhook(key).sign(f"m{number}", datetime.fromtimestamp(1_700_000_000, UTC), text)
    assert ours["webhook-signature"] == theirs


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!!", "whsec_c2hvcnQ=", "whsec_" + "QUFB" * 30])
def test_a_secret_that_is_none_is_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(ValueError, match=r"is not|has") as caught:
        parse_secret(secret)
    assert not secret or secret not in str(caught.value)


@pytest.mark.parametrize("answer", [500, 503, 404, 301, 100])
def test_any_other_answer_is_tried_again_with_the_same_id(hands: Hands, receiver: Receiver, answer: int) -> None:
    worker = sink(hands, web(hands, receiver))
    hands.apply(raised("ch4.high", 0, T0))
    receiver.answers = [answer, answer] if answer != 100 else [500, 500]
    for _ in range(3):
        drain(worker)
        hands.now += 3_600_000

    assert len(receiver.requests) == 3
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1
    assert stand(hands)["waiting"] == 0


def test_a_redirect_is_not_followed(hands: Hands, receiver: Receiver) -> None:
    def elsewhere(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("location", f"http://127.0.0.1:{receiver.port}/elsewhere")
        handler.send_header("content-length", "0")
        handler.end_headers()

    worker = sink(hands, web(hands, receiver))
    hands.apply(raised("ch4.high", 0, T0))
    receiver.answers = [elsewhere]
    drain(worker)

    assert [request.path for request in receiver.requests] == ["/hook?x=1"]
    assert "302" in stand(hands)["last_error"]


def test_gone_disables_until_the_address_changes(hands: Hands, receiver: Receiver) -> None:
    worker = sink(hands, web(hands, receiver), target="old")
    hands.apply(raised("ch4.high", 0, T0))
    receiver.answers = [410]
    for _ in range(3):
        drain(worker)
        hands.now += DAY_MS
    assert len(receiver.requests) == 1
    assert stand(hands)["disabled_at"] is not None
    sink(hands, web(hands, receiver), target="old")
    assert stand(hands)["disabled_at"] is not None

    drain(sink(hands, web(hands, receiver), target="new"))
    assert len(receiver.requests) == 2
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1


def test_a_receiver_that_trickles_is_cut_off(hands: Hands, receiver: Receiver) -> None:
    def trickle(handler: http.server.BaseHTTPRequestHandler) -> None:
        for _ in range(100):
            try:
                handler.wfile.write(b"H")
                handler.wfile.flush()
            except OSError:
                break
            time.sleep(0.1)
        handler.close_connection = True

    worker = sink(hands, web(hands, receiver, timeout_s=0.5))
    hands.apply(raised("ch4.high", 0, T0))
    receiver.answers = [trickle]
    began = time.monotonic()
    drain(worker)

    assert time.monotonic() - began < 8
    assert stand(hands)["attempts"] == 1


def test_back_off_grows_is_bounded_jittered_and_given_up_after_days(hands: Hands) -> None:
    broken = Broken()
    worker = sink(hands, broken, retry_min_s=5, retry_max_s=3600, give_up_after_s=3 * 86_400)
    hands.apply(raised("ch4.high", 0, T0))
    began, waits = hands.now, []
    while stand(hands)["given_up"] == 0:
        drain(worker)
        row = stand(hands)
        if row["given_up"]:
            break
        waits.append(row["next_at"] - hands.now)
        hands.now = row["next_at"]

    assert 2500 <= waits[0] <= 5000
    assert waits[1] > waits[0]
    assert all(1_800_000 <= wait <= 3_600_000 for wait in waits[12:])
    assert len(set(waits)) > len(waits) * 0.9
    assert hands.now - began >= 3 * DAY_MS
    assert hands.now - began <= 3 * DAY_MS + 3_600_000
    assert broken.asked == len(waits) + 1
    row = stand(hands)
    assert (row["waiting"], row["given_up"], row["last_error"]) == (0, 1, "down")


def test_the_receivers_wish_to_wait_is_granted_within_bounds(hands: Hands, receiver: Receiver) -> None:
    def later(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(429)
        handler.send_header("retry-after", "120")
        handler.send_header("content-length", "0")
        handler.end_headers()

    worker = sink(hands, web(hands, receiver))
    hands.apply(raised("ch4.high", 0, T0))
    receiver.answers = [later]
    drain(worker)

    assert stand(hands)["next_at"] == hands.now + 120_000


def test_a_sink_that_is_down_delays_only_itself(hands: Hands, receiver: Receiver) -> None:
    down, up = sink(hands, Broken(), "down"), sink(hands, web(hands, receiver), "up")
    for number in range(5):
        hands.apply(raised("ch4.high", number % 4, T0 + number), position=number + 1)
        drain(down)
        drain(up)

    assert len(receiver.requests) == stand(hands, "up")["delivered"] > 0
    assert (stand(hands, "up")["waiting"], stand(hands, "down")["delivered"]) == (0, 0)
    assert stand(hands, "down")["waiting"] == len(receiver.requests)


def test_sinks_get_what_they_ask_for(hands: Hands, receiver: Receiver) -> None:
    worker = sink(hands, web(hands, receiver), levels=("red",), utilities=("water",), areas=("410102",))
    hands.apply(raised("ch4.highhigh", 0, T0), raised("ch4.highhigh", 1, T0), raised("ch4.high", 3, T0))
    drain(worker)

    assert [one["data"]["event"]["area_code"] for one in bodies(receiver)] == ["410102001"]
    assert stand(hands)["waiting"] == 0


def test_without_sinks_nothing_is_kept_and_a_new_sink_begins_now(hands: Hands, receiver: Receiver) -> None:
    hands.apply(raised("ch4.high", 0, T0))
    worker = sink(hands, web(hands, receiver))
    hands.apply(raised("ch4.high", 1, T0), position=2)
    drain(worker)

    assert len(receiver.requests) == 1


def test_what_every_sink_has_had_is_forgotten_after_a_week_and_no_number_comes_twice(hands: Hands) -> None:
    class Fine:
        def __init__(self) -> None:
            self.ids: list[str] = []

        def send(self, message: Message) -> None:
            self.ids.append(message.message_id)

        def idle(self) -> None:
            pass

        def close(self) -> None:
            pass

    fine = Fine()
    worker = sink(hands, fine)
    for position in range(1, 4):
        hands.apply(raised("ch4.high", 0, T0 + position), raised("ch4.high", 1, T0 + position), position=position)
        drain(worker)
        hands.now += 8 * DAY_MS
        with hands.queue._database.write() as connection:
            outbox.trim(connection, hands.now)
            assert outbox.after(connection, 0, 100) == []
    assert len(set(fine.ids)) == len(fine.ids) > 1


def test_a_transaction_that_fails_tells_nobody(hands: Hands, receiver: Receiver) -> None:
    worker = sink(hands, web(hands, receiver))
    (event_id,) = hands.apply(raised("ch4.high", 0, T0))

    def fails() -> None:
        with hands.queue._database.write() as connection:
            outbox.append(connection, [(T0, "event.changed", event_id, {})])
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    drain(worker)
    assert len(receiver.requests) == 1


def test_a_clock_set_back_does_not_make_a_sink_wait_for_ever(hands: Hands) -> None:
    broken = Broken()
    worker = sink(hands, broken)
    hands.apply(raised("ch4.high", 0, T0))
    drain(worker)
    hands.now -= 30 * DAY_MS
    drain(worker)

    assert broken.asked == 2


@given(st.integers(0, 10_000), st.integers(0, 2**32))
def test_any_number_of_failures_has_a_back_off_in_bounds(attempts: int, seed: int) -> None:
    rules = SinkRules("x", "y", retry_min_s=5, retry_max_s=600)

    assert 2.5 <= rules.delay_s(attempts, random.Random(seed)) <= 600


def test_threads_deliver_and_stop(hands: Hands, receiver: Receiver, wait_for: Any) -> None:
    worker = sink(hands, web(hands, receiver))
    worker.start()
    hands.apply(raised("ch4.high", 0, T0))
    wait_for(lambda: receiver.requests, 20, "the message arrives")
    wait_for(lambda: stand(hands)["waiting"] == 0, 20, "the position is stored")
    worker.stop()


class Unwell(Broken):
    """Has a defect beside what it sends: the first times that it has nothing to do."""

    def idle(self) -> None:
        self.asked += 1
        if self.asked < 3:
            raise ZeroDivisionError("a defect")


def test_a_defect_does_not_end_a_sink_and_is_told_once(
    hands: Hands, wait_for: Any, caplog: pytest.LogCaptureFixture
) -> None:
    unwell = Unwell()
    worker = sink(hands, unwell)
    worker.start()
    wait_for(lambda: unwell.asked > 3, 20, "it goes on")
    worker.stop()

    assert [record.message for record in caplog.records if "defect" in record.message] == [
        "sink hook: a defect; it tries again"
    ]


def test_the_command_line_shows_where_each_sink_stands(hands: Hands) -> None:
    from lifeline.app.queue import Desk

    worker = sink(hands, Broken())
    hands.apply(raised("ch4.high", 0, T0))
    sink(hands, Broken(), "idle")
    drain(worker)

    down, idle = Desk(hands.desk).list_sinks()
    assert (down["name"], down["waiting"], down["attempts"], down["last_error"]) == ("hook", 1, 1, "down")
    assert down["failing_since"].isoformat().endswith("+00:00")
    assert (idle["name"], idle["waiting"], idle["next_at"]) == ("idle", 0, None)
