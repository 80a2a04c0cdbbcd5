"""TLS of the console: who we are, and whose certificate a client must show; by files as they are at each connection.

A certificate that is renewed, an authority that is exchanged and a list of revoked certificates that is issued anew
hold for the next connection, without a restart. Files that cannot be used change nothing: what held goes on to hold,
and the log says why. Connections that stand are not asked again.
"""

from __future__ import annotations

import logging
import ssl
import threading
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Final, Self

LOG: Final = logging.getLogger(__name__)

_Seen = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True)
class Tls:
    """Our certificate and its key, PEM files. ``client_ca_file``: who may connect at all shows a certificate of it.

    ``client_crl_file``: but none of these.
    """

    cert_file: str
    key_file: str
    client_ca_file: str | None = None
    client_crl_file: str | None = None

    def context(self) -> ssl.SSLContext:
        """TLS 1.2 at least.

        Raises:
            OSError: a file cannot be read, or is not what it should be (ssl.SSLError is one); says which.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.cert_file, self.key_file)
        except OSError as error:
            raise OSError(f"cert_file or key_file cannot be used: {error}") from error
        if self.client_ca_file is None:
            return context
        try:
            context.load_verify_locations(self.client_ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
            if self.client_crl_file is not None:
                _refuse_revoked(context, self.client_crl_file)
        except OSError as error:
            raise OSError(f"client_ca_file or client_crl_file cannot be used: {error}") from error
        return context

    def seen(self) -> _Seen:
        """What tells one state of the files from another; cheap."""
        found: list[tuple[int, int, int] | None] = []
        for name in filter(None, astuple(self)):
            try:
                stat = Path(name).stat()
            except OSError:
                found.append(None)
            else:
                found.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
        return tuple(found)


def _refuse_revoked(context: ssl.SSLContext, crl_file: str) -> None:
    context.load_verify_locations(crl_file)
    if not context.cert_store_stats()["crl"]:
        raise OSError(f"{crl_file} holds no list of revoked certificates")
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF


class Renewed(ssl.SSLContext):
    """A server's context whose connections meet the files as they are now. One event loop asks for connections.

    Servers hold on to the context that they were given and ask it for each connection (``wrap_bio``); this one passes
    the question on to a context that is made anew whenever a file has changed.

    Raises:
        OSError: as ``Tls.context``.
    """

    def __new__(cls, tls: Tls) -> Self:
        """The protocol is the class's; ``tls`` is for ``__init__``."""
        assert tls is not None
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._seen = tls.seen()
        self._newest = tls.context()
        self._guard = threading.Lock()

    def wrap_bio(self, *given: Any, **named: Any) -> ssl.SSLObject:
        """A connection under the newest files."""
        return self._current().wrap_bio(*given, **named)

    def _current(self) -> ssl.SSLContext:
        with self._guard:
            seen = self._tls.seen()
            if seen != self._seen:
                self._seen = seen
                try:
                    self._newest = self._tls.context()
                except OSError as error:
                    LOG.error("[http] %s; what was in force goes on to be", error)  # noqa: TRY400 - the words say it all
            return self._newest
