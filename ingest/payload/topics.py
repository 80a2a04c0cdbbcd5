"""MQTT topic filters (MQTT 5, 4.7): checked once, then matched for whole batches by a kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ingest.payload.index import frozen
from ingest.payload.kernels.gather import first_match

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def plain_filter(text: str) -> str:
    """The filter that topics are compared with: without ``$share/group/``.

    Raises:
        ValueError: not a topic filter; the message says why.
    """
    if text.startswith("$share/"):
        parts = text.split("/", 2)
        if len(parts) < 3 or not parts[1] or "+" in parts[1] or "#" in parts[1]:
            raise ValueError(f"{text!r} is no shared subscription; write $share/group/filter")
        text = parts[2]
    levels = text.split("/")
    if not text or "\0" in text or len(text.encode()) > 65_535:
        raise ValueError(f"{text!r} is no topic filter: 1 to 65,535 bytes without U+0000")
    for i, level in enumerate(levels):
        if ("#" in level and (level != "#" or i != len(levels) - 1)) or ("+" in level and level != "+"):
            raise ValueError(f"{text!r}: + and # stand alone between slashes, and # only at the end")
    return text


class TopicMatcher:
    """Which of several filters a topic matches first."""

    def __init__(self, filters: Sequence[str]) -> None:
        """``filters`` as subscribed. Raises ValueError for the first that is none."""
        encoded = [plain_filter(text).encode() for text in filters]
        self._bytes = frozen(np.frombuffer(b"".join(encoded) or b"\0", np.uint8))
        self._bounds = frozen(np.cumsum([0] + [len(e) for e in encoded]).astype(np.int64))

    def first(
        self, buffer: NDArray[np.uint8], start: NDArray[np.int64], length: NDArray[np.int32]
    ) -> NDArray[np.int32]:
        """For each topic ``buffer[start:start + length]`` the number of its filter, -1 for none."""
        out = np.empty(len(start), np.int32)
        first_match(frozen(buffer), frozen(start), frozen(length), self._bytes, self._bounds, out)
        return out
