"""What must hold in a registry or areas file, column by column, vectorized; findings are values.

Rules of this file: tables in, findings out; no files are touched. A check looks at whole columns and only names rows
when something is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lifeline.core.errors import Problem
from lifeline.core.limits import DEVICE_ID_BYTES_MAX, POINTS_MAX, POINTS_PER_DEVICE_MAX, QUANTITY_BYTES_MAX
from lifeline.core.schema import UTILITIES

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

PROBLEMS_MAX: Final = 20
"""Problems shown of one file: enough to see the pattern, few enough to read."""

AREA_LEVELS: Final = ("city", "district", "township", "community", "grid", "microgrid")

RESERVED: Final = ("id", "ts", "seq", "q")
"""Keys of the native payload that are no quantities (contract, section 4)."""


@dataclass
class Findings:
    """Problems of one file, bounded. ``unit`` and ``locate`` turn a row index into what an editor shows."""

    file: str
    unit: str
    locate: Callable[[int], int]
    problems: list[Problem] = field(default_factory=list)

    @property
    def room(self) -> bool:
        """Whether another problem will still be shown."""
        return len(self.problems) < PROBLEMS_MAX

    def place(self, row: int) -> str:
        """Such as ``line 17``."""
        return f"{self.unit} {self.locate(row)}"

    def add(self, key: str, message: str, remedy: str) -> None:
        """Note a problem of the file."""
        if self.room:
            self.problems.append(Problem(self.file, key, message, remedy))

    def at(self, row: int, column: str, message: str, remedy: str) -> None:
        """Note a problem of one value."""
        self.add(f"{self.place(row)}, {column}", message, remedy)

    def where(self, table: pa.Table, column: str, bad: pa.Array, message: str, remedy: str) -> None:
        """Note a problem for each row where ``bad`` is true; ``{value!r}`` in the message is the row's value."""
        for row in np.flatnonzero(_mask(bad))[:PROBLEMS_MAX]:
            value = table[column][int(row)].as_py()
            self.at(int(row), column, message.format(value=value), remedy)


def check_foreign_points(table: pa.Table, findings: Findings) -> None:
    """The same for history from elsewhere: no payload will ever carry its quantities, and its utilities are its own."""
    for name, bytes_max in (("device_id", DEVICE_ID_BYTES_MAX), ("quantity", QUANTITY_BYTES_MAX)):
        _check_identity(table, name, bytes_max, findings)
    _check_numbers(table, findings)
    if findings.room:
        _check_duplicates(table, findings, len(table))


def check_points(table: pa.Table, findings: Findings) -> None:
    """Ids and quantities present, unique and short; spans, intervals and places possible; utilities known."""
    if table.num_rows > POINTS_MAX:
        findings.add("rows", f"{table.num_rows:,} points, the limit is {POINTS_MAX:,}", "split the site in two engines")
        return
    for name, bytes_max in (("device_id", DEVICE_ID_BYTES_MAX), ("quantity", QUANTITY_BYTES_MAX)):
        _check_identity(table, name, bytes_max, findings)
    reserved = pc.is_in(table["quantity"], value_set=pa.array(RESERVED))
    findings.where(
        table, "quantity", reserved, "{value!r} is a key of the payload, not a quantity", "give it another name"
    )
    utility = table["utility"]
    foreign = pc.and_kleene(pc.is_valid(utility), pc.invert(pc.is_in(utility, value_set=pa.array(UTILITIES))))
    findings.where(table, "utility", foreign, "{value!r} is unknown", f"one of: {', '.join(UTILITIES)}; or empty")
    _check_numbers(table, findings)
    if findings.room:
        _check_duplicates(table, findings, POINTS_PER_DEVICE_MAX)


def _check_identity(table: pa.Table, name: str, bytes_max: int, findings: Findings) -> None:
    column = table[name]
    empty = pc.or_kleene(pc.is_null(column), pc.equal(pc.fill_null(column, ""), ""))
    findings.where(table, name, empty, "is empty", "every row names its device and its quantity")
    too_long = pc.greater(pc.binary_length(column), bytes_max)
    findings.where(
        table, name, too_long, "is longer than " + str(bytes_max) + " bytes", "shorten it, also in the device"
    )
    spaced = pc.not_equal(column, pc.utf8_trim_whitespace(column))
    findings.where(table, name, spaced, "{value!r} has spaces at its ends", "remove them: ids are compared exactly")


def _check_numbers(table: pa.Table, findings: Findings) -> None:
    for name in ("span_low", "span_high", "interval_s", "lon", "lat"):
        infinite = pc.is_inf(table[name])
        findings.where(table, name, infinite, "{value} is no usable number", "leave it empty when unknown")
    crossed = pc.greater_equal(table["span_low"], table["span_high"])
    for row in np.flatnonzero(_mask(crossed))[:PROBLEMS_MAX]:
        low, high = (table[name][int(row)].as_py() for name in ("span_low", "span_high"))
        findings.at(int(row), "span_low", f"{low:g} is not below span_high {high:g}", "exchange or correct them")
    not_positive = pc.less_equal(table["interval_s"], 0)
    findings.where(
        table, "interval_s", not_positive, "{value:g} is not above 0", "seconds between two reports, or empty"
    )
    for name, bound in (("lon", 180.0), ("lat", 90.0)):
        outside = pc.greater(pc.abs(table[name]), bound)
        findings.where(table, name, outside, "{value:g} is outside ±" + f"{bound:g}", "decimal degrees, WGS 84")


def _check_duplicates(table: pa.Table, findings: Findings, per_device_max: int) -> None:
    """One row a (device, quantity), at most ``per_device_max`` rows a device."""
    device = table["device_id"].combine_chunks().dictionary_encode()
    quantity = table["quantity"].combine_chunks().dictionary_encode()
    codes = _codes(device)
    pairs = codes * max(len(quantity.dictionary), 1) + _codes(quantity)
    order = np.argsort(pairs, kind="stable")
    repeat = np.flatnonzero(pairs[order][1:] == pairs[order][:-1]) + 1
    for place in np.sort(order[repeat])[:PROBLEMS_MAX]:
        first = int(np.flatnonzero(pairs == pairs[place])[0])
        name = f"{table['device_id'][int(place)].as_py()}/{table['quantity'][int(place)].as_py()}"
        findings.at(int(place), "device_id", f"{name} is already in {findings.place(first)}", "keep one row")
    counts = np.bincount(codes, minlength=1)
    for code in np.flatnonzero(counts > per_device_max)[:PROBLEMS_MAX]:
        name = device.dictionary[int(code)].as_py()
        findings.add(
            "device_id",
            f"{name!r} has {counts[code]} quantities, the limit is {per_device_max}",
            "give the parts of a big installation their own ids",
        )


def check_areas(table: pa.Table, findings: Findings) -> None:
    """Codes unique, levels known, parents present and without a cycle."""
    for name in ("area_code", "level", "name"):
        empty = pc.is_null(table[name])
        findings.where(table, name, empty, "is empty", "every area has a code, a level and a name")
    foreign = pc.invert(pc.is_in(table["level"], value_set=pa.array(AREA_LEVELS)))
    findings.where(table, "level", foreign, "{value!r} is unknown", f"one of: {', '.join(AREA_LEVELS)}")
    if _is_forest(table["area_code"], table["parent_code"]):
        return
    codes: list[Any] = table["area_code"].to_pylist()
    parents: list[Any] = table["parent_code"].to_pylist()
    rows: dict[Any, int] = {}
    for row, code in enumerate(codes):
        first = rows.setdefault(code, row)
        if first != row:
            findings.at(row, "area_code", f"{code!r} is already in {findings.place(first)}", "keep one")
    for row, parent in enumerate(parents):
        if parent is not None and parent not in rows:
            findings.at(row, "parent_code", f"{parent!r} is no area of this file", "add it, or leave it empty")
    _check_cycles(codes, parents, rows, findings)


def _is_forest(codes: pa.ChunkedArray, parents: pa.ChunkedArray) -> bool:
    """Whether all codes are there once, and parents lead from each to one that has none; else somebody says where not.

    Column by column, as a city has 70,000 areas: each start asks.
    """
    above = pc.index_in(parents, value_set=codes)
    distinct = pc.count_distinct(codes, mode="all").as_py() == len(codes) and not codes.null_count
    if not distinct or above.null_count != parents.null_count:
        return False
    none = len(codes)
    up = np.append(above.fill_null(none).to_numpy().astype(np.int64), none)
    for _ in range(none.bit_length()):  # of 2, 4, 8 … steps up; no way up has more than there are areas
        if (up == none).all():
            return True
        up = up[up]
    return bool((up == none).all())


def _check_cycles(codes: list[Any], parents: list[Any], rows: dict[Any, int], findings: Findings) -> None:
    finished: set[Any] = set()
    for row, code in enumerate(codes):
        path: dict[Any, None] = {}
        here = code
        while here is not None and here not in finished and here in rows:
            if here in path:
                findings.at(row, "parent_code", f"{code!r} leads back to {here!r}", "an area cannot contain itself")
                break
            path[here] = None
            here = parents[rows[here]]
        finished.update(path)


def _mask(column: pa.Array | pa.ChunkedArray) -> NDArray[np.bool_]:
    """A boolean column as an array, null counting as false."""
    filled = pc.fill_null(column, False)  # noqa: FBT003 - Arrow takes the value by position
    return np.asarray(
        filled.to_numpy() if isinstance(filled, pa.ChunkedArray) else filled.to_numpy(zero_copy_only=False), bool
    )


def _codes(column: Any) -> NDArray[np.int64]:
    """Dictionary codes; null gets the code after the last."""
    filled = pc.fill_null(column.indices, len(column.dictionary))
    return np.asarray(filled.to_numpy(zero_copy_only=False), np.int64)
