"""Why an alarm was raised: from the alarm itself, on the command line and as a picture."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from lifeline.app import explain
from lifeline.app import since as since_module
from lifeline.app.since import parse_time
from lifeline.app.site import load_site
from lifeline.cli.main import app
from lifeline.cli.output import plain
from lifeline.core.alarm import AlarmChange
from lifeline.core.batch import LogRecord, Readings
from lifeline.core.errors import ConfigurationError
from lifeline.core.registry import Registry
from lifeline.governance.places import PlaceLookup
from lifeline.governance.queue import GovernanceQueue
from lifeline.registry import read_areas, read_points
from lifeline.registry.ledger import RegistryLedger
from rules.evaluate import RuleMachine
from rules.rule_set import RuleSet

T0 = 1_795_000_000_000


def alarms_of(config: Path) -> tuple[list[AlarmChange], Registry]:
    """A methane alarm at the sample site: three readings of one sensor, one record each, stored as always."""
    site = load_site(config)
    site.state.mkdir(parents=True, exist_ok=True)
    areas = read_areas(site.config.registry.areas) if site.config.registry.areas else None
    registry = RegistryLedger(site.state, read_points(site.config.registry.file), areas).current()
    rules = RuleSet.load(site.config.rule_files)
    machine = RuleMachine(rules, registry, site.config.site.timezone)
    point = next(p for p, q in enumerate(registry.point_quantity) if registry.quantities[q] == "ch4")
    changes = []
    for k, value in enumerate([1.0, 60.0, 61.0]):
        rows = Readings.empty(1)
        rows.point[:], rows.ts[:], rows.received_at[:], rows.value[:] = point, T0 + k * 60_000, T0 + k * 60_000, value
        changes += machine.process(LogRecord(k + 1, T0 + k * 60_000, rows))
    queue = GovernanceQueue(site.database_url, rules.info(), PlaceLookup(lambda: registry), lambda: T0)
    queue.apply(changes, 3, T0)
    queue.close()
    return changes, registry


def test_an_alarm_tells_why_it_was_raised(config: Path, tmp_path: Path) -> None:
    changes, registry = alarms_of(config)
    raised = next(c for c in changes if c.rule_id == "gas.ch4.high-high")
    drawn = tmp_path / "alarm.svg"
    arguments = ["alarms", "explain", raised.alarm_id[:12], "-c", str(config)]
    told = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)

    assert (told["rule_id"], told["rule_version"], told["lsn"], told["historic"]) == (raised.rule_id, 1, 2, False)
    assert told["evidence"]["raise"] == "value >= limit"
    assert told["evidence"]["params"] == {"limit": 50.0, "deadband": 5.0}
    assert told["evidence"]["readings"] == [[2, T0 + 60_000, 60.0]]
    assert told["evidence"]["from"] == told["evidence"]["to"] == T0 + 60_000

    text = CliRunner().invoke(app, [*arguments, "--picture", str(drawn)])
    assert text.exit_code == 0, text.output
    nowhere = CliRunner().invoke(app, [*arguments, "--picture", str(tmp_path / "none" / "alarm.svg")])
    assert nowhere.exit_code == 2
    assert "--picture: cannot be written" in nowhere.output
    words = ("gas.ch4.high-high", "value >= limit", "limit = 50", "log record", "60.0", "2026-11-18 19:07:40")
    for word in (
        *words,
        "(Asia/Shanghai)",
        "state unacked",
        "respond within: 10 min 处置时限 10 分钟",
        "reading(s): 2026",
        "尚未恢复 still stands",
    ):
        assert word in text.stdout, text.stdout
    root = ET.fromstring(drawn.read_text("utf-8"))  # noqa: S314 - we drew it
    assert root.tag.endswith("svg")
    seen = " ".join(element.text or "" for element in root.iter())
    for word in ("limit 50", "Methane level-2 alarm", "19:07:40", "Asia/Shanghai"):  # the site's clock, as in the text
        assert word in seen, seen
    assert len(registry) > 0
    assert np.isfinite(raised.value)


def test_a_file_that_cannot_be_written_is_told(config: Path, tmp_path: Path) -> None:
    changes, _ = alarms_of(config)
    ids = ["alarms", "explain", changes[0].alarm_id, "-c", str(config), "--picture"]
    for picture, word in ((tmp_path / "nowhere" / "alarm.svg", "cannot be written"), (tmp_path / "a.png", "end it in")):
        result = CliRunner().invoke(app, [*ids, str(picture)])
        assert result.exit_code == 2, result.output
        assert word in result.output
        assert not picture.exists()


def test_brackets_of_others_are_text(config: Path) -> None:
    """What somebody wrote is shown as it is: it is no markup, and it breaks no line."""
    alarms_of(config)
    result = CliRunner().invoke(app, ["alarms", "ack", "[/red]", "-c", str(config)])
    assert (result.exit_code, "'[/red]'" in result.output) == (1, True), result.output
    told = ["events", "report", "119", "smell [/b] in room [3]", "--service", "gas-smell", "--lon", "113.7"]
    made = CliRunner().invoke(app, [*told, "--lat", "34.8", "-c", str(config), "--json"])
    assert made.exit_code == 0, made.output
    shown = CliRunner().invoke(app, ["events", "show", json.loads(made.stdout)["event_id"], "-c", str(config)])
    assert shown.exit_code == 0, shown.output
    note = ["smell", "[/b]", "in", "room", "[3]"]  # a table breaks it between words
    assert [word for word in shown.output.split() if word in note] == note, shown.output
    sinks = CliRunner().invoke(app, ["sinks", "-c", str(config)])
    assert "[[sink]]" in sinks.output


def test_an_alarm_that_another_explains_says_by_which_and_what_was_done(config: Path) -> None:
    changes, registry = alarms_of(config)
    raised = next(c for c in changes if c.rule_id == "gas.ch4.high-high")
    rules = RuleSet.load(load_site(config).config.rule_files)
    low = replace(raised, alarm_id="d" * 24, rule_id="gas.ch4.trend", rule_version=1)
    queue = GovernanceQueue(load_site(config).database_url, rules.info(), PlaceLookup(lambda: registry), lambda: T0)
    queue.apply([low], 4, T0)
    queue.close()
    listed = tell(config, "alarms", "list", "--state", "suppressed")
    assert ("cause_id" in listed, low.alarm_id in listed) == (True, True), listed
    assert "cause_id" not in tell(config, "alarms", "list", "--state", "unacked"), "none of these is explained"
    tell(config, "alarms", "ack", low.alarm_id, "--reason", "seen it")
    told = tell(config, "alarms", "explain", low.alarm_id)
    found = json.loads(tell(config, "alarms", "explain", low.alarm_id, "--json"))["explained_by"]
    cause = next(change for change in changes if change.alarm_id == found["alarm_id"])
    assert (found["rule_id"], found["active"]) == (cause.rule_id, True)
    assert f"由此解释 / explained by {cause.rule_id} · G" in told, told
    assert "ack: seen it" in told


def test_who_closes_the_case_of_a_cause_that_stands_is_told_what_comes_back(config: Path) -> None:
    changes, registry = alarms_of(config)
    high = next(c for c in changes if c.rule_id == "gas.ch4.high")
    ch4 = [p for p, q in enumerate(registry.point_quantity) if registry.quantities[q] == "ch4"]
    place = next(p for p in reversed(ch4) if p != high.point)
    trend = replace(high, alarm_id="d" * 24, rule_id="gas.ch4.trend", rule_version=1, point=place, level="yellow")
    cause = replace(high, alarm_id="c" * 24, point=place)
    rules = dict(RuleSet.load(load_site(config).config.rule_files).info())
    rules["gas.ch4.trend"] = replace(rules["gas.ch4.trend"], event="gas-trend")  # whose cases are its own
    queue = GovernanceQueue(load_site(config).database_url, rules, PlaceLookup(lambda: registry), lambda: T0)
    (aside,) = queue.apply([trend], 4, T0)
    (case,) = queue.apply([cause], 5, T0)
    queue.close()
    assert "explains  1" in tell(config, "events", "show", case)
    told = tell(config, "events", "act", case, "cancel", "--note", "broken sensor")
    assert "曾由此归因的 1 起事件恢复新报 / 1 events that it explained are new again" in told, told
    assert "new 新报" in tell(config, "events", "show", aside)


def test_events_are_told_in_both_languages_and_in_words(config: Path) -> None:
    alarms_of(config)
    event_id = json.loads(tell(config, "events", "list", "--json"))["events"][0]["event_id"]
    assert "new 新报" in tell(config, "events", "list")
    shown = tell(config, "events", "show", event_id)
    for words in (
        "status  new 新报",
        "is_open  yes 是",
        "possible now: file 立案, cancel 注销",
        "unacked 报警中未确认",
    ):
        assert words in shown, shown
    assert "[(" not in shown, "places are words"
    assert f"{event_id} is now filed 立案" in tell(config, "events", "act", event_id, "file")
    wrong = CliRunner().invoke(app, ["events", "act", event_id, "dispach", "-c", str(config)])
    assert (wrong.exit_code, "did you mean 'dispatch'?" in wrong.output) == (1, True), wrong.output


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, "yes 是"),
        (False, "no 否"),
        ({"lifeline/#": 1, "other/#": 0}, "lifeline/# 1, other/# 0"),
        ([("410105", "gas"), ("410102", None)], "410105 gas, 410102 –"),
        (["a", "b"], "a b"),
        (1, "1"),
    ],
)
def test_what_has_parts_is_told_without_brackets(value: object, words: str) -> None:
    assert plain(value) == words


def tell(config: Path, *words: str) -> str:
    """What a command says, on a page wide enough for all of its columns."""
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, [*words, "-c", str(config)])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_times_are_typed_as_the_screens_show_them(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the site's clock where no zone is given (its alarms came at 19:07 there, 11:07 UTC), deadlines from now."""
    alarms_of(config)
    for since, found in (("2026-11-18T19:00", True), ("2026-11-18T19:30", False), ("2026-11-18T11:00Z", True)):
        for kind in ("events", "alarms"):
            listed = json.loads(tell(config, kind, "list", "--since", since, "--json"))[kind]
            assert bool(listed) == found, (kind, since)
    zone = ZoneInfo("Asia/Shanghai")
    monkeypatch.setattr(since_module, "now_ms", lambda: T0)
    assert parse_time("2h", zone=zone) == T0 - 7_200_000
    assert parse_time("2h", zone=zone, ahead=True) == T0 + 7_200_000
    assert parse_time("2026-11-18T19:06:40", zone=zone) == parse_time("2026-11-18T11:06:40") == T0
    assert parse_time("2026-11-18T11:06:40+00:00", zone=zone) == T0
    for wrong in ("soon", "99999999d", "2026-13-01"):
        with pytest.raises(ConfigurationError, match="is not a time"):
            parse_time(wrong, zone=zone)


def test_a_shelf_is_as_long_as_people_write_it(config: Path) -> None:
    changes, _ = alarms_of(config)
    key = next(c.alarm_id for c in changes if c.level == "orange")
    told = tell(config, "alarms", "shelve", key, "--for", "2h", "--reason", "works")
    assert "is now shelved 已搁置 until 至 " in told, told
    until = json.loads(tell(config, "alarms", "list", "--state", "shelved", "--json"))["alarms"][0]["shelved_until"]
    assert abs(datetime.fromisoformat(until).timestamp() - time.time() - 7200) < 60
    for wrong in (["--for", "soon"], ["--for", "8d"], ["--for", "1h", "--minutes", "60"]):
        result = CliRunner().invoke(app, ["alarms", "shelve", key, *wrong, "--reason", "x", "-c", str(config)])
        assert result.exit_code == 2, result.output


def test_wrong_usage_has_its_own_status(config: Path) -> None:
    """A value that cannot be is wrong usage (2), as a wrong option is; what is not there is a failure (1)."""
    alarms_of(config)
    for words, status in (
        (["alarms", "list", "--state", "nope"], 2),
        (["events", "list", "--level", "nope"], 2),
        (["events", "list", "--cursor", "nope"], 2),
        (["events", "show", "ffff"], 1),
        (["events", "list", "--status", "open", "--status", "closed"], 0),
    ):
        result = CliRunner().invoke(app, [*words, "-c", str(config)])
        assert result.exit_code == status, (words, result.output)
    there = CliRunner().invoke(app, ["events", "list", "--status", "open", "--json", "-c", str(config)])
    assert len(json.loads(there.stdout)["events"]) == 1


def test_verify_says_that_no_engine_has_run(config: Path) -> None:
    result = CliRunner().invoke(app, ["verify", "-c", str(config)])
    assert (result.exit_code, "no engine has run here yet" in result.output) == (1, True), result.output


def test_what_there_is_not_is_told(config: Path) -> None:
    alarms_of(config)
    result = CliRunner().invoke(app, ["alarms", "explain", "ffff", "-c", str(config)])
    assert result.exit_code == 1
    assert "ffff" in result.output


def test_a_long_alarm_is_drawn_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More readings than a picture holds are told by their least and greatest of each stretch."""
    frame = pl.DataFrame({"point": 3, "value": np.sin(np.arange(20_000.0)), "ts": T0 + 1000 * np.arange(20_000)})
    frame = frame.with_columns(pl.from_epoch("ts", time_unit="ms").dt.replace_time_zone("UTC"))

    def catalog(_: Path) -> duckdb.DuckDBPyConnection:
        db = duckdb.connect()
        db.register("frame", frame.to_arrow())
        db.execute("CREATE VIEW readings_raw AS FROM frame; CREATE VIEW points AS SELECT 3 AS point, '%LEL' AS unit")
        return db

    monkeypatch.setattr(explain, "open_catalog", catalog)
    unit, curve = explain._around(tmp_path, 3, T0, T0 + 20_000_000)
    assert unit == "%LEL"
    assert len(curve) <= explain.ROWS_MAX + 2
    assert curve[-1][0] > T0 + 19_990_000
    assert curve == sorted(curve)
    assert max(value for _, value in curve) == frame["value"].max()
