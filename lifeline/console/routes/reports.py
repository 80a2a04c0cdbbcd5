"""What people tell: ``POST /events``, and the same by Open311 GeoReport v2 for portals that speak it.

Open311 (open311.org, GeoReport v2): forms in, JSON out; a portal may send its token as ``api_key`` in the form, never
in the address. Errors are problem+json like everywhere.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from lifeline.console.access import Caller
from lifeline.console.answers import FORM, Answers, IdempotencyKey, Who, check_form, form_of, json_answer, state_of
from lifeline.console.models import Report, Reported
from lifeline.console.problem import OUTSIDE, ProblemError
from lifeline.core.personal import masked_text

router = APIRouter(tags=["reports"])

OPEN311_FIELDS: Final = (
    "api_key", "service_code", "description", "lat", "long", "address_string", "first_name", "last_name", "phone",
    "email",
)  # fmt: skip
ReportId = Annotated[str, Path(min_length=4, max_length=20, pattern=r"^[0-9a-f]+$")]


@router.post("/api/v1/events", response_model=Reported, status_code=201)
async def report_event(who: Who, parts: Answers, body: Report, idempotency_key: IdempotencyKey = None) -> Response:
    """A report from a citizen, a patrol, 110/119/120, a utility or a superior: into the same queue.

    It joins the event nearby that is about the same, or opens one. With ``external_ref`` (or ``Idempotency-Key``) the
    same report again gives the first answer.
    """
    given = body.model_dump(exclude_none=True)
    row = await run_in_threadpool(parts.queue.report, who.principal, given, idempotency_key)
    return json_answer(row, 201, {"Location": f"/api/v1/events/{row['event_id']}"})


async def _portal(request: Request) -> Caller:
    """The caller of an Open311 request: as everywhere, or by ``api_key`` in the form."""
    token = None
    if request.method == "POST" and "authorization" not in request.headers:
        token = (await form_of(request)).get("api_key")
    return await state_of(request).gate.caller(request, token)


Portal = Annotated[Caller, Depends(_portal)]


@router.get("/open311/v2/services.json")
async def services(who: Portal, parts: Answers) -> Response:  # noqa: ARG001 - any portal
    """What can be reported."""
    rows = parts.queue.services()
    return json_answer(
        [
            {
                "service_code": row["code"],
                "service_name": f"{row['zh']} / {row['en']}",
                "description": row["en"],
                "metadata": False,
                "type": "realtime",
                "keywords": row["utility"],
                "group": row["utility"],
            }
            for row in rows
        ]
    )


@router.post(
    "/open311/v2/requests.json",
    status_code=201,
    openapi_extra={
        "requestBody": {
            "content": {
                FORM: {
                    "schema": {
                        "type": "object",
                        "required": ["service_code"],
                        "properties": {name: {"type": "string"} for name in OPEN311_FIELDS},
                    }
                }
            }
        }
    },
)
async def open311_request(
    request: Request, who: Portal, parts: Answers, idempotency_key: IdempotencyKey = None
) -> Response:
    """One report: service_code, lat and long or address_string, description, and who reports."""
    check_form(request)
    form = await form_of(request)
    name = " ".join(part for part in (form.get("first_name"), form.get("last_name")) if part)
    contact = " ".join(part for part in (form.get("phone"), form.get("email")) if part)
    known = {service["code"] for service in parts.queue.services()}
    if form.get("service_code") not in known:
        raise ProblemError("invalid", f"service_code: one of {', '.join(sorted(known))}", status=400)
    try:
        body = Report(
            source="citizen",
            service=form.get("service_code"),
            description=form.get("description") or form["service_code"],
            lat=_number(form, "lat"),
            lon=_number(form, "long"),
            address=form.get("address_string"),
            reporter=name or None,
            contact=contact or None,
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise ProblemError("invalid", f"{first['loc'][0]}: {first['msg']}", status=400) from None
    row = await run_in_threadpool(
        parts.queue.report, who.principal, body.model_dump(exclude_none=True), idempotency_key
    )
    notice = "已并入附近事件 / joined an event nearby" if row["merged"] else ""
    answer = {"service_request_id": row["report_id"], "service_notice": notice, "account_id": None}
    return json_answer([answer], 201)


@router.get("/open311/v2/requests.json")
async def open311_requests(
    who: Portal, parts: Answers, service_request_id: Annotated[str, Query(min_length=4, max_length=2_000)]
) -> Response:
    """How reports stand, by their ids (comma separated)."""
    ids = service_request_id.split(",")[:50]
    return json_answer([await _state(who, parts, one.strip()) for one in ids])


@router.get("/open311/v2/requests/{report_id}.json")
async def open311_state(who: Portal, parts: Answers, report_id: ReportId) -> Response:
    """How a report stands."""
    return json_answer([await _state(who, parts, report_id)])


async def _state(who: Caller, parts: Any, report_id: str) -> dict[str, Any]:
    """Of a report that the caller brought, or whose event it may see; nothing personal."""
    row = await run_in_threadpool(parts.queue.get_report, report_id)
    event = row["event"]
    if row["actor"] != who.principal.name and not any(who.principal.sees(*place) for place in row["places"]):
        raise ProblemError(
            "not-found", f"there is no report {report_id!r} within your areas and utilities", denied=OUTSIDE
        )
    changed = [event[name] for name in ("closed_at", "resolved_at", "accepted_at", "dispatched_at") if event[name]]
    return {
        "service_request_id": row["report_id"],
        "status": "open" if event["is_open"] else "closed",
        "status_notes": event["status"],
        "service_code": row["service_code"],
        "description": masked_text(row["description"]),
        "agency_responsible": event["owner"],
        "requested_datetime": _instant(row["at"]),
        "updated_datetime": _instant(changed[0] if changed else row["at"]),
        "expected_datetime": _instant(event["due_at"]),
        "lat": row["lat"],
        "long": row["lon"],
    }


def _number(form: dict[str, str], name: str) -> float | None:
    if not form.get(name):
        return None
    try:
        return float(form[name])
    except ValueError:
        raise ProblemError("invalid", f"{name}: decimal degrees, not {form[name][:40]!r}", status=400) from None


def _instant(at: int | None) -> str | None:
    """W3C date-time, as GeoReport asks for."""
    return None if at is None else datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="seconds")
