"""The one page, put together from ``web/``: no other file is loaded by it, so it works without any network.

Only what a browser must treat as code carries the request's nonce; everything else on the page is text.
"""

from __future__ import annotations

import html
import re
from functools import cache
from importlib import resources

POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy: nothing but our own script and style may run, and it may only talk to us."""


@cache
def _part(name: str) -> str:
    return resources.files("lifeline.console").joinpath("web", name).read_text(encoding="utf-8")


def render(site: str, timezone: str, nonce: str) -> str:
    """The page for a site. ``nonce`` is fresh for every request."""
    values = {
        "nonce": html.escape(nonce),
        "site": html.escape(site),
        "timezone": html.escape(timezone),
        "style": _part("page.css"),
        "script": _part("page.js"),
    }
    # One pass, so that braces inside a value stay what they are.
    return re.sub(r"\{\{(\w+)\}\}", lambda slot: values[slot[1]], _part("page.html"))
