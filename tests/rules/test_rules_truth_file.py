"""Labels of others: faults by their spans, or moments by their labels; what cannot be scored is said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifeline.app.backtest_doubts import unfindable, unwatched
from lifeline.app.truth_file import read_truth
from lifeline.core.errors import ConfigurationError
from lifeline.core.registry import Registry
from lifeline.core.schema import POINTS
from lifeline.registry import read_points
from rules.rule_set import RuleSet

HEAD = "fault_id,kind,device_id,quantity,start,end\n"
T0 = datetime(2026, 3, 1, tzinfo=UTC)
T0_MS = int(T0.timestamp() * 1000)


def faults(folder: Path, text: str) -> list[tuple[str | int | None, ...]]:
    path = folder / "truth.csv"
    path.write_text(text)
    table = read_truth(path)
    return [
        tuple(row[n] for n in ("fault_id", "kind", "device_id", "quantity", "start", "end"))
        for row in table.to_pylist()
    ]


def test_spaces_and_empty_lines_are_nothing(tmp_path: Path) -> None:
    row = " 1 , leak, a, , 2026-03-01T00:00:00Z , 2026-03-01T00:01:00Z"
    assert faults(tmp_path, f"fault_id , kind, device_id, quantity, start, end\n{row}\n\n,,,,,\n") == [
        ("1", "leak", "a", None, T0_MS, T0_MS + 60_000)
    ]


def test_all_missing_columns_are_one_problem(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"fault_id, kind, device_id, quantity: columns are missing.*ts, label"
    ):
        faults(tmp_path, "start,end\n2026-03-01,2026-03-02\n")


@settings(max_examples=60, deadline=None)
@given(
    labels=st.lists(st.sampled_from(["0", "1", "", "leak", "normal", "burst", "-999", "False", "true"]), max_size=12),
    shuffled=st.randoms(use_true_random=False),
)
def test_moments_with_labels_become_spans(
    labels: list[str], shuffled: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """However they lie in the file; naively: moment by moment, a fault begins where the label is another one."""
    folder = tmp_path_factory.mktemp("labels")
    rows = [f"{(T0 + timedelta(minutes=k)).isoformat()},{label}" for k, label in enumerate(["0", *labels, "0"])]
    shuffled.shuffle(rows)  # type: ignore[attr-defined]
    kinds = [
        {"1": "fault", "true": "fault", "leak": "leak", "burst": "burst"}.get(label) for label in ["0", *labels, "0"]
    ]
    naive: list[tuple[str, int, int]] = []
    for k, kind in enumerate(kinds[1:], 1):
        at = T0_MS + 60_000 * k
        if kind is not None and kind == kinds[k - 1]:
            naive[-1] = (kind, naive[-1][1], at + 60_000)
        elif kind is not None:
            naive.append((kind, at, at + 60_000))
    found = faults(folder, "\n".join(["ts,label", *rows]) + "\n")
    assert [(kind, start, end) for _, kind, _, _, start, end in found] == naive
    assert [fault for fault, *_ in found] == [str(n) for n in range(1, len(naive) + 1)]


def test_labels_of_points_are_spans_of_points(tmp_path: Path) -> None:
    lines = [f"{(T0 + timedelta(minutes=k)).isoformat()},{d},{int(k > 1 and d == 'b')}" for k in range(4) for d in "ab"]
    found = faults(tmp_path, "\n".join(["ts,device_id,label", *lines]) + "\n")
    assert found == [("1", "fault", "b", None, T0_MS + 120_000, T0_MS + 240_000)], (
        "the last moment lasts as long as others"
    )


def test_what_no_alarm_can_meet_and_points_without_a_kind_are_said(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text("device_id,quantity\na,p\n")
    points = read_points(tmp_path / "points.csv", foreign=True)
    registry = Registry(points.add_column(0, POINTS.field("point"), pa.array([0], pa.int32())).cast(POINTS))
    (doubt,) = unwatched(RuleSet.standard(), registry)
    assert "1 points have no kind in the registry" in doubt
    faults(tmp_path, HEAD)
    assert "labels no fault" in unfindable(read_truth(tmp_path / "truth.csv"), registry, T0_MS, T0_MS + 1)[0]
    faults(tmp_path, HEAD + "1,leak,a,p,2026-03-01,2026-03-01\n")
    (doubt,) = unfindable(read_truth(tmp_path / "truth.csv"), registry, T0_MS, T0_MS + 1)
    assert "1 faults end as they start" in doubt
