"""The columns of everything that is stored or published, as Arrow schemas, and the closed lists.

Times are epoch milliseconds UTC (``int64`` in arrays, ``timestamp[ms, UTC]`` in files). A null value is NaN in
arrays and null in files: NaN never enters by any other way (``not_a_number`` is a reject).
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final

import pyarrow as pa

TIME: Final = pa.timestamp("ms", tz="UTC")


class Flag(IntFlag):
    """Bits of a reading's ``flags``."""

    LATE = 1
    """Arrived more than max(LATE_MS_MIN, two intervals) after its event time."""
    NO_SEQ = 2
    """The message carried no sequence number; ``seq`` is 0."""
    NO_TIME = 4
    """The message carried no time; ``ts`` is the receive time."""
    DUPLICATE = 8
    """A repeat of a reading that is already in the log: counted by completeness, skipped by all others."""
    RETAINED = 16
    """The broker sent it from its retained store."""


class Quality(IntEnum):
    """The native payload's ``q``."""

    GOOD = 0
    UNCERTAIN = 1
    BAD = 2


class Reason(IntEnum):
    """Why something was rejected: a closed list (contract, section 4). Names are the wire strings."""

    malformed_packet = 0
    malformed_payload = 1
    unknown_device = 2
    unknown_quantity = 3
    not_a_number = 4
    out_of_span = 5
    future_timestamp = 6
    too_old = 7
    oversized = 8
    duplicate = 9


REASONS: Final[tuple[str, ...]] = tuple(reason.name for reason in Reason)

LEVELS: Final[tuple[str, ...]] = ("red", "orange", "yellow", "blue")
"""Warning levels, worst first (Emergency Response Law: I red, II orange, III yellow, IV blue)."""

UTILITIES: Final[tuple[str, ...]] = ("gas", "water", "heat")

LOG_READINGS: Final = pa.schema(
    [
        pa.field("point", pa.int32(), nullable=False),
        pa.field("ts", pa.int64(), nullable=False),
        pa.field("received_at", pa.int64(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("seq", pa.uint32(), nullable=False),
        pa.field("quality", pa.uint8(), nullable=False),
        pa.field("flags", pa.uint8(), nullable=False),
    ]
)
"""A reading in the log: 34 bytes."""

REJECTS: Final = pa.schema(
    [
        pa.field("received_at", TIME, nullable=False),
        pa.field("broker", pa.string(), nullable=False),
        pa.field("topic", pa.string(), nullable=False),
        pa.field("payload", pa.binary(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
        pa.field("readings", pa.int32(), nullable=False),
    ]
)
"""A reject, in the log and in the lake. ``readings``: how many values the rejected object carried."""

POINTS: Final = pa.schema(
    [
        pa.field("point", pa.int32(), nullable=False),
        pa.field("device_id", pa.string(), nullable=False),
        pa.field("quantity", pa.string(), nullable=False),
        pa.field("unit", pa.string()),
        pa.field("utility", pa.string()),
        pa.field("kind", pa.string()),
        pa.field("span_low", pa.float64()),
        pa.field("span_high", pa.float64()),
        pa.field("interval_s", pa.float64()),
        pa.field("lon", pa.float64()),
        pa.field("lat", pa.float64()),
        pa.field("area_code", pa.string()),
        pa.field("asset_id", pa.string()),
        pa.field("owner", pa.string()),
        pa.field("install_date", pa.date32()),
        pa.field("zone", pa.string()),
        pa.field("gateway", pa.string()),
        pa.field("group", pa.string()),
    ]
)
"""The registry. Only ``device_id`` and ``quantity`` are needed in a file; missing columns are null.
``zone``: regulator district, DMA or heat loop; ``gateway``: what the device reports through, null = by itself;
``group``: sensors judged together."""

AREAS: Final = pa.schema(
    [
        pa.field("area_code", pa.string(), nullable=False),
        pa.field("level", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("parent_code", pa.string()),
        pa.field("lon", pa.float64()),
        pa.field("lat", pa.float64()),
    ]
)
"""``level``: city, district, township, community, grid, microgrid."""

TRUTH: Final = pa.schema(
    [
        pa.field("fault_id", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("device_id", pa.string()),
        pa.field("quantity", pa.string()),
        pa.field("start", TIME, nullable=False),
        pa.field("end", TIME, nullable=False),
    ]
)
"""Labelled faults; ``end`` is exclusive, a null device or quantity means anywhere."""
