"""One shape for every error of every route: RFC 9457 ``application/problem+json``.

``type`` is a path of this list, so that a program can tell errors apart without reading sentences:

    /problems/unauthenticated  401    /problems/forbidden     403    /problems/not-found     404
    /problems/conflict         409    /problems/changed       412    /problems/invalid       400, 422
    /problems/too-large        413    /problems/too-many      429    /problems/unavailable   503
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

MEDIA_TYPE: Final = "application/problem+json"

KINDS: Final[dict[str, tuple[int, str]]] = {
    "unauthenticated": (401, "Who are you?"),
    "forbidden": (403, "Not allowed"),
    "not-found": (404, "Not found"),
    "method": (405, "Method not allowed"),
    "conflict": (409, "Not possible now"),
    "changed": (412, "Changed meanwhile"),
    "too-large": (413, "Too large"),
    "not-our-name": (421, "Not our name"),
    "invalid": (422, "Not understood"),
    "precondition-required": (428, "Say which version you saw"),
    "too-many": (429, "Too many requests"),
    "internal": (500, "A defect of ours"),
    "unavailable": (503, "Not available now"),
}
"""Kind → its usual status and title."""


OUTSIDE: Final = "outside the caller's areas or utilities"
"""Said to the audit, never to the caller."""


class ProblemError(Exception):
    """A request that is not done; becomes the answer of the route that raises it."""

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        errors: list[dict[str, Any]] | None = None,
        denied: str = "",
        tried: str = "access",
    ) -> None:
        """``denied``: why, for the audit, of what the caller is told is not there; ``tried``: the audit's action."""
        super().__init__(detail)
        self.kind = kind
        self.status = status or KINDS[kind][0]
        self.detail = detail
        self.headers = dict(headers or {})
        self.errors = errors
        self.denied = denied
        self.tried = tried
        self.recorded = False
        """Whether the audit has it already."""

    def response(self) -> Response:
        """The answer."""
        body: dict[str, Any] = {
            "type": f"/problems/{self.kind}",
            "title": KINDS[self.kind][1],
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors is not None:
            body["errors"] = self.errors
        return Response(orjson.dumps(body, default=str), self.status, headers=self.headers, media_type=MEDIA_TYPE)


class ProblemModel(BaseModel):
    """A problem as the API's description shows it."""

    model_config = ConfigDict(title="Problem")

    type: str = Field(description="which kind, a path such as /problems/forbidden")
    title: str
    status: int
    detail: str = Field(description="what is wrong and what can be done")
    errors: list[dict[str, Any]] | None = Field(None, description="each wrong field: where, and what is wrong")
