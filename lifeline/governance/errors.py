"""Refusals of the queue: the request cannot be done as asked, nothing was changed, and the message says what can.

LifelineError
└── RefusedError            any refusal: catch this at the border (HTTP 4xx, exit status 1 or 2)
    ├── UnknownIdError      no such event or alarm, or the abbreviation fits several
    ├── IllegalActionError  the table has no such step from here
    ├── ForbiddenError      the step exists, this role may not take it
    ├── FieldError          a field is missing, unknown or out of range (wrong usage: exit status 2)
    └── ConflictError       somebody else was faster
"""

from __future__ import annotations

from lifeline.core.errors import LifelineError


class RefusedError(LifelineError):
    """The queue refuses; nothing was changed."""


class UnknownIdError(RefusedError, LookupError):
    """No event or alarm by that id, or the abbreviation is not unique; the message names the nearest."""


class IllegalActionError(RefusedError):
    """No such action from this state; the message lists the legal ones."""


class ForbiddenError(RefusedError):
    """The role may not do this; the message names the roles that may."""


class FieldError(RefusedError, ValueError):
    """A field of the request is missing, unknown, or has a value outside its range."""

    exit_status = 2


class ConflictError(RefusedError):
    """The event has changed since the caller looked at it."""
