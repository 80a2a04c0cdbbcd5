"""Signed tree heads: the text that leaves the machine, and the key that signs it; no disk, no clock.

The format is the *checkpoint* that transparency logs share (C2SP tlog-checkpoint in a signed note), so that other
people's tools can read and verify it:

    lifeline/Zhengzhou            origin: whose log
    1234                          size
    Zm9v…=                        root, base64
    time 2026-11-25T12:00:00.000Z an extension line of ours
                                  an empty line
    — lifeline/Zhengzhou AAAA…    Ed25519 over all lines above the empty one, after the first four bytes of the key's id
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

CHECKPOINT_BYTES_MAX: Final = 4096
_DASH: Final = "— "
_ED25519: Final = b"\x01"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of the audit's tree at a moment."""

    origin: str
    size: int
    root: bytes
    at: int
    """Epoch ms."""

    def text(self) -> str:
        """What is signed."""
        moment = datetime.fromtimestamp(self.at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\ntime {moment}\n"


def origin_of(site: str) -> str:
    """The name of a site's log: no spaces and no plus signs, which key names must not have."""
    return "lifeline/" + "-".join(site.replace("+", " ").split())


def sign(checkpoint: Checkpoint, key: Ed25519PrivateKey) -> bytes:
    """The checkpoint as a signed note."""
    text = checkpoint.text()
    signature = base64.b64encode(_key_id(checkpoint.origin, key.public_key()) + key.sign(text.encode())).decode()
    return f"{text}\n{_DASH}{checkpoint.origin} {signature}\n".encode()


def read(note: bytes, key: Ed25519PublicKey) -> Checkpoint:
    """The checkpoint of a note that ``key`` has signed.

    Raises:
        ValueError: not a checkpoint, another key, or a signature that does not fit; the message says which.
    """
    try:
        text, _, signatures = note.decode().partition("\n\n")
        origin, size, root, moment = text.split("\n")
        at = datetime.fromisoformat(moment.removeprefix("time "))
        checkpoint = Checkpoint(origin, int(size), _decoded(root), round(at.timestamp() * 1000))
    except ValueError:
        raise ValueError("is not a checkpoint") from None
    if checkpoint.text() != f"{text}\n":
        raise ValueError("is not written as a checkpoint is")
    *lines, end = signatures.split("\n")  # not splitlines: it would take a vertical tab for the end of a line
    if end or not all(line.startswith(_DASH) for line in lines):
        raise ValueError("is not written as a checkpoint is")
    for line in lines:
        name, _, encoded = line.removeprefix(_DASH).partition(" ")
        try:
            raw = _decoded(encoded)
        except ValueError:
            continue
        if name == origin and raw[:4] == _key_id(origin, key):
            try:
                key.verify(raw[4:], f"{text}\n".encode())
            except InvalidSignature:
                raise ValueError("has a signature that does not fit its text") from None
            return checkpoint
    raise ValueError("is not signed by the audit's key")


def _decoded(text: str) -> bytes:
    """The bytes of base64 as we write it, one text for each content: Python ignores bits that the last digit has over.

    Raises ValueError for any other text.
    """
    raw = base64.b64decode(text, validate=True)
    if base64.b64encode(raw).decode() != text:
        raise ValueError("is not canonical base64")
    return raw


def _key_id(name: str, key: Ed25519PublicKey) -> bytes:
    return sha256(name.encode() + b"\n" + _ED25519 + public_bytes(key)).digest()[:4]


def public_bytes(key: Ed25519PublicKey) -> bytes:
    """The 32 bytes of a public key."""
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def new_key() -> Ed25519PrivateKey:
    """A key from the system's randomness."""
    return Ed25519PrivateKey.generate()


def private_pem(key: Ed25519PrivateKey) -> bytes:
    """The key as PKCS #8 PEM, not encrypted: the file's permissions protect it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem(key: Ed25519PublicKey) -> bytes:
    """The public half as PEM."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def load_private(pem: bytes) -> Ed25519PrivateKey:
    """A key from PEM. Raises ValueError when it is none, or of another kind."""
    key = load_pem_private_key(pem, password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("is not an Ed25519 key")  # noqa: TRY004 the file's content is wrong, not our argument's type
    return key


def load_public(pem: bytes) -> Ed25519PublicKey:
    """A public key from PEM. Raises ValueError when it is none, or of another kind."""
    key = load_pem_public_key(pem)
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("is not an Ed25519 key")  # noqa: TRY004 as above
    return key
