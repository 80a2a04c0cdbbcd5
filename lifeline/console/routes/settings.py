"""``/settings``: policy, units and responsibility matrix, as the whole city's centre keeps them."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Path, Query, Response
from starlette.concurrency import run_in_threadpool

from lifeline.console.answers import Answers, Who, json_answer
from lifeline.console.models_admin import (
    DutiesAsked,
    PolicyAsked,
    Setting,
    SettingVersion,
    SettingVersions,
    UnitsAsked,
)
from lifeline.console.problem import ProblemError
from lifeline.console.routes.events import version_of

router = APIRouter(prefix="/api/v1", tags=["settings"])

Name = Literal["policy", "units", "duties"]
Version = Annotated[int, Path(ge=1, le=1_000_000_000)]
IfMatch = Annotated[str | None, Header(max_length=64, description="the ETag you saw; needed")]


@router.get("/settings/{name}", response_model=Setting)
async def get_setting(who: Who, parts: Answers, name: Name) -> Response:  # noqa: ARG001 - the gate has judged
    """What is in force, who decided it, and which file keeps it (null: it is kept here). ETag: its version."""
    row = await run_in_threadpool(parts.settings.get_setting, name)
    return json_answer(row, headers={"ETag": f'"{row["version"]}"'})


@router.get("/settings/{name}/versions", response_model=SettingVersions)
async def list_versions(
    who: Who,  # noqa: ARG001 - the gate has judged
    parts: Answers,
    name: Name,
    cursor: Annotated[int | None, Query(ge=1, le=1_000_000_000, description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """Every version, newest first, without its content."""
    rows, following = await run_in_threadpool(parts.settings.list_setting_versions, name, cursor, limit)
    return json_answer({"versions": rows, "next": following})


@router.get("/settings/{name}/versions/{version}", response_model=SettingVersion)
async def get_version(who: Who, parts: Answers, name: Name, version: Version) -> Response:  # noqa: ARG001 - as above
    """One version with its content."""
    return json_answer(await run_in_threadpool(parts.settings.get_setting_version, name, version))


@router.put("/settings/policy", response_model=Setting)
async def set_policy(who: Who, parts: Answers, body: PolicyAsked, if_match: IfMatch = None) -> Response:
    """Put a policy (TOML) into force for whatever begins from now on; every wrong place of it is named."""
    version = _seen(if_match)
    row = await run_in_threadpool(parts.settings.set_policy, who.principal, body.text, body.reason, version)
    return json_answer(row, headers={"ETag": f'"{row["version"]}"'})


@router.put("/settings/units", response_model=Setting)
async def set_units(who: Who, parts: Answers, body: UnitsAsked, if_match: IfMatch = None) -> Response:
    """Make these all the units."""
    return await _set_rows(who, parts, "units", body, if_match)


@router.put("/settings/duties", response_model=Setting)
async def set_duties(who: Who, parts: Answers, body: DutiesAsked, if_match: IfMatch = None) -> Response:
    """Make these the whole responsibility matrix."""
    return await _set_rows(who, parts, "duties", body, if_match)


async def _set_rows(
    who: Who, parts: Answers, name: str, body: UnitsAsked | DutiesAsked, if_match: str | None
) -> Response:
    version = _seen(if_match)
    rows = [row.model_dump() for row in body.rows]
    row = await run_in_threadpool(parts.settings.set_rows, who.principal, name, rows, body.reason, version)
    return json_answer(row, headers={"ETag": f'"{row["version"]}"'})


def _seen(if_match: str | None) -> int:
    """The version that the caller saw: nobody replaces what he does not know."""
    version = version_of(if_match)
    if version is None:
        raise ProblemError("precondition-required", "send If-Match with the ETag of what you saw")
    return version
