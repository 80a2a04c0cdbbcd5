"""The same history, told otherwise: what a set of the same kind from elsewhere may be like.

``SAME`` must change nothing that the rules say of a learned kind: it is the same plant. ``HARDER`` leaves less to judge
from, or other times: how far the marks fall is a figure. Faults and the end of the normal period stay where they are.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.quality.sets import Case

    Twist = Callable[[Case], Case]

POINT: Final = ("device_id", "quantity")
SEED: Final = 7


def _data(case: Case, data: pl.DataFrame) -> Case:
    return replace(case, data=data.select(case.data.columns).sort("ts", maintain_order=True))


def order(case: Case) -> Case:
    """Columns the other way round."""
    return _data(case, case.data.sort(POINT, descending=True, maintain_order=True))


def constant(case: Case) -> Case:
    """One more column that never moves."""
    more = (
        case.data.select("ts")
        .unique()
        .with_columns(device_id=pl.lit(case.data["device_id"][0]), quantity=pl.lit("zz_constant"), value=pl.lit(5.0))
    )
    return _data(case, pl.concat([case.data, more.select(case.data.columns)]))


def repeated(case: Case) -> Case:
    """One row in ten twice."""
    return _data(case, pl.concat([case.data, case.data.sample(fraction=0.1, seed=SEED)]))


def units(case: Case) -> Case:
    """Every value in tenths of its unit."""
    return _data(case, case.data.with_columns(pl.col("value") * 10))


def years_later(case: Case) -> Case:
    """400 days and five hours later, by the clock of somewhere else."""
    by = timedelta(days=400, hours=5)
    return replace(
        _data(case, case.data.with_columns(pl.col("ts") + by)),
        train_to=None if case.train_to is None else case.train_to + by,
        faults=[(start + by, end + by) for start, end in case.faults],
    )


def every(n: int) -> Twist:
    """One time in ``n``, the others left out."""

    def twist(case: Case) -> Case:
        kept = case.data.select("ts").unique().sort("ts").gather_every(n)
        return _data(case, case.data.join(kept, on="ts", how="semi", maintain_order="left"))

    return twist


def missing(share: float) -> Twist:
    """So many of the values left out, at random."""

    def twist(case: Case) -> Case:
        kept = np.random.default_rng(SEED).random(case.data.height) >= share
        return _data(case, case.data.filter(pl.Series(kept)))

    return twist


def between(case: Case) -> Case:
    """Twice as many rows: each value and, half way to the next, the mean of both."""
    middle = case.data.with_columns(
        ts=pl.col("ts") + (pl.col("ts").shift(-1).over(POINT) - pl.col("ts")) / 2,
        value=(pl.col("value") + pl.col("value").shift(-1).over(POINT)) / 2,
    ).drop_nulls()
    return _data(case, pl.concat([case.data, middle.with_columns(pl.col("ts").cast(case.data.schema["ts"]))]))


def learned(share: float) -> Twist:
    """The normal period over after this share of it: the rest of it is judged, and has no faults."""

    def twist(case: Case) -> Case:
        if case.train_to is None:
            return case
        start = datetime.fromtimestamp(int(case.data["ts"].dt.epoch("ms")[0]) / 1000, UTC)
        return replace(case, train_to=start + (case.train_to - start) * share)

    return twist


def ppb(case: Case) -> Case:
    """Methane in billionths above the background of the air, and nothing says so."""
    told = pl.when(pl.col("quantity").str.starts_with("ch4")).then(1000 * pl.col("value") + 1900)
    return _data(case, case.data.with_columns(value=told.otherwise("value")))


def nights(case: Case) -> Case:
    """Still nights: from six in the evening methane gathers near the ground for ten hours, with the sun it is gone.

    By up to 2 ppm, from night to night and sensor to sensor by more or less, and never evenly.
    """
    random = np.random.default_rng(SEED)
    points = case.data.select(POINT).unique(maintain_order=True).filter(pl.col("quantity").str.starts_with("ch4"))
    points = points.with_columns(share=pl.Series(random.uniform(0.7, 1.0, points.height)))
    times = case.data.select("ts").unique().sort("ts")
    hour = (times["ts"].dt.epoch("s").to_numpy() / 3600 + 6) % 24
    number = ((times["ts"].dt.epoch("s").to_numpy() / 3600 + 6) // 24).astype(np.int64)
    strength = random.uniform(0.6, 2.0, number.max() - number.min() + 1)[number - number.min()]
    gathered = np.interp(hour, [0, 10, 13, 24], [0, 1, 0, 0]) * strength
    wander = 1 + 0.15 * np.sin(2 * np.pi * hour / 1.7) + 0.1 * np.sin(2 * np.pi * hour / 0.6)
    rise = times.with_columns(rise=pl.Series(gathered * wander))
    whole = case.data.join(rise, on="ts", how="left", maintain_order="left")
    whole = whole.join(points, on=POINT, how="left", maintain_order="left")
    return _data(case, whole.with_columns(value=pl.col("value") + pl.col("rise") * pl.col("share").fill_null(0.0)))


def raised(by: float) -> Twist:
    """So much more on every value: levels above the sea, kelvin."""
    return lambda case: _data(case, case.data.with_columns(pl.col("value") + by))


def restless(share: float) -> Twist:
    """Rows that come early or late by up to such a share of their spacing, all members of one together."""

    def twist(case: Case) -> Case:
        ts = case.data.select("ts").unique().sort("ts")
        spacing = float(np.median(np.diff(ts["ts"].dt.epoch("ms").to_numpy())))
        by = (np.random.default_rng(SEED).uniform(-share, share, ts.height) * spacing).astype(np.int64)
        moved = case.data.join(
            ts.with_columns(by=pl.Series(by).cast(pl.Duration("ms"))), on="ts", maintain_order="left"
        )
        return _data(case, moved.with_columns((pl.col("ts") + pl.col("by")).cast(case.data.schema["ts"])))

    return twist


SAME: Final[dict[str, Twist]] = {
    "order": order,
    "constant": constant,
    "repeated": repeated,
    "units": units,
    "years_later": years_later,
}
HARDER: Final[dict[str, Twist]] = {
    "half": every(2),
    "third": every(3),
    "double": between,
    "missing": missing(0.1),
    "short": learned(0.6),
    "fifth": learned(0.2),
    "raised": raised(1000.0),
    "restless": restless(0.4),
}
METHANE: Final[dict[str, Twist]] = {"ppb": ppb, "nights": nights}
"""Sites elsewhere: releases stay where they are."""
