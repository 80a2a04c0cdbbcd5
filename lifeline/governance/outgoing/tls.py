"""TLS towards receivers: who they must be, who we are, and whose certificates were taken back."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Trust:
    """PEM files. ``ca_file``: the receiver's authority, else the system's store; ``cert_file`` and ``key_file``: ours.

    ``crl_file``: certificates that the authority has taken back; read anew with each connection, like the others.
    """

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    crl_file: Path | None = None

    def context(self) -> ssl.SSLContext:
        """TLS 1.2 at least, the receiver's name and authority checked.

        Raises:
            OSError: a file cannot be read, or is not what it should be (ssl.SSLError is one).
        """
        context = ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file else None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.cert_file is not None:
            context.load_cert_chain(self.cert_file, self.key_file)
        if self.crl_file is not None:
            context.load_verify_locations(str(self.crl_file))
            if not context.cert_store_stats()["crl"]:
                raise OSError(f"{self.crl_file} holds no list of revoked certificates")
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        return context
