"""``/sql``, ``/kpi``, ``/audit``, ``/me``."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from lifeline.console.answers import Answers, Code, Cursor, Limit, Time, Who, Word, json_answer, state_of, time_ms
from lifeline.console.guard import too_many
from lifeline.console.models import AuditPage, ConsistencyProof, InclusionProof, Kpi, Me, QueryResult
from lifeline.console.models import Query as SqlQuery

router = APIRouter(prefix="/api/v1")

MEDIA = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "arrow": "application/vnd.apache.arrow.stream",
}


@router.post("/sql", response_model=QueryResult, tags=["sql"])
async def sql(request: Request, who: Who, parts: Answers, body: SqlQuery) -> Response:
    """One SELECT over the published views, in a process of its own: no file, no network, bounded time and size."""
    wait = state_of(request).queries.take(who.principal.name)
    if wait:
        raise too_many(wait)
    data = await run_in_threadpool(
        parts.sql.run, who.principal, body.sql, body.format, body.rows_max, masked=not who.unmasked
    )
    return Response(data, media_type=MEDIA[body.format])


@router.get("/kpi", response_model=Kpi, tags=["kpi"])
async def kpi(
    who: Who,
    parts: Answers,
    start: Annotated[date | None, Query(alias="from", description="a local day; default: 30 days ago")] = None,
    end: Annotated[date | None, Query(alias="to", description="a local day, exclusive; default: tomorrow")] = None,
    by: Annotated[str | None, Query(max_length=16, description="day district town utility unit kind rule")] = None,
    district: Code = None,
    town: Code = None,
    unit: Word = None,
    kind: Word = None,
    rule: Word = None,
    utility: Word = None,
) -> Response:
    """Key figures of local days with their denominators: filing, closing, on time, rework, overdue, satisfaction."""
    filters = {"by": by, "district": district, "town": town, "unit": unit, "kind": kind, "rule": rule}
    return json_answer(await run_in_threadpool(parts.queue.kpi, who.principal, start, end, utility=utility, **filters))


@router.get("/audit", response_model=AuditPage, tags=["audit"])
async def audit(
    who: Who,
    parts: Answers,
    kind: Word = None,
    actor: Word = None,
    subject: Annotated[str | None, Query(alias="object", max_length=200)] = None,
    since: Time = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Response:
    """What was done, refused and read, newest first (docs/security.md). Reading it is an entry too."""
    filters: dict[str, Any] = {
        "kind": kind,
        "actor": actor,
        "object": subject,
        "since": time_ms(since, "since"),
        "cursor": cursor,
        "limit": limit,
    }
    await run_in_threadpool(parts.audit.record, who.principal, "audit.read", "audit", {"cursor": cursor})
    rows, following = await run_in_threadpool(parts.audit.list_entries, **filters)
    return json_answer({"entries": rows, "next": following})


Size = Annotated[int | None, Query(ge=1, le=2**62, description="of the tree, e.g. a checkpoint's; default: all")]


@router.get("/audit/{entry}/proof", response_model=InclusionProof, tags=["audit"])
async def audit_proof(
    who: Who, parts: Answers, entry: Annotated[int, Path(ge=0, le=2**62)], size: Size = None
) -> Response:
    """That an entry is in the tree that a checkpoint has signed; anybody can check it (docs/security.md)."""
    await run_in_threadpool(parts.audit.record, who.principal, "audit.proof", f"audit/{entry}", {})
    return json_answer(await run_in_threadpool(parts.audit.prove_entry, entry, size))


@router.get("/audit/consistency", response_model=ConsistencyProof, tags=["audit"])
async def audit_consistency(
    who: Who, parts: Answers, older: Annotated[int, Query(ge=1, le=2**62)], size: Size = None
) -> Response:
    """That the tree over the first ``size`` entries begins with the one over the first ``older``."""
    await run_in_threadpool(parts.audit.record, who.principal, "audit.proof", "audit", {"older": older})
    return json_answer(await run_in_threadpool(parts.audit.prove_consistency, older, size))


@router.get("/me", response_model=Me, tags=["me"])
async def me(who: Who, parts: Answers) -> Response:
    """The caller's name, roles and reach."""
    p = who.principal
    grants = [{"role": g.role, "areas": list(g.areas), "utilities": list(g.utilities)} for g in p.grants]
    csrf = None if who.cookie is None else parts.accounts.csrf_of(who.cookie)
    return json_answer(
        {"name": p.name, "roles": list(p.roles), "grants": grants, "grade": p.grade, "via": p.via, "csrf": csrf}
    )
