"""Public data sets as the contract's foreign history: data, registry, truth and the end of the normal period.

Each set is read from a folder that the user has (``--data``); none of its rows is in this repository. A set that is not
there is skipped. Quantities are the data's own columns in snake case, kinds say what the points are; nothing else is
known to the rules.
"""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TRUTH: Final[dict[str, Any]] = {
    "fault_id": pl.String, "kind": pl.String, "device_id": pl.String, "quantity": pl.String,
    "start": pl.Datetime("ms", "UTC"), "end": pl.Datetime("ms", "UTC"),
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One run: ``data`` long (ts, device_id, quantity, value), and who is who."""

    name: str
    kind: str
    data: pl.DataFrame
    train_to: datetime | None = None
    faults: list[tuple[datetime, datetime]] = field(default_factory=list)
    timezone: str = "UTC"

    def registry(self) -> pl.DataFrame:
        """Every point of the data; one group a case."""
        points = self.data.select("device_id", "quantity").unique(maintain_order=True)
        return points.with_columns(kind=pl.lit(self.kind), group=pl.lit(self.name))

    def truth(self) -> pl.DataFrame:
        """The faults, anywhere in the data."""
        rows = [(f"{self.name}-{k}", "event", None, None, a, b) for k, (a, b) in enumerate(self.faults)]
        return pl.DataFrame(rows, schema=TRUTH, orient="row")


def snake(column: str) -> str:
    """A column's name in snake case: ``Volume Flow RateRMS`` becomes ``volume_flow_rate_rms``."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", column.strip())
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")


def long(wide: pl.DataFrame, device: str) -> pl.DataFrame:
    """Columns beside ``ts`` as quantities of one device, nulls left out."""
    parts = [
        wide.select(
            ts=pl.col("ts").cast(pl.Datetime("ms")),
            device_id=pl.lit(device),
            quantity=pl.lit(snake(name)),
            value=pl.col(name).cast(pl.Float64),
        )
        for name in wide.columns
        if name != "ts"
    ]
    return pl.concat(parts).drop_nulls("value").sort("ts", maintain_order=True)


def runs(times: pl.Series, wrong: pl.Series) -> list[tuple[datetime, datetime]]:
    """Spells of rows that are wrong, to the row after the last."""
    stamps, flags = times.to_list(), wrong.cast(pl.Boolean).to_list()
    found, start = [], None
    for at, flag in zip(stamps, flags, strict=True):
        if flag and start is None:
            start = at
        elif not flag and start is not None:
            found.append((_utc(start), _utc(at)))
            start = None
    if start is not None:
        found.append((_utc(start), _utc(stamps[-1]) + timedelta(seconds=1)))
    return found


def batadal(root: Path) -> Iterator[Case]:
    """C-Town under attack: a year without attacks, then half a year with seven."""
    parts = []
    for name in ("dataset03_normal.csv.gz", "dataset04_labelled.csv.gz"):
        frame = pl.read_csv(root / "batadal" / name)
        parts.append(
            frame.with_columns(ts=(pl.col("DATETIME") + ":00").str.strptime(pl.Datetime("ms"), "%d/%m/%y %H:%M"))
        )
    whole = pl.concat(
        [part.drop("DATETIME", "ATT_FLAG").select(pl.all().exclude("ts").cast(pl.Float64), "ts") for part in parts]
    )
    tested = parts[-1]
    faults = runs(tested["ts"], tested["ATT_FLAG"] == 1)
    yield Case("c_town", "water-scada", long(whole, "c_town"), _utc(tested["ts"][0]), faults)


def skab(root: Path) -> Iterator[Case]:
    """A rig with valves: each file one experiment, its first 400 rows normal."""
    for path in sorted((root / "skab").glob("*/*.csv.gz")):
        frame = pl.read_csv(path, separator=";", try_parse_dates=True).rename({"datetime": "ts"})
        name = f"rig_{path.parent.name}_{path.name.partition('.')[0]}"
        faults = runs(frame["ts"], frame["anomaly"] == 1)
        data = long(frame.drop("anomaly", "changepoint"), name)
        yield Case(name, "rig", data, _utc(frame["ts"][400]), faults)


def stanford(root: Path) -> Iterator[Case]:
    """Six methane sensors around a site with nine known releases in a week; the first night is normal."""
    folder = root / "stanford-ch4-2022"
    frame = pl.read_csv(folder / "obs_1min.csv.gz", try_parse_dates=True).rename({"time_utc": "ts"})
    releases = pl.read_csv(folder / "releases.csv", try_parse_dates=True)
    faults = [(_utc(a), _utc(b)) for a, b in zip(releases["start.time.utc"], releases["end.time.utc"], strict=True)]
    yield Case("site", "methane-ambient", long(frame, "site"), _utc(frame["ts"][0]) + timedelta(hours=12), faults)


def chilbolton(root: Path) -> Iterator[Case]:
    """Seven open beams over a field, two releases; the gas cylinder's mass tells when."""
    releases = {"rel02": ("20170509", "11:26", "11:40"), "rel08": ("20170511", "09:51", "10:53")}
    for release, (day, start, end) in releases.items():
        beams = sorted((root / "chilbolton-ch4" / day).glob(f"{release}_POS*.txt.gz"))
        if not beams:
            continue
        data = pl.concat([_beam(path, f"beam_{k}") for k, path in enumerate(beams, 1)]).sort("ts", maintain_order=True)
        times = [datetime.strptime(f"{day} {clock}", "%Y%m%d %H:%M").replace(tzinfo=UTC) for clock in (start, end)]
        yield Case(release, "methane-ambient", data, None, [(times[0], times[1])])


def _beam(path: Path, device: str) -> pl.DataFrame:
    with gzip.open(path, "rt", encoding="latin-1") as lines:
        text = lines.read().splitlines()
    began = datetime.strptime(text[3].split("\t")[0].strip()[:19], "%m/%d/%Y %H:%M:%S").replace(tzinfo=UTC)
    names = text[13].split()
    rows = [[float(x) for x in line.split()] for line in text[14:] if line.strip()]
    frame = pl.DataFrame(rows, schema=names, orient="row")
    ts = [(began + timedelta(seconds=s)).replace(tzinfo=None) for s in frame[names[0]]]
    return long(frame.drop(names[0]).with_columns(ts=pl.Series(ts, dtype=pl.Datetime("ms"))), device)


def nab(root: Path) -> Iterator[Case]:
    """Single streams at five minutes, with windows; 15 % of each is probation."""
    import json

    windows = json.loads((root / "nab" / "windows.json").read_text("utf-8"))
    for path in sorted((root / "nab" / "data").glob("*/*.csv.gz")):
        frame = pl.read_csv(path, try_parse_dates=True).rename({"timestamp": "ts"})
        name = path.name.partition(".")[0]
        spans = windows.get(f"{path.parent.name}/{name}.csv", [])
        faults = [(_utc(datetime.fromisoformat(a)), _utc(datetime.fromisoformat(b))) for a, b in spans]
        yield Case(name, "rig", long(frame, name), _utc(frame["ts"][int(frame.height * 0.15)]), faults)


def mine(root: Path) -> Iterator[Case]:
    """A coal face: rows of 30 s; a fault is methane at 1.0 % in the coming three minutes."""
    with gzip.open(root / "mine-methane" / "methane-train.arff.gz", "rt") as lines:
        text = lines.read().splitlines()
    names = [line.split()[1].strip("'\"") for line in text if line.lower().startswith("@attribute")]
    start = [line.lower().strip() for line in text].index("@data") + 1
    rows = [[float(x.strip(" '\"")) for x in line.split(",")] for line in text[start:] if line.strip()]
    frame = pl.DataFrame(rows, schema=names, orient="row")
    began = datetime(2015, 1, 1)  # noqa: DTZ001 - the data has no times: any will do
    ts = pl.Series([began + timedelta(seconds=30 * k) for k in range(frame.height)], dtype=pl.Datetime("ms"))
    faults = runs(ts, frame["MM116"] >= 1.0)
    data = frame.drop("DMM116", "MM116_pred", strict=False).with_columns(ts=ts)
    yield Case("face", "mine-methane", long(data, "face"), None, faults)


def water_meters(root: Path) -> Iterator[Case]:
    """Households' meters, about hourly, a year: cumulative litres."""
    frame = pl.read_csv(root / "daiad-water-meters" / "meters.csv.gz", try_parse_dates=True)
    data = frame.select(
        ts=pl.col("datetime").cast(pl.Datetime("ms")),
        device_id="user",
        quantity=pl.lit("reading_l"),
        value=pl.col("reading_l").cast(pl.Float64),
    )
    yield Case(
        "households", "water-meter", data.sort("ts", maintain_order=True), _third(data), timezone="Europe/Madrid"
    )


def gas_meter(root: Path) -> Iterator[Case]:
    """A building's gas, hourly."""
    frame = pl.read_csv(root / "hva-gas-hourly" / "exportWeb.csv.gz", try_parse_dates=True)
    data = long(frame.select(ts=pl.col("Momentum"), gas_m3=pl.col("gas [m3]")), "building")
    yield Case("building", "gas-meter", data, _third(data), timezone="Europe/Amsterdam")


def heat_meter(root: Path) -> Iterator[Case]:
    """A dwelling's heat meter, hourly, three years of cumulative registers."""
    frame = pl.read_csv(root / "danish-heat-meter" / "processed_final_data_sample.csv.gz", try_parse_dates=True)
    wide = frame.drop("customer_id", "meter_id").rename({"time_rounded": "ts"})
    data = long(wide.with_columns(pl.col("ts").cast(pl.Datetime("ms"))), "meter_660")
    yield Case("dwelling", "heat-meter", data, _third(data), timezone="Europe/Copenhagen")


def branch(root: Path) -> Iterator[Case]:
    """Flow of a pipeline's branch, hourly."""
    frame = pl.read_csv(root / "river-water-flow" / "water-flow.csv.gz")
    ts = frame["Time"].str.to_datetime(time_zone="UTC").dt.replace_time_zone(None)
    data = long(pl.DataFrame({"ts": ts, "water_flow": frame[frame.columns[1]]}), "branch")
    yield Case("branch", "water-meter", data, _third(data), timezone="Europe/Paris")


SETS: Final[dict[str, tuple[str, Callable[[Path], Iterator[Case]]]]] = {
    "batadal": ("batadal", batadal),
    "skab": ("skab", skab),
    "stanford": ("stanford-ch4-2022", stanford),
    "chilbolton": ("chilbolton-ch4", chilbolton),
    "nab": ("nab", nab),
    "mine": ("mine-methane", mine),
    "water-meters": ("daiad-water-meters", water_meters),
    "gas-meter": ("hva-gas-hourly", gas_meter),
    "heat-meter": ("danish-heat-meter", heat_meter),
    "branch": ("river-water-flow", branch),
}
"""Folder of each set, and what reads it."""


def _utc(at: datetime) -> datetime:
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _third(data: pl.DataFrame) -> datetime:
    """The first third of a history without labels is its normal period."""
    first, last = data["ts"].min(), data["ts"].max()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    return _utc(first + (last - first) / 3)
