"""Native JSON of a whole batch, in one pass, straight into columns.

    messages ─► staging: read 128 objects ─► look their devices up ─► judge and write ─► … the next 128

Rules of these kernels
- A kernel never reads outside ``[start, start + length)`` of a message, whatever the bytes are: every ``byte(buf, i)``
  stands behind ``i < end``, and a word that reaches over the end is ``tail8``.
- It decides only what it is sure of: good objects, and objects of plain shape that are ``unknown_device``,
  ``unknown_quantity``, ``out_of_span``, ``future_timestamp`` or ``too_old``. Anything else (an escape, an unknown
  non-ASCII name, a nested or wrong value, a huge number, broken JSON) marks the whole message for the slow path,
  ``ingest/payload/native.py``, and takes back whatever the message had written.
- Numba looks at the file of the function it compiled only: a caller of something that changed elsewhere is compiled
  again because ``lifeline.app.compiled.forget_stale`` says so.

``words`` are eight bytes at once, ``numbers`` and ``scan`` read text, ``names`` holds the tables of names, ``staging``
and this file are the passes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from ingest.payload.kernels.names import candidate, find_row, find_soon
from ingest.payload.kernels.staging import (
    BLOCK,
    BLOCK_KEYS,
    DEVICE,
    EVENT,
    GRADE,
    ID_FIRST,
    ID_HASH,
    ID_LENGTH,
    ID_START,
    KEY_COLUMNS,
    KEY_END,
    KEY_FIRST,
    LENGTH,
    MESSAGE,
    NAME,
    NAME_FIRST,
    NAME_HASH,
    NAME_LENGTH,
    NUMBER,
    OBJECT_COLUMNS,
    ROW,
    START,
    read_block,
)
from ingest.payload.kernels.words import bare, borrow
from lifeline.core.kernels.fetch import fetch

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNKNOWN_DEVICE, UNKNOWN_QUANTITY, OUT_OF_SPAN, FUTURE_TIMESTAMP, TOO_OLD = 2, 3, 5, 6, 7
"""= schema.Reason (a test compares)."""
LATE, NO_SEQ, RETAINED = 1, 2, 16
"""= schema.Flag (a test compares)."""


@njit(cache=True, nogil=True)
def decode_native(
    buf: NDArray[np.uint8],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int32],
    retained: NDArray[np.uint8],
    select: NDArray[np.int64],
    first: int,
    received_at: int,
    ts_min: int,
    ts_max: int,
    payload_max: int,
    objects_max: int,
    device_slots: NDArray[np.int64],
    device_entries: NDArray[np.int64],
    device_keys: NDArray[np.uint8],
    quantity_slots: NDArray[np.int64],
    quantity_entries: NDArray[np.int64],
    quantity_keys: NDArray[np.uint8],
    rows_int: NDArray[np.int64],
    rows_real: NDArray[np.float64],
    o_point: NDArray[np.int32],
    o_ts: NDArray[np.int64],
    o_value: NDArray[np.float64],
    o_seq: NDArray[np.uint32],
    o_quality: NDArray[np.uint8],
    o_flags: NDArray[np.uint8],
    o_object: NDArray[np.int64],
    b_message: NDArray[np.int64],
    b_start: NDArray[np.int64],
    b_length: NDArray[np.int64],
    b_values: NDArray[np.int32],
    b_reason: NDArray[np.int8],
    j_int: NDArray[np.int64],
    j_value: NDArray[np.float64],
    s_int: NDArray[np.int64],
    k_int: NDArray[np.int64],
    k_value: NDArray[np.float64],
    slow: NDArray[np.int64],
) -> tuple[int, int, int, int, int]:
    """Decode messages ``select[first:]`` until done or until the outputs might not hold the next one.

    ``o_*`` are rows (``o_object``: which object), ``b_*`` objects (``b_reason`` -1: kept), ``j_*`` details of rejected
    ones: ``j_int`` (n, 7) = object, id start, id length, key start, key length, ts, row of the index; ``j_value`` the
    value out of its span. ``s_int``, ``k_int``, ``k_value`` stage objects and their keys (``staging``). ``slow`` gets
    the messages left to the slow path. ``objects`` and ``rejects`` are numbered from 0 in each call.

    Returns:
        (next position in ``select``, rows, objects, rejects, slow messages).
    """
    text = bare(buf)
    device_table = borrow(device_slots)
    devices = borrow(device_entries)
    device_names = bare(device_keys)
    quantity_table = borrow(quantity_slots)
    quantities = borrow(quantity_entries)
    quantity_names = bare(quantity_keys)
    rows = borrow(rows_int)
    staged = borrow(s_int)
    keys = borrow(k_int)
    values = borrow(k_value)
    left = borrow(slow)
    capacity = len(o_point)
    n_rows = 0
    n_objects = 0
    n_rejects = 0
    n_slow = 0
    position = first
    full = False
    while position < len(select) and not full:
        position, n_staged, n_slow, full = read_block(
            text,
            starts,
            lengths,
            select,
            position,
            capacity - n_rows,
            capacity - n_objects,
            payload_max,
            objects_max,
            device_table,
            staged,
            keys,
            values,
            left,
            n_slow,
        )

        # Devices apart from keys, and their entries and rows apart from each other: each loop fetches for the next.
        for k in range(n_staged):
            device = candidate(device_table, staged[k, ID_HASH])
            staged[k, DEVICE] = device
            if device >= 0:
                fetch(devices, device)
        for k in range(n_staged):
            device = find_soon(
                device_table,
                devices,
                device_names,
                staged[k, DEVICE],
                staged[k, ID_HASH],
                staged[k, ID_FIRST],
                text,
                staged[k, ID_START],
                abs(staged[k, ID_LENGTH]),
            )
            staged[k, DEVICE] = device
            if device >= 0:
                fetch(rows, device >> 16)

        # judge, in the order of the reasons, and write
        k = 0
        while k < n_staged:
            message = staged[k, MESSAGE]
            rows_before = n_rows
            objects_before = n_objects
            rejects_before = n_rejects
            sure = True
            while k < n_staged and staged[k, MESSAGE] == message:
                device = staged[k, DEVICE]
                sure &= device >= 0 or staged[k, ID_LENGTH] > 0
                ts = staged[k, EVENT]
                key_first = staged[k, KEY_FIRST]
                key_end = staged[k, KEY_END]
                reason = -1
                at = key_first  # which key is at fault
                for key in range(key_first, key_end):
                    length = keys[key, NAME_LENGTH]
                    row = -1
                    quantity = find_soon(
                        quantity_table,
                        quantities,
                        quantity_names,
                        candidate(quantity_table, keys[key, NAME_HASH]),
                        keys[key, NAME_HASH],
                        keys[key, NAME_FIRST],
                        text,
                        keys[key, NAME],
                        abs(length),
                    )
                    if quantity < 0:
                        sure &= length >= 0  # not ASCII and not known: is it even UTF-8?
                    elif device >= 0:
                        row = find_row(rows, device, quantity)
                    keys[key, ROW] = row
                    if row < 0 and reason < 0:
                        reason = UNKNOWN_QUANTITY
                        at = key
                if device < 0:
                    reason = UNKNOWN_DEVICE
                if reason < 0:
                    for key in range(key_first, key_end):
                        row = keys[key, ROW]
                        if values[key] < rows_real[row, 1] or values[key] > rows_real[row, 2]:
                            reason = OUT_OF_SPAN
                            at = key
                            break
                if reason < 0 and ts > ts_max:
                    reason = FUTURE_TIMESTAMP
                if reason < 0 and ts < ts_min:
                    reason = TOO_OLD

                b_message[n_objects] = message
                b_start[n_objects] = staged[k, START]
                b_length[n_objects] = staged[k, LENGTH]
                b_values[n_objects] = key_end - key_first
                b_reason[n_objects] = reason
                if reason >= 0:
                    j_int[n_rejects, 0] = n_objects
                    j_int[n_rejects, 1] = staged[k, ID_START]
                    j_int[n_rejects, 2] = abs(staged[k, ID_LENGTH])
                    j_int[n_rejects, 3] = keys[at, NAME]
                    j_int[n_rejects, 4] = abs(keys[at, NAME_LENGTH])
                    j_int[n_rejects, 5] = ts
                    j_int[n_rejects, 6] = keys[at, ROW]
                    j_value[n_rejects] = values[at]
                    n_rejects += 1
                else:
                    seq = staged[k, NUMBER]
                    common = RETAINED if retained[message] != 0 else 0
                    if seq < 0:
                        common |= NO_SEQ
                    own = n_rows
                    for key in range(key_first, key_end):
                        row = keys[key, ROW]
                        point = rows[row, 0] & 0xFFFFFFFF
                        place = n_rows
                        while place > own and o_point[place - 1] > point:  # most senders name quantities in one order
                            o_point[place] = o_point[place - 1]
                            o_value[place] = o_value[place - 1]
                            o_flags[place] = o_flags[place - 1]
                            place -= 1
                        o_point[place] = point
                        o_value[place] = values[key]
                        o_flags[place] = common | (LATE if received_at - ts > rows[row, 3] else 0)
                        o_ts[n_rows] = ts
                        o_seq[n_rows] = max(seq, 0)
                        o_quality[n_rows] = max(staged[k, GRADE], 0)
                        o_object[n_rows] = n_objects
                        n_rows += 1
                n_objects += 1
                k += 1
            if not sure:
                n_rows = rows_before
                n_objects = objects_before
                n_rejects = rejects_before
                left[n_slow] = message
                n_slow += 1
    return position, n_rows, n_objects, n_rejects, n_slow


def outputs(capacity: int, messages: int, largest: int) -> tuple[Any, ...]:
    """Uninitialised outputs and staging for ``capacity`` rows and objects, in argument order.

    ``largest``: objects of one message at most.
    """
    rows = (np.int32, np.int64, np.float64, np.uint32, np.uint8, np.uint8, np.int64)
    objects = (np.int64, np.int64, np.int64, np.int32, np.int8)
    return (
        *(np.empty(capacity, t) for t in rows + objects),
        np.empty((capacity, 7), np.int64),
        np.empty(capacity, np.float64),
        np.empty((BLOCK + largest, OBJECT_COLUMNS), np.int64),
        np.empty((BLOCK_KEYS + largest, KEY_COLUMNS), np.int64),
        np.empty(BLOCK_KEYS + largest, np.float64),
        np.empty(messages, np.int64),
    )
