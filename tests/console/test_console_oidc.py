"""Signing in over OpenID Connect: a provider of our own over real HTTP, honest and otherwise."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from lifeline.console.oidc import Oidc, Provider
from lifeline.core.principal import Grant
from tests.console.conftest import NOBODY


class IdentityProvider:
    """The parts of a provider that a code flow needs; ``lie`` changes the claims of the next token."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig", "alg": "RS256"})
        self.codes: dict[str, dict[str, str]] = {}
        self.lie: dict[str, Any] = {}
        self.signing = self.key
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                base = provider.issuer
                self._say(
                    {
                        "issuer": base,
                        "authorization_endpoint": f"{base}/authorize",
                        "token_endpoint": f"{base}/token",
                        "jwks_uri": f"{base}/keys",
                    }
                    if self.path.endswith("openid-configuration")
                    else {"keys": [provider.key.as_dict(private=False)]}
                )

            def do_POST(self) -> None:
                form = dict(parse_qsl(self.rfile.read(int(self.headers["content-length"])).decode()))
                asked = provider.codes.pop(form.get("code", ""), None)
                digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
                challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
                if asked is None or asked["code_challenge"] != challenge:
                    self._say({"error": "invalid_grant"}, 400)
                    return
                claims = {
                    "iss": provider.issuer, "aud": "lifeline", "sub": "u-17", "nonce": asked["nonce"],
                    "exp": int(time.time()) + 60, "iat": int(time.time()),
                } | provider.lie  # fmt: skip
                token = jwt.encode({"alg": "RS256", "kid": "k1"}, claims, provider.signing)
                self._say({"access_token": "x", "token_type": "Bearer", "id_token": token})

            def _say(self, body: dict[str, Any], status: int = 200) -> None:
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def agree(self, url: str) -> dict[str, str]:
        """The person signs in there: what the browser brings back."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert asked["code_challenge_method"] == "S256"
        code = f"code-{len(self.codes)}-{asked['state'][:6]}"
        self.codes[code] = asked
        return {"code": code, "state": asked["state"]}

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)


@pytest.fixture
def provider(client: Any) -> Iterator[IdentityProvider]:
    made = IdentityProvider()
    back = f"http://127.0.0.1:{client.port}/login/oidc/back"
    client.app.state.lifeline.oidc = Oidc(Provider(made.issuer, "lifeline", "secret", back))
    accounts, database = client.town.accounts()
    accounts.add("qian", [Grant("viewer")], actor="test", subject=f"{made.issuer}|u-17")
    database.close()
    yield made
    made.close()


@pytest.fixture
def browser(client: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{client.port}", timeout=20, verify=NOBODY) as made:
        yield made


def test_whom_the_provider_vouches_for_is_signed_in(provider: Any, browser: Any) -> None:
    answer = browser.get("/login/oidc")
    assert answer.status_code == 303
    back = browser.get("/login/oidc/back", params=provider.agree(answer.headers["location"]))
    assert (back.status_code, back.headers["location"]) == (303, "/")
    assert browser.get("/api/v1/me").json()["name"] == "qian"
    assert "/login/oidc" in browser.get("/login").text


@pytest.mark.parametrize(
    "lie",
    [
        {"sub": "somebody-else"}, {"aud": "another"}, {"iss": "https://evil.example"}, {"nonce": "other"},
        {"exp": 1_700_000_000}, {"nonce": None},
    ],
)  # fmt: skip
def test_a_word_that_does_not_hold_opens_nothing(provider: Any, browser: Any, lie: dict[str, Any]) -> None:
    provider.lie = lie
    back = provider.agree(browser.get("/login/oidc").headers["location"])
    assert browser.get("/login/oidc/back", params=back).status_code == 401
    assert browser.get("/api/v1/me").status_code == 401


def test_another_key_another_browser_and_an_old_code_open_nothing(provider: Any, browser: Any, client: Any) -> None:
    back = provider.agree(browser.get("/login/oidc").headers["location"])
    assert client.get("/login/oidc/back", params=back).status_code == 401  # not the browser that began
    back = provider.agree(browser.get("/login/oidc").headers["location"])
    strange: Any = {"Cookie": b"lifeline-oidc=\xe9"}  # as any client may send it: no letter of ASCII
    assert client.get("/login/oidc/back", params=back, headers=strange).status_code == 401
    back = provider.agree(browser.get("/login/oidc").headers["location"])
    assert browser.get("/login/oidc/back", params=back | {"code": "made up"}).status_code == 401
    back = provider.agree(browser.get("/login/oidc").headers["location"])
    assert browser.get("/login/oidc/back", params=back).status_code == 303
    again = httpx.Client(base_url=browser.base_url, cookies=dict(browser.cookies), verify=NOBODY)
    again.cookies.delete("lifeline")
    assert again.get("/login/oidc/back", params=back).status_code == 401  # used
    again.close()
    provider.signing = RSAKey.generate_key(2048)
    back = provider.agree(browser.get("/login/oidc").headers["location"])
    assert browser.get("/login/oidc/back", params=back).status_code == 401


def test_without_a_provider_there_is_no_such_door(client: Any) -> None:
    assert client.get("/login/oidc").status_code == 404
    assert client.get("/login/oidc/back?state=x&code=y").status_code == 404
