"""Who asks and whether they may: one table of routes and roles; what is not in it is refused.

Credentials are a bearer token (programs) or a session cookie (browsers). An act that comes with a cookie must come
from a page of ours: same origin, and with the session's CSRF token. Where a row lies (area, utility) is judged by the
route, which knows the row; the table judges the function.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from lifeline.console.guard import address_of, host_name, too_many
from lifeline.console.problem import ProblemError
from lifeline.core.principal import READERS, ROLES, Principal

if TYPE_CHECKING:
    from lifeline.console.limits import Buckets
    from lifeline.console.ports import AccountsPort

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
EVERYBODY: Final = tuple(ROLES)
_DESK: Final = ("operator", "dispatcher", "admin")
_SWITCH: Final = ("dispatcher", "admin")
_KEEPER: Final = ("security",)

POLICY: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("GET", "/"): (*READERS, "security"),
    ("GET", "/status.json"): (*READERS, "security"),
    ("GET", "/events.json"): READERS,
    ("GET", "/api/openapi.json"): EVERYBODY,
    ("POST", "/logout"): EVERYBODY,
    ("GET", "/api/v1/me"): EVERYBODY,
    ("GET", "/api/v1/events"): READERS,
    ("POST", "/api/v1/events"): (*_DESK, "reporter"),
    ("GET", "/api/v1/events/{event_id}"): READERS,
    ("GET", "/api/v1/events/{event_id}/proposal"): _DESK,
    ("POST", "/api/v1/events/{event_id}/actions/{action}"): (*_DESK, "analyst"),
    ("GET", "/api/v1/alarms"): READERS,
    ("GET", "/api/v1/alarms/{alarm_id}"): READERS,
    ("POST", "/api/v1/alarms/{alarm_id}/actions/{action}"): _DESK,
    ("GET", "/api/v1/points"): READERS,
    ("GET", "/api/v1/points/{device}/{quantity}/readings"): READERS,
    ("GET", "/api/v1/live"): READERS,
    ("GET", "/api/v1/stream"): READERS,
    ("GET", "/api/v1/kpi"): READERS,
    ("GET", "/api/v1/areas"): READERS,
    ("POST", "/api/v1/sql"): ("analyst",),
    ("GET", "/api/v1/audit"): ("auditor",),
    ("GET", "/api/v1/audit/{entry}/proof"): ("auditor",),
    ("GET", "/api/v1/audit/consistency"): ("auditor",),
    ("GET", "/api/v1/emergencies"): READERS,
    ("GET", "/api/v1/escalations"): READERS,
    ("POST", "/api/v1/emergencies"): _SWITCH,
    ("GET", "/api/v1/emergencies/{emergency_id}"): READERS,
    ("POST", "/api/v1/emergencies/{emergency_id}/end"): _SWITCH,
    ("POST", "/api/v1/devices/{device}/commands"): _DESK,
    ("GET", "/api/v1/commands"): READERS,
    ("GET", "/api/v1/commands/{command_id}"): READERS,
    ("GET", "/api/v1/settings/{name}"): READERS,
    ("GET", "/api/v1/settings/{name}/versions"): READERS,
    ("GET", "/api/v1/settings/{name}/versions/{version}"): READERS,
    ("PUT", "/api/v1/settings/policy"): _SWITCH,
    ("PUT", "/api/v1/settings/units"): _SWITCH,
    ("PUT", "/api/v1/settings/duties"): _SWITCH,
    ("GET", "/api/v1/accounts"): _KEEPER,
    ("POST", "/api/v1/accounts"): _KEEPER,
    ("GET", "/api/v1/accounts/{name}"): _KEEPER,
    ("PUT", "/api/v1/accounts/{name}/grants"): _KEEPER,
    ("POST", "/api/v1/accounts/{name}/disable"): _KEEPER,
    ("POST", "/api/v1/accounts/{name}/invitation"): _KEEPER,
    ("GET", "/api/v1/tokens"): _KEEPER,
    ("POST", "/api/v1/tokens"): _KEEPER,
    ("POST", "/api/v1/tokens/{token_id}/revoke"): _KEEPER,
    ("GET", "/open311/v2/services.json"): (*_DESK, "reporter"),
    ("POST", "/open311/v2/requests.json"): (*_DESK, "reporter"),
    ("GET", "/open311/v2/requests.json"): (*_DESK, "reporter"),
    ("GET", "/open311/v2/requests/{report_id}.json"): (*_DESK, "reporter"),
}
"""(method, path) → roles, one of which must be held somewhere. Everything else is refused."""

OPEN: Final = frozenset(
    {
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/metrics"),
        ("GET", "/login"),
        ("POST", "/login"),
        ("GET", "/login/oidc"),
        ("GET", "/login/oidc/back"),
    }
)
"""What needs no credentials (contract, section 6)."""


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated request."""

    principal: Principal
    cookie: str | None
    """The session's secret when it is a browser."""
    unmasked: bool = False
    """Exact positions and household ids are shown: the grade allows it, purpose and case are given and audited."""
    purpose: str = ""
    case_id: str = ""


class Gate:
    """Authenticates and authorises. ``secure`` names the cookie so that only TLS pages of this very host can set it."""

    def __init__(self, accounts: AccountsPort, buckets: Buckets, *, secure: bool) -> None:
        self._accounts = accounts
        self._buckets = buckets
        self.cookie_name = "__Host-lifeline" if secure else "lifeline"

    async def caller(self, request: Request, token: str | None = None) -> Caller:
        """Who asks for this route; ``token``: a bearer token that came in the body.

        Raises:
            ProblemError: unauthenticated, forbidden or too many.
        """
        found = await self.identify(request, token)
        if found is None:
            raise ProblemError(
                "unauthenticated",
                "请登录，或携带有效令牌 / sign in at /login, or send Authorization: Bearer lft_…",
                headers={"WWW-Authenticate": 'Bearer realm="lifeline"'},
            )
        request.state.principal = found.principal
        wait = self._buckets.take(f"{found.principal.via}:{found.principal.name}")
        if wait:
            raise too_many(wait)
        route = request.scope.get("route")
        path = getattr(route, "path", request.url.path)
        roles = POLICY.get((request.method, path))
        if roles is None or not found.principal.may(roles):
            wanted = ", ".join(roles or ()) or "nobody"
            raise ProblemError("forbidden", f"此操作需要角色 / this needs one of the roles: {wanted}")
        if found.cookie is not None and request.method not in SAFE_METHODS:
            self._check_page(request, found.cookie)
        return found

    async def identify(self, request: Request, token: str | None = None) -> Caller | None:
        """The holder of the request's credential, None without a valid one."""
        address = address_of(request.scope)
        scheme, _, sent = request.headers.get("authorization", "").partition(" ")
        if scheme and scheme.lower() != "bearer":
            return None
        if scheme or token is not None:
            principal = await run_in_threadpool(self._accounts.of_token, (token or sent).strip(), address)
            return None if principal is None else Caller(principal, None)
        cookie = request.cookies.get(self.cookie_name)
        if not cookie:
            return None
        principal = await run_in_threadpool(self._accounts.of_session, cookie, address)
        return None if principal is None else Caller(principal, cookie)

    def _check_page(self, request: Request, cookie: str) -> None:
        given = request.headers.get("x-csrf-token", "")
        if not same_origin(request) or given != self._accounts.csrf_of(cookie):
            raise ProblemError("forbidden", "this act did not come from a page of ours (origin or X-CSRF-Token)")


def same_origin(request: Request) -> bool:
    """Whether a browser says that one of our own pages asks. Programs that say nothing of the kind pass."""
    site = request.headers.get("sec-fetch-site")
    if site is not None and site not in {"same-origin", "none"}:
        return False
    origin = request.headers.get("origin")
    if origin is None:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:  # such as "http://["
        return False
    return parts.netloc.lower() == request.headers.get("host", "").lower() and bool(host_name(parts.netloc))
