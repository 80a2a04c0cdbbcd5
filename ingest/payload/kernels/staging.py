"""First pass over a block: whole messages read into staged objects, nothing looked up yet.

A message that is not plainly right in every byte is left to the slow path, and what it had staged is taken back.

An object is ``objects`` int64 (n, 13), its keys are ``keys`` int64 (n, 5) and ``values`` float64; columns by the names
below. What is staged must fit the first-level cache with the text and what is looked up for it, hence ``BLOCK``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from ingest.payload.kernels.numbers import parse_integer, parse_number
from ingest.payload.kernels.scan import ID, OTHER, QUALITY, SEQ, TS, blank, field_of, plain_field, string
from ingest.payload.kernels.words import byte, tail8
from lifeline.core.kernels.fetch import fetch

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEYS_MAX = 64
"""Quantities of one object that the kernel holds; more go to the slow path (= limits.POINTS_PER_DEVICE_MAX)."""
ID_BYTES_MAX = 128
"""= limits.DEVICE_ID_BYTES_MAX (a test compares)."""
MESSAGE_BYTES_MIN = 8
"""What ``tail8`` needs; no good object is so short."""

BLOCK = 128
"""Objects staged before their devices are looked up; the last message may bring more."""
BLOCK_KEYS = 4 * BLOCK
"""The same of their keys."""

MESSAGE, START, LENGTH, ID_START, ID_LENGTH, ID_HASH, ID_FIRST, EVENT, NUMBER, GRADE, KEY_FIRST, KEY_END, DEVICE = (
    range(13)
)
"""Columns of an object. Lengths of names that are not ASCII are negative; ``ID_FIRST`` is the id's first word."""
NAME, NAME_LENGTH, NAME_HASH, NAME_FIRST, ROW = range(5)
"""Columns of a key."""
OBJECT_COLUMNS, KEY_COLUMNS = 13, 5


@njit(cache=True, nogil=True)
def read_block(
    text: Any,
    starts: NDArray[np.int64],
    lengths: NDArray[np.int32],
    select: NDArray[np.int64],
    position: int,
    rows_left: int,
    objects_left: int,
    payload_max: int,
    objects_max: int,
    device_slots: NDArray[np.int64],
    objects: NDArray[np.int64],
    keys: NDArray[np.int64],
    values: NDArray[np.float64],
    slow: NDArray[np.int64],
    n_slow: int,
) -> tuple[int, int, int, bool]:
    """Stage the messages ``select[position:]`` until a block is full or the outputs might not hold the next one.

    The cache line where a device's name is looked up first is fetched as soon as its hash is known.

    Returns:
        (next position, objects staged, slow messages, whether the outputs are full).
    """
    n_staged = 0
    n_keys = 0
    mask = len(device_slots) - 1
    while position < len(select) and n_staged < BLOCK and n_keys < BLOCK_KEYS:
        message = select[position]
        i = starts[message]
        end = i + lengths[message]
        # A quantity with its value is at least 5 bytes ("":1), and an object has one at least: neither rows nor
        # objects can outgrow this.
        most = min(lengths[message], payload_max) // 5 + 1
        if n_keys + most > rows_left or n_staged + most > objects_left:
            return position, n_staged, n_slow, True
        position += 1
        staged_before = n_staged
        keys_before = n_keys
        good = MESSAGE_BYTES_MIN <= lengths[message] <= payload_max
        pack = False
        if good:
            i = blank(text, i, end)
            pack = i < end and byte(text, i) == 91  # [
            if pack:
                i = blank(text, i + 1, end)
        while good:
            good = False  # until this object is read to its end
            if n_staged - staged_before >= objects_max or i >= end or byte(text, i) != 123:  # {
                break
            object_start = i
            key_first = n_keys
            id_start = -1
            id_length = 0
            id_hash = 0
            id_word = 0
            id_ascii = True
            ts = 0
            has_ts = False
            seq = -1
            quality = -1
            closed = False
            i += 1
            while True:
                i = blank(text, i, end)
                if i >= end or byte(text, i) != 34:  # "
                    break
                field = plain_field(tail8(text, i, end))
                name = i + 1
                name_hash = 0
                name_word = 0
                name_ascii = True
                length = 0
                if field != OTHER:
                    i += 4 + (field != QUALITY) + (field == SEQ)  # with quotes and colon
                else:
                    i, name_hash, name_word, name_ascii = string(text, name, end)
                    if i < 0:
                        break
                    length = i - name
                    i = blank(text, i + 1, end)
                    if i >= end or byte(text, i) != 58:  # :
                        break
                    i += 1
                    field = field_of(name_word, length)
                i = blank(text, i, end)
                if i >= end:
                    break
                if field == ID:
                    if id_start >= 0 or byte(text, i) != 34:
                        break
                    id_start = i + 1
                    i, id_hash, id_word, id_ascii = string(text, id_start, end)
                    id_length = i - id_start
                    if i < 0 or id_length == 0 or id_length > ID_BYTES_MAX:
                        break
                    i += 1
                elif field == TS:
                    if has_ts:
                        break
                    has_ts = True
                    i, ts = parse_integer(text, i, end)
                    if i < 0:
                        break
                elif field == SEQ:
                    if seq >= 0:
                        break
                    i, seq = parse_integer(text, i, end)
                    if i < 0 or seq < 0 or seq > 0xFFFFFFFF:
                        break
                elif field == QUALITY:
                    if quality >= 0:
                        break
                    i, quality = parse_integer(text, i, end)
                    if i < 0 or quality < 0 or quality > 2:
                        break
                else:
                    if n_keys - key_first == KEYS_MAX:
                        break
                    if byte(text, i) == 110:  # null
                        if (
                            i + 4 > end
                            or byte(text, i + 1) != 117
                            or byte(text, i + 2) != 108
                            or byte(text, i + 3) != 108
                        ):
                            break
                        i += 4
                        value = np.nan
                    else:
                        i, value = parse_number(text, i, end)
                        if i < 0:
                            break
                    again = False
                    for k in range(key_first, n_keys):
                        # equal hashes of unlike names go to the slow path too, which knows better
                        again |= keys[k, NAME_HASH] == name_hash
                    if again:
                        break
                    keys[n_keys, NAME] = name
                    keys[n_keys, NAME_LENGTH] = length if name_ascii else -length
                    keys[n_keys, NAME_HASH] = name_hash
                    keys[n_keys, NAME_FIRST] = name_word
                    values[n_keys] = value
                    n_keys += 1
                i = blank(text, i, end)
                if i >= end:
                    break
                c = byte(text, i)
                i += 1
                if c != 44:  # ,
                    closed = c == 125  # }
                    break
            if not closed or id_start < 0 or not has_ts or n_keys == key_first:
                break
            fetch(device_slots, (id_hash >> 1) & mask)
            objects[n_staged, MESSAGE] = message
            objects[n_staged, START] = object_start
            objects[n_staged, LENGTH] = i - object_start
            objects[n_staged, ID_START] = id_start
            objects[n_staged, ID_LENGTH] = id_length if id_ascii else -id_length
            objects[n_staged, ID_HASH] = id_hash
            objects[n_staged, ID_FIRST] = id_word
            objects[n_staged, EVENT] = ts
            objects[n_staged, NUMBER] = seq
            objects[n_staged, GRADE] = quality
            objects[n_staged, KEY_FIRST] = key_first
            objects[n_staged, KEY_END] = n_keys
            n_staged += 1
            i = blank(text, i, end)
            if not pack:
                good = i == end
                break
            if i >= end:
                break
            c = byte(text, i)
            i = blank(text, i + 1, end)
            if c != 44:  # ,
                good = c == 93 and i == end  # ]
                break
            good = True
        if not good:
            n_staged = staged_before
            n_keys = keys_before
            slow[n_slow] = message
            n_slow += 1
    return position, n_staged, n_slow, False
