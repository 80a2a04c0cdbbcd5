"""Signing in with an identity provider: OpenID Connect, authorization code flow with PKCE (RFC 7636).

    /login/oidc ──► provider ──► /login/oidc/back?code&state ──► token (code + verifier + secret) ──► id_token checked

State, nonce and verifier of a sign-in that has begun are kept here for ten minutes and tied to the browser by a cookie.
The provider says who somebody is; what they may do is their account's grants (``user add --oidc 'ISSUER|SUBJECT'``).
Authlib does the protocol; signature, issuer, audience, time and nonce of the id_token are checked with joserfc.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import httpx
from authlib.integrations.httpx_client import OAuth2Client
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from lifeline.console.problem import ProblemError

if TYPE_CHECKING:
    from collections.abc import Callable

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures only: ``none`` and shared secrets are no proof of who has signed."""
BEGUN_S: Final = 600.0
BEGUN_MAX: Final = 10_000
TIMEOUT_S: Final = 10.0
LEEWAY_S: Final = 60


@dataclass(frozen=True)
class Provider:
    """``[oidc]``: who vouches for people, and as whom we ask."""

    issuer: str
    client_id: str
    client_secret: str
    redirect: str
    """Our ``/login/oidc/back`` as browsers reach it."""


@dataclass(frozen=True, slots=True)
class _Begun:
    nonce: str
    verifier: str
    at: float


class Oidc:
    """Sign-ins over one provider. Methods block; any thread."""

    def __init__(self, provider: Provider, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._provider = provider
        self._now = monotonic
        self._lock = threading.Lock()
        self._begun: OrderedDict[str, _Begun] = OrderedDict()
        self._found: dict[str, Any] | None = None

    def begin(self) -> tuple[str, str]:
        """(where to send the browser, state for its cookie).

        Raises:
            ProblemError: the provider does not answer.
        """
        begun = _Begun(secrets.token_urlsafe(24), secrets.token_urlsafe(48), self._now())
        with self._client() as client:
            url, state = client.create_authorization_url(
                self._metadata()["authorization_endpoint"], nonce=begun.nonce, code_verifier=begun.verifier
            )
        with self._lock:
            self._begun[state] = begun
            while len(self._begun) > BEGUN_MAX:
                self._begun.popitem(last=False)
        return url, state

    def finish(self, state: str, cookie: str, code: str) -> str:
        """Who it is, as ``issuer|subject``.

        Raises:
            ProblemError: a sign-in that this browser has not begun, a code or token that does not hold, or no answer.
        """
        with self._lock:
            begun = self._begun.pop(state, None)
        same = secrets.compare_digest(state.encode(), cookie.encode())  # as bytes: a cookie may hold any letters
        if begun is None or not same or self._now() - begun.at > BEGUN_S:
            raise ProblemError(
                "unauthenticated", "登录已过期，请重新开始 / this sign-in was not begun here, or is too old"
            )
        try:
            with self._client() as client:
                token = client.fetch_token(
                    self._metadata()["token_endpoint"],
                    code=code,
                    code_verifier=begun.verifier,
                    grant_type="authorization_code",
                )
            keys = httpx.get(self._metadata()["jwks_uri"], timeout=TIMEOUT_S).raise_for_status().json()
            decoded = jwt.decode(str(token["id_token"]), KeySet.import_key_set(keys), algorithms=list(ALGORITHMS))
            claims = jwt.JWTClaimsRegistry(
                leeway=LEEWAY_S,
                iss={"essential": True, "value": self._provider.issuer},
                aud={"essential": True, "value": self._provider.client_id},
                exp={"essential": True},
                sub={"essential": True},
                nonce={"essential": True, "value": begun.nonce},
            )
            claims.validate(decoded.claims)
        except httpx.TransportError as error:
            raise ProblemError(
                "unavailable", f"the identity provider does not answer: {type(error).__name__}"
            ) from error
        except (JoseError, httpx.HTTPError, KeyError, ValueError) as error:
            raise ProblemError("unauthenticated", "the identity provider's word does not hold") from error
        except Exception as error:  # Authlib raises its own kinds for a refused code
            raise ProblemError("unauthenticated", "the identity provider refuses this sign-in") from error
        return f"{self._provider.issuer}|{decoded.claims['sub']}"

    def _client(self) -> OAuth2Client:
        provider = self._provider
        return OAuth2Client(
            provider.client_id,
            provider.client_secret,
            scope="openid",
            redirect_uri=provider.redirect,
            code_challenge_method="S256",
            timeout=TIMEOUT_S,
        )

    def _metadata(self) -> dict[str, Any]:
        if self._found is None:
            url = f"{self._provider.issuer.rstrip('/')}/.well-known/openid-configuration"
            try:
                found = httpx.get(url, timeout=TIMEOUT_S).raise_for_status().json()
            except (httpx.HTTPError, ValueError) as error:
                raise ProblemError("unavailable", f"the identity provider does not answer: {error}") from error
            if found.get("issuer") != self._provider.issuer:
                raise ProblemError(
                    "unavailable", "the identity provider calls itself something else: check [oidc] issuer"
                )
            self._found = found
        return self._found
