"""Signatures of the Standard Webhooks specification; pure.

``v1``: HMAC-SHA256 over ``id.timestamp.body``, base64. Secrets are ``whsec_`` and base64 of 24 to 64 bytes. Several
secrets give several signatures, so that a receiver can change over without a gap.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

PREFIX: Final = "whsec_"
KEY_BYTES: Final = (24, 64)


def parse_secret(text: str) -> bytes:
    """The key of a secret.

    Raises:
        ValueError: not a secret as the specification has it; the message never holds it.
    """
    try:
        key = base64.b64decode(text.strip().removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("is not whsec_ and base64") from None
    if not KEY_BYTES[0] <= len(key) <= KEY_BYTES[1]:
        raise ValueError(f"has {len(key)} bytes, not {KEY_BYTES[0]} to {KEY_BYTES[1]}")
    return key


def headers(keys: Sequence[bytes], message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """The three headers of a message; without keys there is no signature, but the id all the same."""
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    signatures = [base64.b64encode(hmac.digest(key, signed, "sha256")).decode() for key in keys]
    found = {"webhook-id": message_id, "webhook-timestamp": str(timestamp_s)}
    if signatures:
        found["webhook-signature"] = " ".join(f"v1,{signature}" for signature in signatures)
    return found
