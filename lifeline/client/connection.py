"""One connection pool to the API; methods block, and may be called from several threads."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote

import httpx

from lifeline.client.errors import TooFastError, error_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator
    from types import TracebackType

Row = dict[str, Any]

TRIES: Final = 5
"""How often a request that was not done (429, 503, no connection) is tried; acts carry an idempotency key."""


class Connection:
    """Requests, pages, and what is tried again."""

    def __init__(
        self, url: str, token: str, *, timeout_s: float = 30.0, verify: ssl.SSLContext | str | bool = True
    ) -> None:
        self._http = httpx.Client(
            base_url=f"{url.rstrip('/')}/api/v1",
            headers={"Authorization": f"Bearer {token}"},
            timeout=timeout_s,
            verify=verify,
        )

    def __enter__(self) -> Self:
        """Use it in a ``with``."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # --- how ---------------------------------------------------------------------------------------------------

    def _pages(self, path: str, name: str, filters: Row, page: int) -> Iterator[Row]:
        cursor = None
        while True:
            body = self._json("GET", path, params=given({**filters, "limit": page, "cursor": cursor}))
            yield from body[name]
            cursor = body["next"]
            if cursor is None:
                return

    def _json(self, method: str, path: str, **request: Any) -> Row:
        body: Row = self._send(method, path, **request).json()
        return body

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """One request; what was not done for want of time or connection is tried again, a little later each time."""
        repeatable = method == "GET" or "Idempotency-Key" in request.get("headers", {})
        for left in range(TRIES - 1, -1, -1):
            wait_s = 0.2 * 2 ** (TRIES - 1 - left)
            try:
                answer = self._http.request(method, path, **request)
            except httpx.TransportError:
                if not left or not repeatable:
                    raise
            else:
                if answer.status_code < 400:
                    return answer
                error = error_of(answer)
                if not left or not isinstance(error, TooFastError):
                    raise error
                wait_s = max(wait_s, error.retry_after_s)
            time.sleep(wait_s)
        raise AssertionError("unreachable")


def given(parameters: Row) -> Row:
    """Those that are not None."""
    return {name: value for name, value in parameters.items() if value is not None}


def in_path(name: str) -> str:
    """A name as one part of an address: a device's id may hold ``#``, ``?`` or ``%``."""
    return quote(name, safe="")


def once(key: str | None) -> dict[str, str]:
    """The header that makes repeats harmless; ``key``: your own, by default a fresh one."""
    return {"Idempotency-Key": key or uuid.uuid4().hex}
