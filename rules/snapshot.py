"""State as bytes: named arrays in one npz (no pickle), with a header that says which rules and format made it.

The bytes end with a checksum of all: numpy reads arrays without checking the one that zip keeps.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT: Final = "lifeline-rules-1"
_HEADER: Final = "header"
_DAMAGE: Final = (
    zipfile.BadZipFile,
    LookupError,
    OSError,
    EOFError,
    ValueError,
    NotImplementedError,
    RuntimeError,
    struct.error,
)
"""What zip and numpy raise on bytes that are not theirs."""


def pack(header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> bytes:
    """One uncompressed npz (memory speed matters more than size) and a CRC-32 of it."""
    buffer = io.BytesIO()
    text = np.frombuffer(orjson.dumps({"format": FORMAT, **header}), np.uint8)
    np.savez(buffer, allow_pickle=False, **{_HEADER: text}, **{name.replace("/", "|"): a for name, a in arrays.items()})
    body = buffer.getvalue()
    return body + zlib.crc32(body).to_bytes(4, "big")


def unpack(state: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Header and arrays of ``pack``.

    Raises:
        ValueError: the bytes are not a snapshot of this format, or are damaged.
    """
    body = memoryview(state)[:-4]
    if zlib.crc32(body) != int.from_bytes(state[-4:], "big"):
        raise ValueError("not a snapshot of the rules, or a damaged one: its checksum is wrong")
    try:
        with np.load(io.BytesIO(body), allow_pickle=False) as archive:
            arrays = {name.replace("|", "/"): archive[name] for name in archive.files}
        header = orjson.loads(arrays.pop(_HEADER).tobytes())
    except _DAMAGE as error:
        raise ValueError(f"not a snapshot of the rules: {error}") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ValueError(f"not a snapshot of the rules in the format {FORMAT}")
    return header, arrays
