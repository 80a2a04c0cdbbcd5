"""Physics made by others: leaks in published water networks, simulated by EPANET through WNTR (the extra ``wntr``).

A leak is a demand at the nearer end of its pipe, C A sqrt(2 g h) with the node's pressure head without the leak (EPANET
has no emitter that opens at a time); head hardly changes by what these leaks draw. Demands vary by customer and hour,
sensors add noise. What the rules see is what the published instrumentation would tell: pressures, flows and levels.
"""

from __future__ import annotations

import gzip
import math
import tempfile
import warnings
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from benchmarks.quality.sets import Case, long

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

Sensors = tuple[list[str], list[str], list[str]]
"""Nodes with a pressure, tanks with a level, links with a flow."""
START: Final = datetime(2018, 1, 1, tzinfo=UTC)
YEAR_H: Final = 365 * 24
STEP_S: Final = 300
"""How often the published instruments report."""
DISCHARGE: Final = 0.75
GRAVITY: Final = 9.81
SENSORS: Final = ("pressure", "flow", "level")
SENSOR_NOISE: Final = 0.02
"""Standard deviation of a pressure or level in metres of water, and of a flow in shares of its own."""
DEMAND_NOISE: Final = 0.05
"""How much the draw of a pattern varies from hour to hour."""


@dataclass(frozen=True)
class Leak:
    """A hole of ``diameter_m`` in a pipe, open from ``start`` to ``end`` (hours).

    Its diameter grows evenly to that size until ``peak``, so what it draws grows by the square, as in the published
    generator (``dataset_generator.py`` of BattLeDIM).
    """

    pipe: str
    diameter_m: float
    start: float
    end: float
    peak: float


def available() -> bool:
    """Whether WNTR is installed."""
    try:
        import wntr  # noqa: F401
    except ImportError:
        return False
    return True


def net3(random: np.random.Generator) -> Case:
    """EPANET's example network Net3 (97 nodes): four weeks, three leaks in the last two."""
    import wntr

    folder = wntr.__file__.rpartition("/")[0]
    leaks = [Leak("111", 0.12, 380, 404, 380), Leak("189", 0.10, 480, 504, 490), Leak("229", 0.12, 580, 600, 580)]
    nodes = ["15", "35", "105", "113", "143", "161", "189", "203", "211", "239", "255"]
    sensors = (nodes, ["1", "2", "3"], ["10", "335", "20", "40"])
    return _case("net3", f"{folder}/library/networks/Net3.inp", 672, 900, leaks, sensors, random, 336)


def l_town(folder: Path, random: np.random.Generator) -> Case:
    """L-Town with the published sensors: three weeks whole, then six leaks of the published sizes, a day each."""
    leaks = [
        Leak(leak.pipe, leak.diameter_m, 530.0 + 48 * k, 554.0 + 48 * k, 530.0 + 48 * k)
        for k, leak in enumerate(published(folder)[:6])
    ]
    with _model(folder) as model:
        return _case("l_town", model, 840, 900, leaks, _instruments(folder), random, 504)


def l_town_2018(folder: Path, random: np.random.Generator) -> tuple[Case, Case]:
    """(L-Town in 2018 with all fourteen leaks as published, the same year without any), as its instruments report.

    Trained on the week before the first leak; that one and three others are never repaired, so what an alarm is worth
    shows only beside the year without leaks.
    """
    leaks = published(folder)
    with _model(folder) as model:
        whole, leaking = _simulate(model, YEAR_H, STEP_S, leaks, random)
    sensors, train_h = _instruments(folder), math.floor(min(leak.start for leak in leaks))
    return (
        _seen("l_town_2018", leaking, leaks, STEP_S, sensors, random, train_h),
        _seen("l_town_2018_whole", whole, [], STEP_S, sensors, random, train_h),
    )


def published(folder: Path) -> list[Leak]:
    """The leaks of BattLeDIM's historical year (Vrachimis et al. 2022), in hours since its first."""
    listed = pl.read_csv(folder / "leaks_2018.csv", try_parse_dates=True)
    hours = {
        name: (listed[name] - START.replace(tzinfo=None)).dt.total_seconds() / 3600 for name in ("start", "end", "peak")
    }
    columns = (listed["link_id"], listed["leak_diameter_m"], hours["start"], hours["end"], hours["peak"])
    return [Leak(str(pipe), *map(float, rest)) for pipe, *rest in zip(*columns, strict=True)]


def drawn(leak: Leak, hour: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of its full flow that a leak draws at these hours."""
    grown = np.clip((hour - leak.start) / max(leak.peak - leak.start, 1e-9), 0, 1)
    return np.where((hour >= leak.start) & (hour < leak.end), grown**2, 0.0)


def _instruments(folder: Path) -> Sensors:
    listed = pl.read_csv(folder / "sensors.csv")
    named = {key: listed.filter(pl.col("kind").str.contains(key))["id"].cast(pl.String).to_list() for key in SENSORS}
    return named["pressure"], named["level"], named["flow"]


@contextmanager
def _model(folder: Path) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="lifeline-l-town-") as place:
        model = Path(place) / "L-TOWN.inp"
        model.write_bytes(gzip.decompress((folder / "L-TOWN.inp.gz").read_bytes()))
        yield str(model)


def _case(
    name: str, file: str, hours: int, step_s: int, leaks: list[Leak],
    sensors: Sensors, random: np.random.Generator, train_h: int,
) -> Case:  # fmt: skip
    _, found = _simulate(file, hours, step_s, leaks, random)
    return _seen(name, found, leaks, step_s, sensors, random, train_h)


def _simulate(file: str, hours: int, step_s: int, leaks: list[Leak], random: np.random.Generator) -> tuple[Any, Any]:
    """The network twice: without leaks (for their pressures too), and with them."""
    import wntr

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = wntr.network.WaterNetworkModel(file)
        time = model.options.time
        time.duration, time.hydraulic_timestep, time.report_timestep = hours * 3600, step_s, step_s
        pattern_s, time.pattern_timestep, steps = float(time.pattern_timestep), step_s, hours * 3600 // step_s
        _vary(model, steps, step_s, pattern_s, random)
        ends = [model.get_link(leak.pipe).start_node_name for leak in leaks]
        whole = _run(model)
        head = whole.node["pressure"][ends].median()
        for k, (leak, end) in enumerate(zip(leaks, ends, strict=True)):
            area = math.pi * leak.diameter_m**2 / 4
            flow = DISCHARGE * area * math.sqrt(2 * GRAVITY * max(float(head.iloc[k]), 1.0))
            share = drawn(leak, np.arange(steps) * step_s / 3600)
            model.add_pattern(f"leak-{k}", list(share))
            model.get_node(end).add_demand(flow, f"leak-{k}")
        return whole, _run(model)


def _seen(
    name: str, found: Any, leaks: list[Leak], step_s: int, sensors: Sensors, random: np.random.Generator, train_h: int
) -> Case:
    """What the sensors tell of a simulation."""
    signals: dict[str, Any] = {}
    nodes, tanks, links = sensors
    for kind, names, table in (("p", nodes, found.node["pressure"]), ("l", tanks, found.node["pressure"])):
        for one in names:
            signals[f"{kind}_{one}"] = table[one].to_numpy() + random.normal(0, SENSOR_NOISE, len(table))
    for one in links:
        flow = found.link["flowrate"][one].to_numpy() * 3600
        signals[f"f_{one}"] = flow * (1 + random.normal(0, SENSOR_NOISE, len(flow)))
    count = len(next(iter(signals.values())))
    ts = [(START + timedelta(seconds=step_s * k)).replace(tzinfo=None) for k in range(count)]
    frame = pl.DataFrame({"ts": pl.Series(ts, dtype=pl.Datetime("ms")), **signals})
    faults = [(START + timedelta(hours=leak.start), START + timedelta(hours=leak.end)) for leak in leaks]
    return Case(name, "water-scada", long(frame, name), START + timedelta(hours=train_h), faults)


def _vary(model: Any, steps: int, step_s: int, pattern_s: float, random: np.random.Generator) -> None:
    """Every pattern over the whole time, each hour with a draw of its own."""
    for name in model.pattern_name_list:
        pattern = model.get_pattern(name)
        base, seconds = np.asarray(pattern.multipliers, float), np.arange(steps) * step_s
        draws = 1 + random.normal(0, DEMAND_NOISE, int(seconds[-1]) // 3600 + 1)
        pattern.multipliers = base[(seconds // pattern_s).astype(int) % len(base)] * draws[seconds // 3600]


def _run(model: Any) -> Any:
    """In a folder of its own: EPANET writes its hydraulics (1.5 GB of L-Town's year) into the one where it is run."""
    import wntr

    with tempfile.TemporaryDirectory(prefix="lifeline-epanet-") as folder, chdir(folder):
        return wntr.sim.EpanetSimulator(model).run_sim(file_prefix=f"{folder}/net")
