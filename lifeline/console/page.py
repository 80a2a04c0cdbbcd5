"""The pages, put together from ``web/``: no other file is loaded by them, so they work without any network.

Only what a browser must treat as code carries the request's nonce; everything else on a page is text.
"""

from __future__ import annotations

import html
import re
from functools import cache
from importlib import resources
from typing import Final

POLICY: Final = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy: nothing but our own script and style may run, and it may only talk to us."""

LOGIN_POLICY: Final = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


@cache
def _part(name: str) -> str:
    return resources.files("lifeline.console").joinpath("web", name).read_text(encoding="utf-8")


def render(site: str, timezone: str, nonce: str, *, name: str = "", csrf: str = "") -> str:
    """The console for a site and its viewer. ``nonce`` is fresh for every request."""
    values = {"nonce": nonce, "site": site, "timezone": timezone, "name": name, "csrf": csrf}
    return _filled("page.html", values, style="page.css", scripts=("words.js", "page.js", "event.js"))


def render_login(
    site: str, nonce: str, *, error: str = "", note: str = "", word: str = "", kind: str = "", oidc: bool = False
) -> str:
    """The sign-in form. ``word``: a one-time word that was given, ``kind``: what for (``password``, ``setup``)."""
    values = {
        "nonce": nonce,
        "site": site,
        "error": error,
        "note": note,
        "word": word,
        "named": "" if kind == "password" else "shown",
        "oidc": "shown" if oidc and not kind else "",
        "fresh": "new-password" if kind else "current-password",
    }
    return _filled("login.html", values, style="login.css", scripts=("login.js",))


def _filled(page: str, values: dict[str, str], *, style: str, scripts: tuple[str, ...]) -> str:
    slots = {name: html.escape(value) for name, value in values.items()}
    slots |= {"style": _part(style), "script": "\n".join(map(_part, scripts))}
    # One pass, so that braces inside a value stay what they are.
    return re.sub(r"\{\{(\w+)\}\}", lambda slot: slots[slot[1]], _part(page))
