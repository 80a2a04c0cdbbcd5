"""What people's acknowledgements ended: a latched alarm's end is no reading's, so history alone does not know it.

An acknowledgement never decides whether an alarm is raised, only when a latched one is over. A backtest over a site's
lake takes these ends from the site's queue, where the engine has put them, so that its rows are the engine's. Nobody
acknowledged what only a backtest has raised: that stands until the next alarm of its point.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
import pyarrow as pa

from lifeline.app.clock import now_ms
from lifeline.core.schema import TIME
from lifeline.governance.desk import GovernanceDesk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lifeline.app.site import Site
    from rules.backtest import BacktestResult
    from rules.rule_set import RuleSet

PAGE: Final = 500


def ends_by_people(site: Site, rules: RuleSet) -> dict[str, int]:
    """Ends (epoch ms) of acknowledged alarms of latching rules, by alarm; none where no engine has run.

    Raises:
        UnavailableError: the database refuses.
    """
    latching = [rule.id for rule in rules.rules if rule.latch]
    path = site.config.database_path
    if not latching or (path is not None and not path.exists()):
        return {}
    found: dict[str, int] = {}
    with closing(GovernanceDesk(site.database_url, now_ms)) as desk:
        for rule in latching:
            cursor: str | None = None
            while True:
                rows, cursor = desk.list_alarms(rule_id=rule, active=False, limit=PAGE, cursor=cursor)
                found |= {row["alarm_id"]: row["cleared_at"] for row in rows if row["acked"] and row["cleared_at"]}
                if cursor is None:
                    break
    return found


def with_ends(result: BacktestResult, ends: Mapping[str, int]) -> BacktestResult:
    """A backtest in which alarms end as people ended them, where that was in its period and before its own end."""
    frame = pl.from_arrow(result.alarms.select(["alarm_id", "rule_id", "cleared_at"]))
    assert isinstance(frame, pl.DataFrame)
    known = np.array([ends.get(alarm, -1) for alarm in frame["alarm_id"]], np.int64)
    own = frame["cleared_at"].dt.epoch("ms").fill_null(np.iinfo(np.int64).max).to_numpy()
    ended = (known >= 0) & (known < own) & (known <= result.end_ms)
    if not ended.any():
        return result
    open_before = frame.filter(pl.Series(ended) & frame["cleared_at"].is_null())["rule_id"].value_counts()
    more = dict(open_before.iter_rows())
    at = frame["cleared_at"].dt.epoch("ms").to_list()
    cleared = pa.array([int(known[k]) if ended[k] else at[k] for k in range(len(at))], pa.int64()).cast(TIME)
    place = result.alarms.column_names.index("cleared_at")
    alarms = result.alarms.set_column(place, result.alarms.schema.field(place), cleared)
    figures = [row | {"cleared": row["cleared"] + more.get(row["id"], 0)} for row in result.rules]
    return replace(result, alarms=alarms, rules=figures)
