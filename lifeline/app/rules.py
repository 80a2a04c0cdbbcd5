"""``lifeline rules check | list | backtest``."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import pyarrow.parquet as pq

from lifeline.app.history import foreign_history, lake_history
from lifeline.app.since import parse_time
from lifeline.app.site import load_site
from lifeline.core.errors import ConfigurationError, Problem
from lifeline.lake.query import open_catalog
from rules.backtest import run
from rules.evaluate import RuleSet
from rules.page import page
from rules.score import score

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

PAGE_TITLE: Final = "规则库 / Rule library"


def _rows(rules: RuleSet) -> list[dict[str, Any]]:
    return [
        {
            "id": rule.id,
            "version": rule.version,
            "level": rule.level,
            "category": rule.category,
            "title": f"{info.title_zh} / {info.title_en}",
            "event": info.event,
            "place": info.place,
        }
        for rule, info in ((rule, rule.info()) for rule in rules.rules)
    ]


def check_rules(path: Path) -> list[dict[str, Any]]:
    """The rules of a file or folder.

    Raises:
        ConfigurationError: everything that is wrong with them.
    """
    return _rows(RuleSet.load([path]))


def rules_page(path: Path) -> str:
    """The rules of a file or folder as Markdown.

    Raises:
        ConfigurationError: everything that is wrong with them.
    """
    return page(RuleSet.load([path]).rules, PAGE_TITLE)


def list_rules(config: Path) -> list[dict[str, Any]]:
    """The rules that a configuration loads."""
    return _rows(RuleSet.load(load_site(config).config.rule_files))


def backtest_rules(
    path: Path,
    *,
    config: Path,
    data: Path | None,
    registry: Path | None,
    start: str | None,
    end: str | None,
    train_to: str | None,
    truth: Path | None,
    alarms: Path | None,
    timezone: str | None,
) -> dict[str, Any]:
    """Run rules over the lake of a site, or over foreign history; the contract's report (section 7).

    Raises:
        ConfigurationError: rules, times or files are wrong.
    """
    began = time.monotonic()
    rules = RuleSet.load([path])
    from_ms, to_ms, train_ms = parse_time(start, "--from"), parse_time(end, "--to"), parse_time(train_to, "--train-to")
    if data is not None:
        if registry is None:
            remedy = "give --registry FILE: which points the data speaks of"
            raise ConfigurationError([Problem("command line", "--registry", "is missing beside --data", remedy)])
        points, batches = foreign_history(data, registry, from_ms, to_ms)
        zone = timezone or "UTC"
    else:
        site = load_site(config)
        zone = timezone or site.config.site.timezone
        with closing(open_catalog(site.data)) as db:
            points, batches = lake_history(db, from_ms, to_ms)
    result = run(rules, points, batches, zone, train_to=train_ms, end=to_ms)
    if alarms is not None:
        pq.write_table(result.alarms, alarms, compression="zstd")
    report: dict[str, Any] = {"rules": result.rules, "alarms": result.alarms.num_rows}
    if truth is not None:
        report["score"] = score(result.alarms, _truth(truth), result.days)
    return report | {"elapsed_s": round(time.monotonic() - began, 3)}


def _truth(path: Path) -> pa.Table:
    try:
        if path.suffix == ".csv":
            from pyarrow import csv

            return csv.read_csv(path)
        return pq.read_table(path)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            [Problem(str(path), "--truth", f"cannot be read: {error}", "Parquet or CSV")]
        ) from error
