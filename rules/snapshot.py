"""State as bytes: named arrays one after the other, with a header that says which rules and format made it.

    length of the header (4) │ header (JSON) │ arrays, each from a multiple of ALIGN on │ CRC-32 of all before (4)

The header describes each array by name, type and shape; a sparse one by the number of its entries too, and is two
arrays: places (int32) and entries.

(An npz took four times as long: it checks each array by itself and copies everything in small pieces.)
"""

from __future__ import annotations

import math
import struct
import zlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson

from rules.sparse import Sparse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

FORMAT: Final = "lifeline-rules-6"
TAKEN: Final = frozenset({FORMAT, "lifeline-rules-5"})
"""Formats that are read: 5 holds more of what features remember (``Track.fitting``)."""
ALIGN: Final = 64
_LENGTH: Final = struct.Struct(">I")
_DAMAGE: Final = (LookupError, ValueError, TypeError, OverflowError, MemoryError, struct.error)
"""What JSON and numpy raise on bytes that are not theirs."""


def pack(header: dict[str, Any], arrays: Mapping[str, NDArray[Any] | Sparse]) -> memoryview:
    """Header and arrays as bytes that nobody else holds."""
    return memoryview(b"".join(parts(header, arrays)))


def parts(header: dict[str, Any], arrays: Mapping[str, NDArray[Any] | Sparse]) -> list[bytes | memoryview]:
    """What ``pack`` makes, one part after the other: the arrays are read where they are.

    A city's are 80 MB, which a copy would hold once more while they are written.
    """
    described: list[list[Any]] = []
    chosen: list[NDArray[Any]] = []
    for name, array in arrays.items():
        if isinstance(array, Sparse):
            described.append([name, array.dtype.str, [len(array)], len(array.at)])
            chosen += [array.at, array.values]
        else:
            described.append([name, array.dtype.str, array.shape])
            chosen.append(array)
    head = orjson.dumps({"format": FORMAT, **header, "arrays": described})
    made: list[bytes | memoryview] = [_LENGTH.pack(len(head)), head]
    end = _LENGTH.size + len(head)
    for array in chosen:
        start = _aligned(end)
        made += [bytes(start - end), np.ascontiguousarray(array).reshape(-1).view(np.uint8).data]
        end = start + array.nbytes
    crc = 0
    for part in made:
        crc = zlib.crc32(part, crc)
    return [*made, _LENGTH.pack(crc)]


def unpack(state: bytes | memoryview) -> tuple[dict[str, Any], dict[str, NDArray[Any] | Sparse]]:
    """Header and arrays of ``pack``, to be read only: the arrays lie in ``state``, which copies would hold once more.

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
    if header.get("format") not in TAKEN:
        raise ValueError(f"not a snapshot of the rules in the format {FORMAT}")
    return header, arrays


def _read(view: memoryview) -> tuple[dict[str, Any], dict[str, NDArray[Any] | Sparse]]:
    at = _LENGTH.size + _LENGTH.unpack(view[: _LENGTH.size])[0]
    header: dict[str, Any] = dict(orjson.loads(view[_LENGTH.size : at]))
    arrays: dict[str, NDArray[Any] | Sparse] = {}

    def part(kind: Any, shape: list[int]) -> NDArray[Any]:
        nonlocal at
        start = _aligned(at)
        at = start + np.dtype(kind).itemsize * math.prod(shape)
        return np.frombuffer(view[start:at], kind).reshape(shape)

    for name, kind, shape, *entries in header.pop("arrays", []):
        if entries:
            places = part(np.int32, entries)
            if len(places) and (places[0] < 0 or places[-1] >= shape[0] or (np.diff(places) <= 0).any()):
                raise ValueError(f"places of {name} are out of order")
            arrays[str(name)] = Sparse(int(shape[0]), places, part(kind, entries))
        else:
            arrays[str(name)] = part(kind, shape)
    return header, arrays


def _aligned(at: int) -> int:
    return -(-at // ALIGN) * ALIGN
