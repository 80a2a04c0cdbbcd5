"""``lifeline rules backtest | fit``: rules over the lake of a site, or over foreign history."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow.parquet as pq

from lifeline.app.backtest_doubts import NOTHING, VALUELESS, unfindable, unjudged, unlearned, unwatched
from lifeline.app.backtest_report import busiest, page
from lifeline.app.past import past
from lifeline.app.rules import no_rules
from lifeline.app.seen_alarms import ends_by_people, with_ends
from lifeline.app.since import parse_time
from lifeline.app.site import load_site
from lifeline.app.truth_file import read_truth
from lifeline.app.written import has_folder, written
from lifeline.core.errors import ConfigurationError, Problem
from rules.backtest import looked, run
from rules.burden import burden
from rules.fit import Written, fit, proposal
from rules.rule_set import RuleSet
from rules.score import score
from rules.spec import GROUP

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa

    from lifeline.app.foreign_history import Progress
    from lifeline.core.registry import Registry
    from rules.backtest import BacktestResult


def backtest_rules(
    path: Path,
    *,
    config: Path,
    data: Path | Sequence[Path] | None = None,
    registry: Path | None = None,
    start: str | None = None,
    end: str | None = None,
    train_to: str | None = None,
    truth: Path | None = None,
    alarms: Path | None = None,
    timezone: str | None = None,
    report: Path | None = None,
    shadow: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Run rules over the lake of a site, or over foreign history; the contract's report (section 7).

    ``shadow``: the candidates instead of the rules beside which they run.
    ``progress`` is told what is done, how much of it, and of how much: readings after each batch.

    Raises:
        ConfigurationError: rules, times or files are wrong, or ``train_to`` leaves nothing to judge.
    """
    began = time.monotonic()
    has_folder(alarms, "--alarms")
    has_folder(report, "--report")
    rules = _chosen(path, shadow=shadow)
    labelled = None if truth is None else read_truth(truth)
    history = past(config, data or None, registry, start, end, timezone, progress)
    train_ms = parse_time(train_to, "--train-to")
    doubts = unjudged(history.span, train_ms)
    if data:
        doubts += unwatched(rules, history.points)
    batches = history.looked(progress)
    until, spans = parse_time(end, "--to"), history.spans
    result = run(rules, history.points, batches, history.zone, train_to=train_ms, end=until, spans=spans)
    if not data:
        result = with_ends(result, ends_by_people(load_site(config), rules))
    if not result.end_ms and NOTHING not in doubts:
        doubts.append(NOTHING)
    by_value = {rule.id for rule in rules.rules if rule.evaluate == "reading"}
    judged = [row["readings"] for row in result.rules if row["id"] in by_value and row["points"]]
    if judged and not any(judged) and NOTHING not in doubts:
        doubts.append(VALUELESS)
    found: dict[str, Any] = {
        "rules": result.rules,
        "alarms": result.alarms.num_rows,
        "load": burden(result.alarms, result.start_ms, result.end_ms),
        "warnings": doubts + history.said + unlearned(result.learning),
    }
    if labelled is not None:
        if result.end_ms:
            found["warnings"] += unfindable(labelled, history.points, result.start_ms, result.end_ms)
        found["score"] = score(result.alarms, labelled, result.days, _members(rules, history.points))
    if alarms is not None:
        written(alarms, "--alarms", lambda: _save_alarms(result.alarms, alarms))
    if report is not None:
        series = history.series(busiest(result.alarms))
        zone = ZoneInfo(history.zone)
        text = page(found, result.alarms, result.start_ms, result.end_ms, series, labelled, zone)
        written(report, "--report", lambda: report.write_text(text, "utf-8"))
    return found | {"elapsed_s": round(time.monotonic() - began, 3)}


def fit_rules(
    path: Path,
    *,
    config: Path,
    data: Path | Sequence[Path] | None = None,
    registry: Path | None = None,
    start: str | None = None,
    end: str | None = None,
    train_to: str | None = None,
    timezone: str | None = None,
    budget: float = 1.0,
    names: Sequence[str] = (),
    out: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Limits at which a normal period would have cost ``budget`` alarms a day, by rule; writes the rules so changed.

    Returns ``rules``: for each that has something to fit, ``param``, ``value`` and ``proposed``, what each costs in
    ``alarms_per_day``, and the ``steps`` tried; ``out``: the file that was written, None where no limit needs another
    value; ``warnings`` and ``elapsed_s``.

    Raises:
        ConfigurationError: rules, times or files are wrong, or a rule named has no limit.
    """
    began = time.monotonic()
    if not budget > 0:
        remedy = "false alarms a day, of one rule over all its points"
        raise ConfigurationError([Problem("command line", "--budget", f"{budget:g} is not above 0", remedy)])
    has_folder(out, "--out")
    rules = _some(path)
    text = None if out is None else Written.of([path], rules)
    history = past(config, data or None, registry, start, end, timezone, progress)
    train_ms = parse_time(train_to, "--train-to")
    doubts = unjudged(history.span, train_ms)
    batches = looked(history.points, history.ready(progress))

    def replay(changed: RuleSet, number: int, of: int) -> BacktestResult:
        until, spans = parse_time(end, "--to"), history.spans
        made = run(changed, history.points, batches, history.zone, train_to=train_ms, end=until, spans=spans)
        if progress is not None:
            progress("rules 规则", number, of)
        return made

    fits = fit(rules, replay, budget, names)
    changed = any(one.proposed != one.value for one in fits)
    if out is not None and text is not None and changed:
        proposed = proposal(text, fits, budget)
        written(out, "--out", lambda: out.write_text(proposed, "utf-8"))
        RuleSet.load([out], beside=rules)
    return {
        "budget": budget,
        "rules": [one.row() for one in fits],
        "out": str(out) if out is not None and changed else None,
        "warnings": doubts + history.said,
        "elapsed_s": round(time.monotonic() - began, 3),
    }


def _some(path: Path) -> RuleSet:
    """The rules of a file or folder, at least one."""
    rules = RuleSet.load([path])
    if not rules.rules and not rules.shadow:
        raise ConfigurationError([no_rules(path)])
    return rules


def _chosen(path: Path, *, shadow: bool) -> RuleSet:
    rules = _some(path)
    if shadow and not rules.shadow:
        remedy = "mark a candidate with shadow = true"
        raise ConfigurationError([Problem("command line", "--shadow", f"{path} has no shadow rules", remedy)])
    return rules.candidates if shadow else rules


def _save_alarms(alarms: pa.Table, path: Path) -> None:
    """As Parquet, or as the ending says: ``.csv``, ``.json`` (a list) or ``.jsonl`` (a line each)."""
    kind = path.suffix.lower()
    if kind not in {".csv", ".json", ".jsonl", ".ndjson"}:
        pq.write_table(alarms, path, compression="zstd")
        return
    frame = pl.from_arrow(alarms)
    assert isinstance(frame, pl.DataFrame)
    iso = frame.with_columns(pl.col(pl.Datetime).dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"))
    if kind == ".csv":
        iso.write_csv(path)
    elif kind == ".json":
        iso.write_json(path)
    else:
        iso.write_ndjson(path)


def _members(rules: RuleSet, points: Registry) -> dict[tuple[str, str | None], frozenset[str]]:
    """Devices of each group, for the rules whose alarms are about whole groups."""
    devices: dict[str, set[str]] = {}
    for group, device in zip(points.column("group"), points.column("device_id"), strict=True):
        if group is not None and device is not None:
            devices.setdefault(group, set()).add(device)
    grouped = [rule.id for rule in rules.rules if rule.evaluate == "group" and rule.group == GROUP]
    return {(rule, group): frozenset(named) for rule in grouped for group, named in devices.items()}
