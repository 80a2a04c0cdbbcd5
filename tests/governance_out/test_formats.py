"""CAP against the OASIS schema and an outside reader; Alertmanager's payload; names that are taken once."""

from __future__ import annotations

from typing import Any

import capparser
import pytest
from capvalidator import Validator
from hypothesis import given
from hypothesis import strategies as st

from lifeline.governance.actor import Actor
from lifeline.governance.outgoing import outbox
from lifeline.governance.outgoing.alertmanager import NOT_YET, payload
from lifeline.governance.outgoing.cap import SCOPES, STATUSES, CapSettings, Issue, render
from lifeline.governance.outgoing.outbox import Message
from lifeline.governance.outgoing.warner import Warner
from tests.governance.conftest import T0, Hands, raised
from tests.governance_out.conftest import sink

LI = Actor("li", "dispatcher")
GBT = ("410100", "012", "000", "00")


class Keep:
    """A transport that keeps what a warner makes."""

    def __init__(self, warner: Warner) -> None:
        self.warner = warner
        self.made: list[bytes] = []

    def send(self, message: Message) -> None:
        made = self.warner.render(message)
        if made is not None:
            assert made == self.warner.render(message)  # another attempt is the same to the byte
            self.made.append(made[1])

    def idle(self) -> None:
        pass

    def close(self) -> None:
        pass


def warn(hands: Hands, **settings: Any) -> Keep:
    given = CapSettings("lifeline@city.example", "Test city 测试市", **settings)
    keep = Keep(Warner("hook", given, hands.queue._database, lambda: hands.now))
    worker = sink(hands, keep)
    alarm = raised("ch4.rate", 0, T0)
    (event_id,) = hands.apply(alarm)
    hands.desk.act(event_id, "file", LI)
    hands.apply(raised("ch4.highhigh", 0, T0 + 10), position=2)  # worse: the level rises
    hands.desk.act(event_id, "note", LI, "calling the unit")
    hands.desk.act(event_id, "cancel", LI, "it was a test")
    while worker.step():
        pass
    return keep


def check(xml: bytes) -> Any:
    """The OASIS schema says yes; then as an outside reader sees it."""
    passed, why = Validator(xml).schema()
    assert passed, f"{why}\n{xml.decode()}"
    return capparser.parse(stringXML=xml.decode().partition("?>")[2])


def text(element: Any, name: str) -> str:
    return str(getattr(element, name)[0])


def infos(alert: Any) -> list[Any]:
    return list(alert.info[0])


def test_a_warning_lives_as_alert_update_cancel_each_pointing_back(hands: Hands) -> None:
    alerts = [check(xml) for xml in warn(hands).made]

    assert [text(one, "msgType") for one in alerts] == ["Alert", "Update", "Cancel"]
    assert [text(infos(one)[0], "severity") for one in alerts] == ["Moderate", "Extreme", "Extreme"]
    assert [text(one, "status") for one in alerts] == ["Actual"] * 3
    names = [text(one, "identifier") for one in alerts]
    assert len(set(names)) == 3
    references = text(alerts[2], "references").split(" ")
    assert [reference.split(",")[1] for reference in references] == names[:2]
    assert {text(info, "language") for info in infos(alerts[0])} == {"zh-CN", "en-US"}
    assert text(infos(alerts[2])[0], "responseType") == "AllClear"


def test_what_nobody_has_judged_is_not_issued(hands: Hands) -> None:
    keep = Keep(Warner("hook", CapSettings("a", "b"), hands.queue._database, lambda: hands.now))
    worker = sink(hands, keep)
    hands.apply(raised("ch4.highhigh", 0, T0))
    worker.step()

    assert keep.made == []


def test_identifiers_of_the_chinese_standard(hands: Hands) -> None:
    import re

    names = [text(check(xml), "identifier") for xml in warn(hands, gbt=GBT).made]

    assert all(re.fullmatch(r"41010001200000_\d{14}_\d", name) for name in names)
    assert all(len(name) == 31 for name in names)
    assert len(set(names)) == 3
    sent = text(check(warn_one(GBT)), "sent")
    assert sent.endswith("+08:00")


def warn_one(gbt: tuple[str, str, str, str] | None) -> bytes:
    return render(MESSAGE, "Alert", Issue("x", T0), [], CapSettings("s", "n", gbt=gbt))


def test_ten_names_a_second_and_then_those_of_the_next(hands: Hands) -> None:
    sink(hands, Keep(Warner("hook", CapSettings("a", "b"), hands.queue._database, lambda: hands.now)))
    warner = Warner("hook", CapSettings("a", "b", gbt=GBT), hands.queue._database, lambda: hands.now)
    names = []
    for entry in range(25):
        made = warner.render(Message(entry, f"m{entry}", T0, "event.changed", f"e{entry}", MESSAGE.data))
        assert made is not None
        names.append(text(check(made[1]), "identifier"))

    assert len(set(names)) == 25
    assert names == sorted(names)


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("scope", SCOPES)
def test_every_status_and_scope_is_valid(status: str, scope: str) -> None:
    alert = check(render(MESSAGE, "Alert", Issue("x", T0), [], CapSettings("s", "n", status, scope)))

    assert text(alert, "status") == status
    assert ("drill" in str(alert.note)) == (status in {"Exercise", "Test"})


EVENT: dict[str, Any] = {
    "event_id": "ab12", "level": "orange", "status": "filed", "utility": "gas", "area_code": "410105",
    "kind": "gas-leak",
    "title": "甲烷超限 / Methane high · V-1 · 金水区", "raised_at": T0, "active_count": 1, "closed_at": None,
    "category": "process", "district": "410105", "township": None, "mode": "normal",
}  # fmt: skip
MESSAGE = Message(7, "m7", T0, "event.changed", "ab12", {"action": "file", "event": EVENT})


@given(
    title=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"]), max_size=60),
    level=st.sampled_from(["red", "orange", "yellow", "blue"]),
    utility=st.sampled_from(["gas", "water", "heat", None]),
    area=st.sampled_from([None, "410105", "41010500100101"]),
    kind=st.sampled_from(["Alert", "Update", "Cancel"]),
)
def test_any_event_makes_a_valid_document(
    title: str, level: str, utility: str | None, area: str | None, kind: str
) -> None:
    event = EVENT | {"title": title, "level": level, "utility": utility, "area_code": area}
    message = Message(1, "m", T0, "event.changed", "ab12", {"action": "file", "event": event})

    check(render(message, kind, Issue("a", T0), [Issue("b", T0 - 1000)], CapSettings("s", "n")))


def test_the_outside_judge_is_awake() -> None:
    """It refuses what is wrong: an unknown element, an unknown status."""
    good = warn_one(None)
    assert Validator(good).schema()[0]
    for bad in (good.replace(b"sender>", b"sonder>"), good.replace(b"Actual", b"Maybe")):
        assert not Validator(bad).schema()[0]


def test_alertmanagers_payload_has_every_key_of_version_4() -> None:
    made = payload(MESSAGE, "pager", "https://city.example")

    assert set(made) == {
        "version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels", "commonLabels",
        "commonAnnotations", "externalURL", "alerts",
    }  # fmt: skip
    (alert,) = made["alerts"]
    assert set(alert) == {
        "status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint",
    }  # fmt: skip
    assert (made["version"], made["status"], alert["endsAt"]) == ("4", "firing", NOT_YET)
    assert all(isinstance(value, str) for value in {**alert["labels"], **alert["annotations"]}.values())
    assert len(alert["fingerprint"]) == 16
    closed = EVENT | {"closed_at": T0 + 5000, "status": "closed"}
    over = payload(Message(8, "m8", T0 + 5000, "event.closed", "ab12", {"action": "close", "event": closed}), "p", "u")
    assert (over["status"], over["alerts"][0]["endsAt"][-1]) == ("resolved", "Z")
    assert over["alerts"][0]["fingerprint"] == alert["fingerprint"]


def test_the_outbox_knows_the_hook(hands: Hands) -> None:
    warn(hands)
    with hands.queue._database.read() as connection:
        assert [row["waiting"] for row in outbox.list_sinks(connection)] == [0]
