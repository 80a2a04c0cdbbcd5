"""Problems of the API as exceptions.

ApiError
├── NotAllowedError   401, 403: no valid credential, or not with these roles
├── NotFoundError     404: not there, or outside the caller's areas and utilities
├── ChangedError      409, 412: not possible now; look again, then decide
└── TooFastError      429, 503: wait ``retry_after_s``, then try again
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx


class ApiError(Exception):
    """An answer that is none: its status, and the problem's ``type``, ``title`` and ``detail``."""

    def __init__(self, status: int, problem: dict[str, Any], retry_after_s: float = 0.0) -> None:
        super().__init__(f"{status} {problem.get('title', '')}: {problem.get('detail', '')}")
        self.status = status
        self.problem = problem
        self.retry_after_s = retry_after_s


class NotAllowedError(ApiError):
    """No valid credential, or not with these roles."""


class NotFoundError(ApiError):
    """Not there, or outside the caller's areas and utilities."""


class ChangedError(ApiError):
    """Not possible in this state, or somebody was faster: look again, then decide."""


class TooFastError(ApiError):
    """Too many requests, or not available now: wait ``retry_after_s``."""


_KINDS: dict[int, type[ApiError]] = {
    401: NotAllowedError,
    403: NotAllowedError,
    404: NotFoundError,
    409: ChangedError,
    412: ChangedError,
    429: TooFastError,
    503: TooFastError,
}


def error_of(answer: httpx.Response) -> ApiError:
    """The exception for an answer of 400 or above, read already."""
    try:
        problem = answer.json()
    except ValueError:
        problem = {"title": answer.reason_phrase, "detail": answer.text[:200]}
    wait = answer.headers.get("retry-after", "0")
    kind = _KINDS.get(answer.status_code, ApiError)
    return kind(answer.status_code, problem, float(wait) if wait.isdigit() else 0.0)
