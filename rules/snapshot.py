"""State as bytes: named arrays in one npz (no pickle), with a header that says which rules and format made it."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT: Final = "lifeline-rules-1"
_HEADER: Final = "header"


def pack(header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> bytes:
    """One uncompressed npz: memory speed matters more than size, and zip keeps a checksum of every array."""
    buffer = io.BytesIO()
    text = np.frombuffer(orjson.dumps({"format": FORMAT, **header}), np.uint8)
    np.savez(buffer, allow_pickle=False, **{_HEADER: text}, **{name.replace("/", "|"): a for name, a in arrays.items()})
    return buffer.getvalue()


def unpack(state: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Header and arrays of ``pack``.

    Raises:
        ValueError: the bytes are not a snapshot of this format, or are damaged.
    """
    try:
        with np.load(io.BytesIO(state), allow_pickle=False) as archive:
            arrays = {name.replace("|", "/"): archive[name] for name in archive.files}
        header = orjson.loads(arrays.pop(_HEADER).tobytes())
    except (zipfile.BadZipFile, KeyError, OSError, EOFError, orjson.JSONDecodeError) as error:
        raise ValueError(f"not a snapshot of the rules: {error}") from error
    if header.get("format") != FORMAT:
        raise ValueError(f"snapshot format {header.get('format')!r}, this program reads {FORMAT}")
    return header, arrays
