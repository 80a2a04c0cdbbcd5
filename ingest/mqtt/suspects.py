"""Malformed packets that a broker sends again and again, by their digest.

A QoS 1 PUBLISH that is malformed closes the connection, as the standard demands. But the broker sends it again after
every reconnect, and a device with a broken topic could so stop a city. So what was closed for is remembered, and when
the very same packet comes again it is set aside as a reject and acknowledged in its turn.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

SUSPECTS_MAX: Final = 1024
"""Malformed packets remembered by their digest (16 bytes each), oldest out first."""


class Suspects:
    """What connections to one broker were closed for; outlives each of them. One thread at a time."""

    def __init__(self) -> None:
        self._digests: dict[bytes, None] = {}

    def knows(self, body: bytes) -> bool:
        """Whether a PUBLISH with this body was remembered."""
        return _digest(body) in self._digests

    def remember(self, body: bytes) -> None:
        """It closes the connection."""
        self._digests[_digest(body)] = None
        if len(self._digests) > SUSPECTS_MAX:
            del self._digests[next(iter(self._digests))]


def _digest(body: bytes) -> bytes:
    """Of what is the same in every delivery: identifier, DUP and the message expiry may change between two."""
    topic_len = int.from_bytes(body[:2], "big")
    same = b"%d " % len(body) + body[: 2 + topic_len] + body[-64:] if len(body) > topic_len + 68 else body[:2]
    return blake2b(same, digest_size=16).digest()
