"""Foreign history as a benchmark: names, spells, marks; sets that are not there are skipped and said so."""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from benchmarks.__main__ import main
from benchmarks.harness import Result
from benchmarks.quality import energy, foreign, made, networks, pipes, plant, planted, sets, station, treatment, twisted
from benchmarks.workloads import quality

T0 = datetime(2026, 3, 1, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("Volume Flow RateRMS", "volume_flow_rate_rms"),
        ("Accelerometer1RMS", "accelerometer1_rms"),
        ("L_T1", "l_t1"),
        ("CH4vmr_ppmv", "ch4vmr_ppmv"),
        ("WindX_m/s", "wind_x_m_s"),
    ],
)
def test_columns_in_snake_case(column: str, expected: str) -> None:
    assert sets.snake(column) == expected


def test_spells_end_at_the_row_after_the_last() -> None:
    times = pl.Series([at(k) for k in range(6)])
    assert sets.runs(times, pl.Series([0, 1, 1, 0, 0, 1])) == [(at(1), at(3)), (at(5), at(5) + timedelta(seconds=1))]


def judged(alarms: list[tuple[float, float | None, str]], faults: list[tuple[float, float]]) -> foreign.Judged:
    case = sets.Case("x", "rig", pl.DataFrame(), None, [(at(a), at(b)) for a, b in faults])
    rows = [(at(a), None if b is None else at(b), category) for a, b, category in alarms]
    kind = pl.Datetime("ms", "UTC")
    frame = pl.DataFrame(rows, {"raised_at": kind, "cleared_at": kind, "category": pl.String}, orient="row")
    return foreign.Judged(case, {}, frame, np.array([int(at(k).timestamp() * 1000) for k in range(10)]))


def test_marks_are_counted_from_alarms_about_the_process() -> None:
    one = judged([(2, 5, "process"), (8, None, "process"), (0, 9, "device")], [(3, 7)])
    assert one.alarmed.tolist() == [k in {2, 3, 4, 8, 9} for k in range(10)]
    assert foreign.f1([one]) == pytest.approx({"f1": 4 / 9, "far": 0.5, "mar": 0.5})
    assert foreign.found(one) == {"found": 1.0, "faults": 1.0, "false_minutes": 3.0, "minutes": 6.0}
    assert foreign.false_alarms(one) == 2
    assert foreign.attack_score(one) == pytest.approx({"s": 0.5 + 0.25, "s_ttd": 1.0, "tpr": 0.5, "tnr": 0.5})
    assert foreign.attack_score(judged([], [(3, 7)]))["s"] == 0.25


def test_a_leak_is_found_by_an_alarm_before_the_next_begins() -> None:
    alarms = [(1, 2, "process"), (4, 5, "device"), (6, 7, "process"), (9, None, "process")]
    one = judged(alarms, [(3, 9), (5, 9), (8, 8.5)])
    assert foreign.delays_h(one) == pytest.approx([1 / 60])
    assert foreign.delays_h(judged(alarms, [(0, 9)])) == pytest.approx([1 / 60])


def test_the_published_schedule_is_read_in_hours_of_its_year(tmp_path: Path) -> None:
    (tmp_path / "leaks_2018.csv").write_text(
        "link_id,start,end,leak_diameter_m,type,peak\n"
        "p257,2018-01-08 13:30,2018-12-31 23:55,0.011843,incipient,2018-01-25 08:30\n"
        "p673,2018-03-05 15:45,2018-03-23 10:25,0.022916,abrupt,2018-03-05 15:45\n"
    )
    first, second = networks.published(tmp_path)
    assert (first.pipe, first.diameter_m, first.start, first.peak) == ("p257", 0.011843, 7 * 24 + 13.5, 24 * 24 + 8.5)
    assert second.start == second.peak == (31 + 28 + 4) * 24 + 15.75
    assert second.end == pytest.approx((31 + 28 + 22) * 24 + 10 + 25 / 60)


def test_a_leak_grows_by_the_square_of_its_diameter_or_is_there_at_once() -> None:
    hours = np.arange(8.0)
    slow, sudden = networks.Leak("a", 0.01, 1, 7, 5), networks.Leak("b", 0.01, 2, 4, 2)
    assert networks.drawn(slow, hours).tolist() == pytest.approx([0, 0, 1 / 16, 1 / 4, 9 / 16, 1, 1, 0])
    assert networks.drawn(sudden, hours).tolist() == pytest.approx([0, 0, 0, 1, 0, 0, 0, 0])


def test_sets_that_are_not_there_are_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = Result("quality", 1.0)
    monkeypatch.delenv(quality.DATA, raising=False)
    quality._public(result, tmp_path)
    monkeypatch.setenv(quality.DATA, str(tmp_path))
    quality._public(result, tmp_path)
    assert [note.partition(": ")[2].partition(",")[0] for note in result.notes] == ["skipped"] * 2 * len(sets.SETS)
    assert result.figures == {}
    assert set(quality.MARKS) == set(sets.SETS)


def test_networks_are_skipped_without_wntr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "available", lambda: False)
    result = Result("quality", 1.0)
    quality._networks(result, tmp_path)
    assert result.notes == ["net3, l-town: skipped, WNTR is not installed (pip install lifeline-engine[wntr])"]


def test_epanets_scratch_stays_out_of_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It writes a year's hydraulics, 1.5 GB for L-Town, into the folder in which it is run."""
    written: list[Path] = []

    class Simulator:
        def __init__(self, model: str) -> None:
            self.model = model

        def run_sim(self, file_prefix: str) -> str:
            Path("enAb12").write_text("hydraulics")
            written.append(Path("enAb12").absolute())
            assert Path(file_prefix).parent == Path.cwd()
            return self.model

    wntr = SimpleNamespace(sim=SimpleNamespace(EpanetSimulator=Simulator))
    monkeypatch.setitem(sys.modules, "wntr", wntr)
    monkeypatch.chdir(tmp_path)
    assert networks._run("net") == "net"
    assert Path.cwd() == tmp_path
    assert list(tmp_path.iterdir()) == []
    assert not written[0].exists()


def test_gas_and_heat_networks_are_skipped_without_pandapipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipes, "available", lambda: False)
    result = Result("quality", 1.0)
    quality._pipes(result, tmp_path)
    assert result.notes == ["gas and heat rings: skipped, no pandapipes (pip install lifeline-engine[pandapipes])"]


def test_a_folder_that_is_none_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "quality", "--data", str(tmp_path / "nowhere")])
    assert ended.value.code == 2
    assert "is no folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("make", "names", "events", "most"),
    [
        (treatment.treatment, treatment.STEPS, treatment.EVENTS, 0.06),
        (station.station, station.NOISE, station.EVENTS, 0.1),
    ],
)
def test_made_waterworks_have_the_events_that_they_say(make: Any, names: Any, events: int, most: float) -> None:
    """Same seed, same water; events lie after the normal period, apart, in few minutes of a hundred."""
    (case,) = make(np.random.default_rng(5))
    (again,) = make(np.random.default_rng(5))
    assert case.data.equals(again.data)
    assert set(case.data["quantity"]) == set(names)
    assert case.train_to is not None
    assert len(case.faults) == events
    assert case.faults[0][0] >= case.train_to
    assert all(b + timedelta(hours=2) <= c for (_, b), (c, _) in itertools.pairwise(case.faults))
    last = case.data["ts"].max()
    assert isinstance(last, datetime)
    wrong = sum((b - a).total_seconds() for a, b in case.faults)
    assert 0.01 < wrong / (last.replace(tzinfo=UTC) - case.train_to).total_seconds() < most


def test_a_plant_under_attack_tells_what_the_attack_says() -> None:
    """Levels stay between their marks; a forged one is believed by the controls, a pump that is forced moves water."""
    n, at_ = 9000, {name: k for k, name in enumerate(plant.NAMES)}
    noise, slow = np.zeros((n, plant.STATES)), np.zeros((n, 5))
    quiet = plant._run(noise, slow, np.zeros((0, 5)))
    assert 490 < quiet[1000:, at_["lit101"]].min() < quiet[1000:, at_["lit101"]].max() < 810
    assert set(np.unique(quiet[:, at_["mv101"]])) == {0.0, 1.0, 2.0}
    blows = [("lit101", plant.SET, 900.0), ("p102", plant.FORCE, 2.0), ("lit401", plant.HOLD, 0.0)]
    spells = [(2000, 2500), (4000, 4400), (6000, 6600)]
    rows = [(*spell, at_[name], how, amount) for spell, (name, how, amount) in zip(spells, blows, strict=True)]
    told = plant._run(noise, slow, np.array(rows, np.float64))
    assert np.array_equal(told[:2000], quiet[:2000])
    assert (told[2000:2500, at_["lit101"]] == 900).all()
    assert (told[2010:2500, at_["mv101"]] == 1).all()
    assert (told[4000:4400, at_["p102"]] == 2).all()
    assert (np.delete(told[:, at_["p102"]], np.arange(4000, 4400)) == 1).all()
    assert told[4020:4390, at_["fit201"]].min() > 0.85
    assert (told[6000:6600, at_["lit401"]] == told[5999, at_["lit401"]]).all()


def test_a_substation_holds_its_temperature_and_a_forged_one_is_believed() -> None:
    """Make-up holds the pressure between its marks; water told to be colder than it is opens the valve."""
    n, at_ = 9000, {name: k for k, name in enumerate(energy.HEAT)}
    noise, slow = np.zeros((n, len(energy.HEAT_NOISE))), np.zeros((n, 5))
    quiet = energy._heat(noise, slow, np.zeros((0, 5)))[3600:]
    wanted = 50.0 - 0.8 * quiet[:, at_["t_out"]]
    assert np.abs(quiet[:, at_["t21"]] - wanted).max() < 0.5
    assert 2.95 < quiet[:, at_["p22"]].min() < quiet[:, at_["p22"]].max() < 3.45
    blows = np.array([[6000, 6600, at_["t21"], energy.SHIFT, -6.0], [8000, 8600, at_["leak"], energy.FORCE, 1.0]])
    told = energy._heat(noise, slow, blows)[3600:]
    assert np.array_equal(told[:2400], quiet[:2400])
    assert told[2410:3000, at_["v1"]].min() > quiet[2410:3000, at_["v1"]].max()
    assert told[4400:5000, at_["p301"]].mean() > 1.5 > quiet[4400:5000, at_["p301"]].mean()


def test_a_gas_station_holds_its_pressure_and_what_stands_by_takes_over() -> None:
    """A regulator that is shut is another's turn; a relief that is forced lets out what the meter counts."""
    n, at_ = 9000, {name: k for k, name in enumerate(energy.GAS)}
    noise, slow = np.zeros((n, len(energy.GAS_NOISE))), np.zeros((n, 5))
    quiet = energy._gas(noise, slow, np.zeros((0, 5)))[3600:]
    assert np.abs(quiet[:, at_["p_out"]] - 300).max() < 1.0
    assert quiet[:, at_["z2"]].max() == 0.0
    assert (quiet[:, at_["relief"]] == 1.0).all()
    blows = np.array([[6000, 6600, at_["ssv1"], energy.FORCE, 1.0], [8000, 8600, at_["relief"], energy.FORCE, 2.0]])
    told = energy._gas(noise, slow, blows)[3600:]
    assert np.array_equal(told[:2400], quiet[:2400])
    assert told[2600:3000, at_["z2"]].min() > 20.0
    assert told[2600:3000, at_["p_out"]].min() > 270.0
    assert told[4600:5000, at_["flow"]].mean() > quiet[4600:5000, at_["flow"]].mean() + 800


@pytest.mark.parametrize("twist", twisted.SAME)
def test_the_same_rig_told_otherwise_is_judged_the_same(twist: str, tmp_path: Path) -> None:
    case = next(iter(made.rigs(np.random.default_rng(3))))
    told = twisted.SAME[twist](case)
    assert not told.data.equals(case.data)
    one, other = (foreign.judge(x, tmp_path) for x in (case, told))
    assert one.alarms.height
    assert other.alarmed.tolist() == one.alarmed.tolist()
    assert other.alarms["quantity"].to_list() == one.alarms["quantity"].to_list()


def test_a_history_twisted_harder_keeps_its_faults() -> None:
    case = next(iter(made.rigs(np.random.default_rng(3))))
    rows = {name: twist(case).data.height / case.data.height for name, twist in twisted.HARDER.items()}
    fewer = {"half": 0.5, "third": 1 / 3, "double": 2.0, "missing": 0.9}
    assert rows == pytest.approx({name: fewer.get(name, 1.0) for name in twisted.HARDER}, abs=0.01)
    assert all(twist(case).faults == case.faults for twist in twisted.HARDER.values())
    assert twisted.HARDER["short"](case).train_to == made.START + timedelta(seconds=240)
    assert twisted.HARDER["fifth"](case).train_to == made.START + timedelta(seconds=80)
    up, apart = twisted.HARDER["raised"](case).data, twisted.HARDER["restless"](case).data
    assert up["value"].to_numpy() == pytest.approx(case.data["value"].to_numpy() + 1000.0)
    beside = apart.group_by("ts").len()["len"].unique().to_list()
    assert beside == [4], "members of a row stay together"
    assert 300 < np.abs(apart["ts"].unique().sort().dt.epoch("ms").diff().drop_nulls().to_numpy() - 1000).max() <= 800
    values = twisted.between(case).data.filter(pl.col("quantity") == "current").sort("ts")["value"].to_numpy()
    assert values[1:-1:2] == pytest.approx((values[:-2:2] + values[2::2]) / 2)


def test_a_site_elsewhere_has_other_air_and_the_same_releases() -> None:
    (case,) = made.site(np.random.default_rng(5))
    named = case.data.with_columns(quantity=pl.col("quantity").replace("ch4_5", "wind"))
    case = replace(case, data=named)
    told, still = twisted.ppb(case), twisted.nights(case)
    assert told.faults == still.faults == case.faults
    wind, methane = (pl.col("quantity").str.starts_with(name) for name in ("wind", "ch4"))
    assert told.data.filter(wind).equals(case.data.filter(wind))
    assert still.data.filter(wind).equals(case.data.filter(wind))
    before = case.data.filter(methane)
    more = told.data.filter(methane)["value"].to_numpy() - 1000 * before["value"].to_numpy()
    assert np.allclose(more, 1900)
    rise = still.data.filter(methane)["value"].to_numpy() - before["value"].to_numpy()
    hour = before["ts"].dt.hour().to_numpy()
    assert np.abs(rise[(hour >= 8) & (hour < 18)]).max() < 1e-9
    assert 0.5 < rise[hour == 3].max() < 2.6
    assert rise.min() > -1e-9


def test_boilers_bathe_in_summer_and_heat_in_winter() -> None:
    """A month of late winter takes more than two of summer, and each has one fault, in its winter."""
    made = planted.boilers(np.random.default_rng(5))
    assert made.case.data.equals(planted.boilers(np.random.default_rng(5)).case.data)
    use = made.case.data.filter(pl.col("device_id") == "boiler_2").with_columns(month=pl.col("ts").dt.month())
    july, march = (use.filter(pl.col("month") == month)["value"].sum() for month in (7, 3))
    assert 0 < 2 * july < march
    assert {kind for kind, _, _ in made.faults.values()} == set(planted.BOILER_FAULTS)
    assert made.case.train_to is not None
    assert all(made.case.train_to < start < end for _, start, end in made.faults.values())
    assert max(end for _, _, end in made.faults.values()) < planted.BOILER_START + planted.BOILER_DAYS * planted.DAY


def test_each_meter_has_one_fault_within_its_time() -> None:
    """Told as it was but in the fault, and from where that ends it counts on."""
    made = planted.homes(np.random.default_rng(5))
    assert made.case.data.equals(planted.homes(np.random.default_rng(5)).case.data)
    assert sorted({kind for kind, _, _ in made.faults.values()}) == sorted(planted.FAULTS)
    assert set(made.case.data["quantity"]) == set(planted.FORMS)
    assert made.case.train_to is not None
    last = made.case.data["ts"].max()
    for _, start, end in made.faults.values():
        assert made.case.train_to < start < end
        assert isinstance(last, datetime)
        assert end.replace(tzinfo=None) <= last
    sound = sets.Case("m", "water-meter", made.case.data.filter(pl.col("quantity") == "volume_l"))
    told = planted.into(sound, np.random.default_rng(6))
    for device, (kind, start, end) in told.faults.items():
        a, b = (one.data.filter(pl.col("device_id") == device) for one in (sound, told.case))
        before, after = pl.col("ts") < start.replace(tzinfo=None), pl.col("ts") >= end.replace(tzinfo=None)
        assert a.filter(before).equals(b.filter(before))
        assert a.filter(after)["value"].diff().equals(b.filter(after)["value"].diff())
        within = [one.filter(~before & ~after)["value"] for one in (a, b)]
        assert not within[0].equals(within[1]), kind


def test_a_fault_is_found_by_an_alarm_of_its_own_meter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = datetime(2026, 3, 20, tzinfo=UTC)
    times = pl.Series([start, start + timedelta(days=30)]).dt.replace_time_zone(None)
    data = pl.DataFrame({"ts": times, "device_id": ["a", "b"], "quantity": "volume_l", "value": 1.0})
    case = sets.Case("m", "water-meter", data)
    alarms = pl.DataFrame({"device_id": ["a", "b"], "raised_at": [start + timedelta(hours=5)] * 2})
    at = times.dt.epoch("ms").to_numpy()
    monkeypatch.setattr(planted, "judge", lambda case, _: foreign.Judged(case, {}, alarms, at))
    faults = {
        "a": ("leak", start, start + timedelta(days=2)),
        "b": ("leak", start + timedelta(days=1), start + timedelta(days=2)),
    }
    assert planted.marks(planted.Planted(case, faults), tmp_path) == (["a"], 0.5)
