"""``/accounts``, ``/tokens``: who may what, kept by the security administrator."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Path, Response
from starlette.concurrency import run_in_threadpool

from lifeline.console.answers import Answers, Cursor, IdempotencyKey, Limit, Who, Word, json_answer
from lifeline.console.models_admin import (
    Account,
    AccountAsked,
    AccountMade,
    AccountPage,
    GrantsAsked,
    Invited,
    Token,
    TokenAsked,
    TokenMade,
    TokenPage,
)

router = APIRouter(prefix="/api/v1", tags=["accounts"])

Name = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[\w.@-]+$")]
TokenId = Annotated[str, Path(min_length=12, max_length=12, pattern=r"^[0-9a-f]+$")]
IfMatch = Annotated[
    str | None, Header(max_length=64, description="the ETag you saw: refuse when the rights have changed")
]
ONCE = {"Cache-Control": "no-store"}


@router.get("/accounts", response_model=AccountPage)
async def list_accounts(who: Who, parts: Answers, cursor: Cursor = None, limit: Limit = 100) -> Response:  # noqa: ARG001 - the gate has judged
    """Every account by name, without secrets."""
    rows, following = await run_in_threadpool(parts.admin.list_accounts, cursor=cursor, limit=limit)
    return json_answer({"accounts": rows, "next": following})


@router.post("/accounts", response_model=AccountMade, status_code=201)
async def add_account(who: Who, parts: Answers, body: AccountAsked, idempotency_key: IdempotencyKey = None) -> Response:
    """A new account: roles × areas × utilities × data grade. ``link``, told once, lets its owner choose a password.

    System, security and audit administrator are never one account.
    """
    given = body.model_dump(exclude_none=True)
    row = await run_in_threadpool(parts.admin.add_account, who.principal, given, idempotency_key)
    return json_answer(row, 201, ONCE | {"Location": f"/api/v1/accounts/{row['name']}", "ETag": f'"{row["version"]}"'})


@router.get("/accounts/{name}", response_model=Account)
async def get_account(who: Who, parts: Answers, name: Name) -> Response:  # noqa: ARG001 - the gate has judged
    """One account. ETag: of its rights."""
    row = await run_in_threadpool(parts.admin.get_account, name.lower())
    return json_answer(row, headers={"ETag": f'"{row["version"]}"'})


@router.put("/accounts/{name}/grants", response_model=Account)
async def set_grants(who: Who, parts: Answers, name: Name, body: GrantsAsked, if_match: IfMatch = None) -> Response:
    """Replace all that an account may; holds from its next request on. Nobody changes their own."""
    version = None if if_match is None or if_match.strip() == "*" else if_match.strip().removeprefix("W/").strip('"')
    row = await run_in_threadpool(parts.admin.set_grants, who.principal, name.lower(), body.model_dump(), version)
    return json_answer(row, headers={"ETag": f'"{row["version"]}"'})


@router.post("/accounts/{name}/disable", response_model=Account)
async def disable_account(who: Who, parts: Answers, name: Name) -> Response:
    """Close an account for good: its sessions and tokens end with this. Repeating it changes nothing."""
    return json_answer(await run_in_threadpool(parts.admin.disable, who.principal, name.lower()))


@router.post("/accounts/{name}/invitation", response_model=Invited, status_code=201)
async def invite(who: Who, parts: Answers, name: Name) -> Response:
    """A one-time link for a forgotten password, told once, good for 24 hours."""
    return json_answer(await run_in_threadpool(parts.admin.invite, who.principal, name.lower()), 201, ONCE)


@router.get("/tokens", response_model=TokenPage)
async def list_tokens(
    who: Who,  # noqa: ARG001 - the gate has judged
    parts: Answers,
    account: Word = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Response:
    """Tokens, newest first: whose, how narrow, until when, last used; never the tokens themselves."""
    rows, following = await run_in_threadpool(parts.admin.list_tokens, account=account, cursor=cursor, limit=limit)
    return json_answer({"tokens": rows, "next": following})


@router.post("/tokens", response_model=TokenMade, status_code=201)
async def create_token(who: Who, parts: Answers, body: TokenAsked, idempotency_key: IdempotencyKey = None) -> Response:
    """A bearer token, told in this answer only: 256 random bits, up to a year, within the account's rights."""
    given = body.model_dump(exclude_none=True)
    row = await run_in_threadpool(parts.admin.create_token, who.principal, given, idempotency_key)
    return json_answer(row, 201, ONCE)


@router.post("/tokens/{token_id}/revoke", response_model=Token)
async def revoke_token(who: Who, parts: Answers, token_id: TokenId) -> Response:
    """Revoke a token by its id; holds from its next request on. Repeating it changes nothing."""
    return json_answer(await run_in_threadpool(parts.admin.revoke_token, who.principal, token_id))
