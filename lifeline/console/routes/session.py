"""``/login``, ``/logout``: sessions of browsers. A plain form, so that it works without any script.

A one-time word may come in the link's fragment (``/login#word``), which browsers do not send to any server; a line of
script moves it into the form. Nothing secret is ever in a URL that we see.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from lifeline.console.access import same_origin
from lifeline.console.answers import Answers, Who, check_form, form_of, state_of
from lifeline.console.guard import address_of, too_many
from lifeline.console.page import LOGIN_POLICY, render_login
from lifeline.console.problem import ProblemError

if TYPE_CHECKING:
    from lifeline.console.ports import SignedIn
    from lifeline.console.state import State

router = APIRouter(include_in_schema=False)

OIDC_COOKIE = "lifeline-oidc"
ASK_PASSWORD = "请为此账号设置密码 / choose a password for this account"  # noqa: S105 - a sentence
ASK_ACCOUNT = "首次启动：请为安全管理员命名并设置密码 / first start: name the security administrator, choose a password"


@router.get("/login")
async def login_page(request: Request) -> Response:
    """The form."""
    return _page(state_of(request))


@router.post("/login")
async def login(request: Request, parts: Answers) -> Response:
    """Name and password, or a one-time word (with the password that it asks for); a session and the console."""
    state = state_of(request)
    if not same_origin(request):
        raise ProblemError("forbidden", "sign in from our own page")
    check_form(request)
    form = await form_of(request)
    name, password, word = (form.get(field, "").strip() for field in ("name", "password", "word"))
    address = address_of(request.scope)
    wait = state.sign_in_addresses.take(address) or (state.sign_in_names.take(name.lower()) if name else 0)
    if wait:
        raise too_many(wait)
    try:
        if word:
            kind = await run_in_threadpool(parts.accounts.kind_of, word)
            if kind in {"password", "setup"} and not password:
                return _page(state, note=ASK_ACCOUNT if kind == "setup" else ASK_PASSWORD, word=word, kind=kind)
            signed = await run_in_threadpool(parts.accounts.redeem, word, address, name, password)
        else:
            signed = await run_in_threadpool(parts.accounts.sign_in, name, password, address)
    except ProblemError as problem:
        if problem.kind not in {"unauthenticated", "invalid"}:
            raise
        kind = await run_in_threadpool(parts.accounts.kind_of, word) if word else None
        return _page(state, error=problem.detail, word=word if kind else "", kind=kind or "", status=problem.status)
    return signed_in(state, signed)


@router.get("/login/oidc")
async def to_provider(request: Request) -> Response:
    """To the identity provider, which sends the browser back."""
    state = state_of(request)
    if state.oidc is None:
        raise ProblemError("not-found", "no identity provider is configured: [http] oidc_issuer")
    wait = state.sign_in_addresses.take(address_of(request.scope))
    if wait:
        raise too_many(wait)
    url, begun = await run_in_threadpool(state.oidc.begin)
    answer = RedirectResponse(url, 303)
    answer.set_cookie(
        OIDC_COOKIE, begun, 600, path="/login/oidc", secure=state.settings.secure, httponly=True, samesite="lax"
    )
    return answer


@router.get("/login/oidc/back")
async def from_provider(
    request: Request,
    parts: Answers,
    state: Annotated[str, Query(max_length=200)] = "",
    code: Annotated[str, Query(max_length=4_000)] = "",
) -> Response:
    """From the identity provider: a session for the account that belongs to the person."""
    held = state_of(request)
    if held.oidc is None:
        raise ProblemError("not-found", "no identity provider is configured: [http] oidc_issuer")
    try:
        subject = await run_in_threadpool(held.oidc.finish, state, request.cookies.get(OIDC_COOKIE, ""), code)
        signed = await run_in_threadpool(parts.accounts.sign_in_subject, subject, address_of(request.scope))
    except ProblemError as problem:
        if problem.kind != "unauthenticated":
            raise
        return _page(held, error=problem.detail, status=401)
    answer = signed_in(held, signed)
    answer.delete_cookie(OIDC_COOKIE, path="/login/oidc")
    return answer


@router.post("/logout")
async def logout(request: Request, who: Who, parts: Answers) -> Response:
    """End the session."""
    if who.cookie is not None:
        await run_in_threadpool(parts.accounts.sign_out, who.cookie)
    answer = Response(status_code=204)
    state = state_of(request)
    answer.delete_cookie(state.gate.cookie_name, path="/", secure=state.settings.secure, httponly=True, samesite="lax")
    return answer


def signed_in(state: State, signed: SignedIn) -> Response:
    """The console, with the session's cookie: unreadable for scripts, never sent by other sites' forms or pictures."""
    answer = RedirectResponse("/", 303)
    answer.set_cookie(
        state.gate.cookie_name, signed.cookie, path="/", secure=state.settings.secure, httponly=True, samesite="lax"
    )
    return answer


def _page(
    state: State, *, error: str = "", note: str = "", word: str = "", kind: str = "", status: int = 200
) -> Response:
    nonce = secrets.token_urlsafe(18)
    text = render_login(
        state.settings.site, nonce, error=error, note=note, word=word, kind=kind, oidc=state.oidc is not None
    )
    # with "no-referrer" browsers say "Origin: null" when they send the form, like a page that hides where it is from
    headers = {"Content-Security-Policy": LOGIN_POLICY.format(nonce=nonce), "Referrer-Policy": "same-origin"}
    return Response(text, status, media_type="text/html; charset=utf-8", headers=headers)
