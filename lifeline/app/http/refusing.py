"""Refusals of the queue as problems of HTTP."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from lifeline.console.problem import ProblemError
from lifeline.governance.errors import (
    ConflictError,
    FieldError,
    ForbiddenError,
    IllegalActionError,
    RefusedError,
    UnknownIdError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS_OF: Final[dict[type[RefusedError], str]] = {
    ForbiddenError: "forbidden",
    IllegalActionError: "conflict",
    FieldError: "invalid",
    RefusedError: "conflict",
}


@contextmanager
def refusals(asked: str = "", conflict: str = "conflict", *, recorded: bool = False) -> Iterator[None]:
    """Refusals of the queue as problems.

    ``asked``: what was looked for; an unknown id is answered with it alone, because the queue's own words name ids that
    are near, which may not be the caller's to know. ``conflict``: what it is when somebody else was faster;
    ``recorded``: the queue has put the refusal into the audit itself.

    Raises:
        ProblemError: in place of any ``RefusedError``.
    """
    try:
        yield
    except UnknownIdError as error:
        raise unknown(asked) from error
    except RefusedError as error:
        kind = conflict if isinstance(error, ConflictError) else KINDS_OF[type(error)]
        problem = ProblemError(kind, str(error))
        problem.recorded = recorded
        raise problem from error


def unknown(what: str, denied: str = "") -> ProblemError:
    """The same words for what is not there and (``denied``, for the audit) what is not the caller's to see."""
    return ProblemError("not-found", f"there is no {what} within your areas and utilities", denied=denied)
