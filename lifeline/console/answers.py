"""What routes share: who asks, what the query string says, how rows leave."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import parse_qsl

import orjson
from fastapi import Depends, Header, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from lifeline.console.access import Caller
from lifeline.console.limits import PAGE_ROWS_MAX
from lifeline.console.masking import INTERNAL, masked_event
from lifeline.console.parts import Parts
from lifeline.console.problem import ProblemError, ProblemModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lifeline.console.state import State

JSON_OPTIONS: Final = orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC | orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
TIME_MS_MAX: Final = 4_102_444_800_000
FORM: Final = "application/x-www-form-urlencoded"
FORM_FIELDS_MAX: Final = 40
"""An Open311 request has ten; portals add their own."""


def state_of(request: Request) -> State:
    """What the application holds."""
    state: State = request.app.state.lifeline
    return state


def parts_of(request: Request) -> Parts:
    """Who answers."""
    return state_of(request).parts


async def _caller(
    request: Request,
    x_purpose: Annotated[
        str | None, Header(max_length=200, description="why exact positions and household ids are needed; audited")
    ] = None,
    x_case_id: Annotated[str | None, Header(max_length=64, description="for which case; goes with X-Purpose")] = None,
) -> Caller:
    """The authenticated caller; with purpose and case, one who sees unmasked data, which is audited first."""
    state = state_of(request)
    caller = await state.gate.caller(request)
    if x_purpose is None and x_case_id is None:
        return caller
    if not (x_purpose and x_purpose.strip() and x_case_id and x_case_id.strip()):
        raise ProblemError("invalid", "unmasked data needs both X-Purpose and X-Case-Id")
    if not caller.principal.graded("important"):
        said = "unmasked data needs an account of data grade important"
        wanted = f"purpose {x_purpose.strip()}, case {x_case_id.strip()}: {said}"
        raise ProblemError("forbidden", said, denied=wanted, tried="read.unmasked")
    details = {"purpose": x_purpose, "case_id": x_case_id, "query": str(request.url.query)[:500]}
    await run_in_threadpool(state.parts.audit.record, caller.principal, "read.unmasked", request.url.path, details)
    return Caller(caller.principal, caller.cookie, unmasked=True, purpose=x_purpose, case_id=x_case_id)


Who = Annotated[Caller, Depends(_caller)]
Answers = Annotated[Parts, Depends(parts_of)]

Limit = Annotated[int, Query(ge=1, le=PAGE_ROWS_MAX, description="rows of a page")]
Cursor = Annotated[str | None, Query(max_length=200, description="`next` of the page before, unchanged")]
Time = Annotated[str | None, Query(max_length=40, description="epoch milliseconds or ISO 8601")]
Code = Annotated[str | None, Query(max_length=32, pattern=r"^[A-Za-z0-9]+$", description="an area and all within")]
Word = Annotated[str | None, Query(max_length=128)]
Words = Annotated[list[str] | None, Query(max_length=20)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        max_length=128,
        pattern=r"^[\x21-\x7e]+$",
        description="done once, however often the request is repeated with this key; 24 hours",
    ),
]

_PROBLEM: Final[dict[str, Any]] = {
    "model": ProblemModel,
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    status: _PROBLEM | {"description": text}
    for status, text in {
        400: "Malformed",
        401: "No valid credentials",
        403: "Not allowed",
        404: "Not found, or outside the caller's areas and utilities",
        409: "Not possible in this state",
        412: "Changed since the version named in If-Match",
        413: "Too large",
        422: "A field is missing, unknown or out of range",
        429: "Too many requests; see Retry-After",
        503: "Not available now",
    }.items()
}
"""Problems that any route may answer with."""


def json_answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON; times as they are (epoch milliseconds)."""
    return Response(
        orjson.dumps(body, default=str, option=JSON_OPTIONS), status, media_type="application/json", headers=headers
    )


def time_ms(text: str | None, name: str) -> int | None:
    """Epoch milliseconds of a query's time.

    Raises:
        ProblemError: it is none.
    """
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        value = int(text)
    else:
        try:
            moment = datetime.fromisoformat(text.strip().replace(" ", "+"))
            value = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
        except (ValueError, OverflowError):
            raise ProblemError("invalid", f"{name}: neither epoch milliseconds nor ISO 8601: {text[:40]!r}") from None
    if not 0 <= value <= TIME_MS_MAX:
        raise ProblemError("invalid", f"{name}: outside 1970 to 2100")
    return value


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form in the request's body.

    Raises:
        ProblemError: they are too many.
    """
    text = (await request.body()).decode("utf-8", "replace")
    try:
        return dict(parse_qsl(text, max_num_fields=FORM_FIELDS_MAX))
    except ValueError:
        raise ProblemError("invalid", f"a form has at most {FORM_FIELDS_MAX} fields", status=400) from None


def check_form(request: Request) -> None:
    """Raise ProblemError unless the body is said to be a form."""
    if not request.headers.get("content-type", "").startswith(FORM):
        raise ProblemError("invalid", f"send the form as {FORM}", status=415)


def shown_event(caller: Caller, row: dict[str, Any]) -> dict[str, Any]:
    """An event as this caller may see it."""
    return {k: v for k, v in row.items() if k not in INTERNAL} if caller.unmasked else masked_event(row)
