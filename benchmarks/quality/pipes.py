"""Physics made by others: gas and heat networks simulated by pandapipes (the extra ``pandapipes``), with leaks in them.

Both are small looped networks that change from hour to hour with their customers. What the rules see is what a dispatch
centre would: pressures at some nodes and the flows in and out. A leak draws from one node for a day.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import polars as pl

from benchmarks.quality.sets import Case, long

START: Final = datetime(2026, 1, 5, tzinfo=UTC)
HOURS: Final = 35 * 24
TRAIN_H: Final = 21 * 24
LEAKS: Final = ((530, 554), (610, 634), (690, 714), (770, 794))
"""Hours from the start."""
DRAW_NOISE: Final = 0.05
"""How much a customer's draw varies from hour to hour, as a share."""
PRESSURE_NOISE: Final = 0.0002
"""Standard deviation of a pressure, bar; of a flow a hundredth of itself."""
FLOW_NOISE: Final = 0.01
LOSS: Final = 0.003
"""Water that a sound heat network loses, as a share of what circulates: good operation is at most 0.005."""
RING: Final = ((0, 1, 0.5), (1, 2, 0.4), (2, 3, 0.4), (3, 4, 0.4), (1, 5, 0.6), (5, 6, 0.4), (6, 4, 0.3))
"""From node, to node, km: a feed and a ring behind it."""
NODES: Final = 7


def available() -> bool:
    """Whether pandapipes is installed."""
    try:
        import pandapipes  # noqa: F401
    except ImportError:
        return False
    return True


def gas(random: np.random.Generator) -> Case:
    """A low-pressure network of natural gas; a leak of a tenth to a quarter of what is usually drawn."""
    import pandapipes as pp

    net = pp.create_empty_network(fluid="lgas")
    nodes = [pp.create_junction(net, pn_bar=1.0, tfluid_k=283.15) for _ in range(NODES)]
    pp.create_ext_grid(net, nodes[0], p_bar=0.03, t_k=283.15)
    _ring(net, nodes, 100.0)
    draws = [pp.create_sink(net, node, mdot_kg_per_s=0.004) for node in nodes[2:]]
    leaks = [pp.create_sink(net, nodes[node], mdot_kg_per_s=0.0) for node in (3, 6, 4, 2)]
    use = _use(random, len(draws)) * 0.004
    leaking = _leaking(random) * 0.004 * len(draws)
    rows: list[list[float]] = []
    for hour in range(HOURS):
        net.sink.loc[draws, "mdot_kg_per_s"] = use[hour]
        net.sink.loc[leaks, "mdot_kg_per_s"] = leaking[hour]
        pp.pipeflow(net, use_numba=False)
        rows.append([*net.res_junction.p_bar, -float(net.res_ext_grid.mdot_kg_per_s.iloc[0])])
    return _case("gas_ring", "gas-scada", [*(f"p_{k}" for k in range(NODES)), "f_inlet"], rows, random)


def heat(random: np.random.Generator) -> Case:
    """A primary heat network: feed and return with a customer at each node; a leak is water that does not return."""
    import pandapipes as pp

    net = pp.create_empty_network(fluid="water")
    hot = [pp.create_junction(net, pn_bar=6.0, tfluid_k=363.15) for _ in range(NODES)]
    cold = [pp.create_junction(net, pn_bar=4.0, tfluid_k=323.15) for _ in range(NODES)]
    pp.create_ext_grid(net, hot[0], p_bar=6.0, t_k=363.15)
    pp.create_ext_grid(net, cold[0], p_bar=4.0, type="p")
    _ring(net, hot, 150.0)
    _ring(net, cold, 150.0)
    for k in range(2, NODES):
        pp.create_flow_control(net, hot[k], cold[k], controlled_mdot_kg_per_s=2.0)
    leaks = [pp.create_sink(net, hot[node], mdot_kg_per_s=0.0) for node in (3, 6, 4, 2)]
    use = _use(random, NODES - 2) * 2.0
    leaking = _leaking(random) * 0.2 * 2.0 * (NODES - 2)
    rows: list[list[float]] = []
    for hour in range(HOURS):
        net.flow_control["controlled_mdot_kg_per_s"] = use[hour]
        net.sink.loc[leaks, "mdot_kg_per_s"] = leaking[hour]
        pp.pipeflow(net, use_numba=False)
        feed, back = (abs(float(flow)) for flow in net.res_ext_grid.mdot_kg_per_s)
        makeup = feed - back + LOSS * feed * random.normal(1.0, 0.3)
        rows.append([*net.res_junction.p_bar, feed, back, makeup])
    names = [f"p_{side}_{k}" for side in ("hot", "cold") for k in range(NODES)]
    return _case("heat_ring", "heat-scada", [*names, "f_feed", "f_return", "f_makeup"], rows, random)


def _ring(net: Any, nodes: list[int], diameter_mm: float) -> None:
    import pandapipes as pp

    for a, b, km in RING:
        pp.create_pipe_from_parameters(net, nodes[a], nodes[b], km, inner_diameter_mm=diameter_mm, k_mm=0.1)


def _use(random: np.random.Generator, customers: int) -> np.ndarray[Any, Any]:
    """Hours x customers: a day with a morning and an evening, weekends later, each customer a little different."""
    hour = np.arange(HOURS)[:, None]
    day = 1 + 0.4 * np.sin((hour - 6) / 24 * 2 * np.pi) + 0.2 * np.sin(hour / 12 * 2 * np.pi + random.random(customers))
    return np.asarray(day * (1 + random.normal(0, DRAW_NOISE, (HOURS, customers))))


def _leaking(random: np.random.Generator) -> np.ndarray[Any, Any]:
    """Hours x leaks: the share of the whole draw that escapes."""
    shares = random.uniform(0.1, 0.25, len(LEAKS))
    hour = np.arange(HOURS)
    return np.stack([np.where((hour >= a) & (hour < b), s, 0.0) for (a, b), s in zip(LEAKS, shares, strict=True)], 1)


def _case(name: str, kind: str, names: list[str], rows: list[list[float]], random: np.random.Generator) -> Case:
    """What the sensors tell."""
    signals: dict[str, Any] = {}
    for column, values in zip(names, np.array(rows).T, strict=True):
        noise = PRESSURE_NOISE if column.startswith("p_") else FLOW_NOISE * np.abs(values)
        signals[column] = values + random.normal(0, 1, len(values)) * noise
    ts = [(START + timedelta(hours=k)).replace(tzinfo=None) for k in range(HOURS)]
    frame = pl.DataFrame({"ts": pl.Series(ts, dtype=pl.Datetime("ms")), **signals})
    faults = [(START + timedelta(hours=a), START + timedelta(hours=b)) for a, b in LEAKS]
    return Case(name, kind, long(frame, name), START + timedelta(hours=TRAIN_H), faults)
