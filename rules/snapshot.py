"""State as bytes: named arrays one after the other, with a header that says which rules and format made it.

    length of the header (4) │ header (JSON) │ arrays, each from a multiple of ALIGN on │ CRC-32 of all before (4)

Written in one pass of copying: the rules wait for it. (An npz took four times as long: it checks each array by itself
and copies everything in small pieces.)
"""

from __future__ import annotations

import math
import struct
import zlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT: Final = "lifeline-rules-2"
ALIGN: Final = 64
_LENGTH: Final = struct.Struct(">I")
_DAMAGE: Final = (LookupError, ValueError, TypeError, OverflowError, MemoryError, struct.error)
"""What JSON and numpy raise on bytes that are not theirs."""


def pack(header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> memoryview:
    """Header and arrays as bytes that nobody else holds."""
    described = [[name, array.dtype.str, array.shape] for name, array in arrays.items()]
    head = orjson.dumps({"format": FORMAT, **header, "arrays": described})
    starts, end = [], _LENGTH.size + len(head)
    for array in arrays.values():
        starts.append(_aligned(end))
        end = starts[-1] + array.nbytes
    whole = np.zeros(end + _LENGTH.size, np.uint8)
    bytes_ = whole.data
    _LENGTH.pack_into(bytes_, 0, len(head))
    bytes_[_LENGTH.size : _LENGTH.size + len(head)] = head
    for start, array in zip(starts, arrays.values(), strict=True):
        whole[start : start + array.nbytes].view(array.dtype).reshape(array.shape)[...] = array
    _LENGTH.pack_into(bytes_, end, zlib.crc32(bytes_[:end]))
    return bytes_.toreadonly()


def unpack(state: bytes | memoryview) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Header and arrays of ``pack``; the arrays are copies.

    Raises:
        ValueError: the bytes are not a snapshot of this format, or are damaged.
    """
    view = memoryview(state)
    if len(view) < 2 * _LENGTH.size or zlib.crc32(view[:-4]) != _LENGTH.unpack(view[-4:])[0]:
        raise ValueError("not a snapshot of the rules, or a damaged one: its checksum is wrong")
    try:
        header, arrays = _read(view[:-4])
    except _DAMAGE as error:
        raise ValueError(f"not a snapshot of the rules: {error}") from error
    if header.get("format") != FORMAT:
        raise ValueError(f"not a snapshot of the rules in the format {FORMAT}")
    return header, arrays


def _read(view: memoryview) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    at = _LENGTH.size + _LENGTH.unpack(view[: _LENGTH.size])[0]
    header: dict[str, Any] = dict(orjson.loads(view[_LENGTH.size : at]))
    arrays = {}
    for name, dtype, shape in header.pop("arrays", []):
        kind, start = np.dtype(dtype), _aligned(at)
        at = start + kind.itemsize * math.prod(shape)
        arrays[str(name)] = np.frombuffer(view[start:at], kind).reshape(shape).copy()
    return header, arrays


def _aligned(at: int) -> int:
    return -(-at // ALIGN) * ALIGN
