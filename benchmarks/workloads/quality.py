"""``quality``: the rules as they ship over foreign history: our own always, public sets where ``--data`` has them.

Marks are those that each set was published with (``benchmarks/quality/foreign.py``); the hash is over every alarm of
the histories of our own making.
"""

from __future__ import annotations

import os
import tempfile
import time
from hashlib import blake2b
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.harness import Figure, Result, figure
from benchmarks.quality import energy, foreign, made, networks, pipes, plant, planted, sets, station, treatment, twisted

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.quality.foreign import Judged

DATA: Final = "LIFELINE_BENCH_DATA"
"""The folder of ``--data``."""
WHOLE_YEAR: Final = "LIFELINE_BENCH_YEAR"
"""Set: L-Town's published year too."""
SEED: Final = 20260301
SELDOM: Final = (5, 15)
"""Minutes between the readings of the water quality station that is told more seldom."""

ENERGY: Final = (("", 5, 1), ("_5min", 300, 5))
"""Gas and heat plants: what the figure is called after, seconds between readings, how many times as long all takes."""


def run(scale: float) -> Result:
    """Every history through ``lifeline rules backtest``; ``scale`` changes nothing."""
    result = Result("quality", scale)
    with tempfile.TemporaryDirectory(prefix="lifeline-quality-") as folder:
        _made(result, Path(folder))
        _public(result, Path(folder))
        _networks(result, Path(folder))
        _pipes(result, Path(folder))
    return result


def _made(result: Result, folder: Path) -> None:
    random = np.random.default_rng(SEED)
    generators = {"rigs": made.rigs, "plant": made.plant, "site": made.site, "homes": made.homes, "works": made.works}
    generators |= {"treatment": treatment.treatment, "station": station.station, "attacked": plant.plant}
    judged = {name: [foreign.judge(case, folder) for case in make(random)] for name, make in generators.items()}
    add = result.figures.__setitem__
    rates = foreign.f1(judged["rigs"])
    add("made_rigs_f1", Figure(rates["f1"], "F1", 0.7))
    add("made_rigs_quiet", Figure(1 - rates["far"], "share of normal points", 0.8))
    add("made_plant_s", Figure(foreign.attack_score(judged["plant"][0])["s"], "S", 0.8))
    for name in ("site", "works", "treatment", "station", "attacked"):
        marks = foreign.found(judged[name][0])
        add(f"made_{name}_found", Figure(marks["found"] / marks["faults"], "share of faults", 0.8))
        add(f"made_{name}_quiet", Figure(1 - marks["false_minutes"] / marks["minutes"], "share of minutes", 0.95))
    for minutes in SELDOM:
        case = next(station.station(np.random.default_rng(SEED), minutes))
        judged[f"station_{minutes}min"] = [foreign.judge(case, folder)]
    seldom = tuple(f"station_{minutes}min" for minutes in SELDOM)
    for name in seldom:
        marks = foreign.found(judged[name][0])
        add(f"made_{name}_found", Figure(marks["found"] / marks["faults"], "share of faults"))
    for name in ("treatment", "station", *seldom):
        works = judged[name][0]
        add(f"made_{name}_alarms", Figure(works.alarms.height / works.days, "alarms/day", 5, "lower"))
    attacked = judged["attacked"][0]
    add("made_attacked_s", Figure(foreign.attack_score(attacked)["s"], "S", 0.8))
    add("made_attacked_false", Figure(float(foreign.false_alarms(attacked)), "alarms in a day", 5, "lower"))
    judged |= _energy(result, folder)
    leaks, false = _leaks(judged["homes"][0])
    add("made_homes_found", Figure(leaks, "share of leaks", 0.9))
    add("made_homes_quiet", Figure(1 - false, "share of sound meters", 0.9))
    _planted(result, "made_meters", planted.homes(random), folder, 0.9, 0.05)
    _planted(result, "made_boilers", planted.boilers(np.random.default_rng(SEED)), folder, 0.9, 0.3)
    digest = blake2b(digest_size=16)
    for cases in judged.values():
        for one in cases:
            for row in one.alarms["alarm_id"]:
                digest.update(row.encode())
    result.hash = digest.hexdigest()


def _energy(result: Result, folder: Path) -> dict[str, list[Judged]]:
    """A heat substation and a gas station under attack: by five seconds, and for hours by five minutes."""
    judged = {}
    for (name, make), (called, every, longer) in product((("heated", energy.heat), ("regulated", energy.gas)), ENERGY):
        one = foreign.judge(next(make(np.random.default_rng(SEED), every, longer)), folder)
        marks = foreign.found(one)
        result.figures[f"made_{name}{called}_s"] = Figure(foreign.attack_score(one)["s"], "S", 0.8)
        result.figures[f"made_{name}{called}_found"] = Figure(marks["found"] / marks["faults"], "share of faults", 0.8)
        quiet = 1 - marks["false_minutes"] / marks["minutes"]
        result.figures[f"made_{name}{called}_quiet"] = Figure(quiet, "share of minutes", None if called else 0.8)
        judged[name + called] = [one]
    return judged


def _leaks(one: Judged) -> tuple[float, float]:
    """Leaking homes with an alarm about the process, and sound ones with any."""
    devices = set(one.case.data["device_id"].unique())
    leaking = {device for device in devices if int(device.rpartition("_")[2]) % 2}
    said = set(one.alarms.filter(one.alarms["category"] == "process")["device_id"])
    return len(said & leaking) / len(leaking), len(set(one.alarms["device_id"]) - leaking) / len(devices - leaking)


def _planted(result: Result, name: str, case: planted.Planted, folder: Path, least: float, most: float) -> None:
    """Faults of every kind, each in a meter of its own, and what is said of sound times, against two targets."""
    found, outside = planted.marks(case, folder)
    result.figures[f"{name}_found"] = Figure(len(found) / len(case.faults), "share of planted faults", least)
    result.figures[f"{name}_false"] = Figure(outside, "alarms a meter and month", most, "lower")
    missed = sorted(kind for device, (kind, _, _) in case.faults.items() if device not in found)
    result.notes.append(
        f"{name}: {len(found)} of {len(case.faults)} faults found, missed {', '.join(missed) or 'none'}"
    )


def _public(result: Result, folder: Path) -> None:
    root = Path(os.environ[DATA]) if os.environ.get(DATA) else None
    for name, (place, read) in sets.SETS.items():
        if root is None or not (root / place).is_dir():
            result.notes.append(f"{name}: skipped, {'no --data' if root is None else f'{root / place} is not there'}")
            continue
        began = time.monotonic()
        cases = list(read(root))
        judged = [foreign.judge(case, folder) for case in cases]
        MARKS[name](result, name, judged)
        for twist in TWISTED.get(name, ()):
            how = (twisted.SAME | twisted.HARDER | twisted.METHANE)[twist]
            MARKS[name](result, f"{name}_{twist}", [foreign.judge(how(case), folder) for case in cases])
        if name in PLANTED:
            case = planted.into(cases[0], np.random.default_rng(SEED))
            _planted(result, f"{name}_planted", case, folder, *PLANTED[name])
        alarms = sum(one.alarms.height for one in judged)
        result.notes.append(f"{name}: {len(judged)} runs, {alarms} alarms, {time.monotonic() - began:.1f} s")


def _networks(result: Result, folder: Path) -> None:
    """Leaks in networks of others, where WNTR is installed; L-Town where its files are."""
    if not networks.available():
        result.notes.append("net3, l-town: skipped, WNTR is not installed (pip install lifeline-engine[wntr])")
        return
    random = np.random.default_rng(SEED)
    _found(result, "net3", [foreign.judge(networks.net3(random), folder)])
    place = Path(os.environ.get(DATA, "")) / "battledim-2018"
    if not os.environ.get(DATA) or not (place / "L-TOWN.inp.gz").exists():
        result.notes.append("l-town: skipped, its model is not there (battledim-2018 under --data)")
        return
    _found(result, "l_town", [foreign.judge(networks.l_town(place, random), folder)])
    if WHOLE_YEAR in os.environ:
        _year(result, *(foreign.judge(case, folder) for case in networks.l_town_2018(place, random)))
    else:
        result.notes.append(f"l-town 2018, the whole year: skipped, two years of EPANET take minutes ({WHOLE_YEAR}=1)")


def _year(result: Result, leaking: Judged, whole: Judged) -> None:
    """Leaks with an alarm about the process before the next leak begins, beside the alarms of the year without any."""
    delays = foreign.delays_h(leaking)
    add = result.figures.__setitem__
    add("l_town_2018_found", Figure(float(len(delays)), f"of {len(leaking.faults)} leaks", len(leaking.faults)))
    if delays:
        add("l_town_2018_delay_h", figure(delays, "h", better="lower"))
    add("l_town_2018_alarms", Figure(float(leaking.alarms.height), f"alarms in {leaking.days:.0f} days"))
    add("l_town_2018_whole_alarms", Figure(float(whole.alarms.height), f"alarms in {whole.days:.0f} days", 0, "lower"))


def _pipes(result: Result, folder: Path) -> None:
    """Leaks in gas and heat networks, where pandapipes is installed."""
    if not pipes.available():
        result.notes.append("gas and heat rings: skipped, no pandapipes (pip install lifeline-engine[pandapipes])")
        return
    random = np.random.default_rng(SEED)
    for make in (pipes.gas, pipes.heat):
        case = make(random)
        _found(result, case.name, [foreign.judge(case, folder)])


def _attacks(result: Result, name: str, judged: list[Judged]) -> None:
    marks = foreign.attack_score(judged[0])
    add = result.figures.__setitem__
    add(f"{name}_s", Figure(marks["s"], "S", 0.8))
    add(f"{name}_tpr", Figure(marks["tpr"], "share of attack hours"))
    add(f"{name}_tnr", Figure(marks["tnr"], "share of normal hours"))


def _points(result: Result, name: str, judged: list[Judged]) -> None:
    marks = foreign.f1(judged)
    result.figures[f"{name}_f1"] = Figure(marks["f1"], "F1", 0.7)
    result.figures[f"{name}_far"] = Figure(marks["far"], "share of normal points", 0.2, "lower")


def _found(result: Result, name: str, judged: list[Judged]) -> None:
    marks = [foreign.found(one) for one in judged]
    hit, faults = sum(m["found"] for m in marks), sum(m["faults"] for m in marks)
    add = result.figures.__setitem__
    add(f"{name}_found", Figure(hit, f"of {faults:.0f} faults", faults))
    add(f"{name}_false_minutes", Figure(sum(m["false_minutes"] for m in marks), "min", None, "lower"))
    add(f"{name}_minutes", Figure(sum(m["minutes"] for m in marks), "min without a fault"))
    add(
        f"{name}_alarms_per_day",
        Figure(sum(o.alarms.height for o in judged) / sum(o.days for o in judged), "alarms/day"),
    )


def _streams(result: Result, name: str, judged: list[Judged]) -> None:
    flat = sum(one.alarms.height for one in judged if "flatline" in one.case.name)
    result.figures[f"{name}_flatline_alarms"] = Figure(flat, "alarms", 0, "lower")
    _found(result, name, judged)


def _burden(result: Result, name: str, judged: list[Judged]) -> None:
    result.figures[f"{name}_alarms"] = Figure(foreign.burden(judged[0]), "alarms a meter and month", None, "lower")


TWISTED: Final = {
    "batadal": ("half", "double", "missing", "fifth", "raised"),
    "skab": ("half", "double", "missing", "short", "fifth", "restless"),
    "stanford": ("half", "missing", "ppb", "nights"),
    "chilbolton": ("half", "missing"),
}
"""Sets that are judged again, told otherwise."""
PLANTED: Final = {"water-meters": (0.85, 0.15)}
"""Sets of meters that are judged again with a fault in each: least share found, most false alarms a meter and month."""
MARKS: Final[dict[str, Callable[[Result, str, list[Judged]], None]]] = {
    "batadal": _attacks,
    "skab": _points,
    "stanford": _found,
    "chilbolton": _found,
    "nab": _streams,
    "mine": _found,
    "water-meters": _burden,
    "gas-meter": _burden,
    "heat-meter": _burden,
    "branch": _burden,
}
