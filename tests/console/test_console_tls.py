"""Transport (S05): TLS 1.2 or newer, cookies that only TLS carries, and clients that only hold a place (slow loris)."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lifeline.app.console import make_parts
from lifeline.console.app import create_app
from lifeline.console.parts import Settings
from lifeline.console.server import bind, make_server
from lifeline.console.tls import Tls
from lifeline.core.errors import UnavailableError
from tests.authority import Authority, Certificate

PASSWORD = "correct horse 2026"  # noqa: S105


def certificate(directory: Path, name: str, *, days: int) -> Tls:
    """A self-signed certificate for 127.0.0.1 that runs out in so many days."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=10))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = directory / f"{name}.pem", directory / f"{name}.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return Tls(*map(str, paths))


@pytest.fixture
def serve(town: Any) -> Iterator[Any]:
    """Start consoles with TLS; their port."""
    with ExitStack() as stack:

        def start(tls: Tls) -> int:
            parts = make_parts(town.site, stack.callback)
            server = make_server(create_app(parts, Settings(secure=True)), tls)
            sock = stack.enter_context(bind("127.0.0.1", 0))
            thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
            thread.start()
            stack.callback(thread.join, 20)
            stack.callback(lambda: setattr(server, "should_exit", True))
            port: int = sock.getsockname()[1]
            return port

        yield start


def test_over_tls_cookies_are_bound_to_this_host(serve: Any, town: Any, tmp_path: Path) -> None:
    tls = certificate(tmp_path, "good", days=30)
    port = serve(tls)
    trusted = ssl.create_default_context(cafile=tls.cert_file)
    with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=trusted) as browser:
        answer = browser.post("/login", data={"name": "viewer1", "password": PASSWORD})
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-lifeline=")
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=lax"} <= {part.strip() for part in cookie.split(";")}
        assert answer.headers["strict-transport-security"].startswith("max-age=")
        assert browser.get("/api/v1/me").json()["name"] == "viewer1"
        plain = {"lifeline": dict(browser.cookies)["__Host-lifeline"]}
    with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=trusted, cookies=plain) as browser:
        assert browser.get("/api/v1/me").status_code == 401


def test_old_tls_and_plain_text_are_refused(serve: Any, tmp_path: Path) -> None:
    tls = certificate(tmp_path, "good", days=30)
    port = serve(tls)
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(tls.cert_file)
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with socket.create_connection(("127.0.0.1", port)) as raw, pytest.raises(ssl.SSLError):
        old.wrap_socket(raw, server_hostname="127.0.0.1")
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://127.0.0.1:{port}/healthz")


@pytest.mark.parametrize(("name", "days"), [("expired", -1), ("stranger", 30)])
def test_clients_refuse_a_certificate_that_is_none(serve: Any, tmp_path: Path, name: str, days: int) -> None:
    port = serve(certificate(tmp_path, name, days=days))
    known = certificate(tmp_path, "known", days=30) if name == "stranger" else Tls(str(tmp_path / "expired.pem"), "")
    trusted = ssl.create_default_context(cafile=known.cert_file)
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"https://127.0.0.1:{port}/healthz", verify=trusted)


def test_a_key_that_does_not_fit_is_a_sentence(tmp_path: Path) -> None:
    one, other = certificate(tmp_path, "one", days=1), certificate(tmp_path, "other", days=1)
    with pytest.raises(UnavailableError, match="cert_file or key_file"):
        make_server(lambda *_: None, Tls(one.cert_file, other.key_file))  # type: ignore[arg-type]
    with pytest.raises(UnavailableError, match="cert_file or key_file"):
        make_server(lambda *_: None, Tls("/nowhere.pem", "/nowhere.key"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "said",
    [b"", b"GET / HTTP/1.1\r\nHost: 127", b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\nab"],
)
def test_who_holds_a_place_and_says_nothing_is_shown_out(
    client: Any, said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lifeline.console.server.HEAD_S", 0.3)
    monkeypatch.setattr("lifeline.console.guard.BODY_S", 0.3)
    with socket.create_connection(("127.0.0.1", client.port)) as slow:
        slow.settimeout(20)
        slow.sendall(said)
        started, heard = time.monotonic(), b""
        try:
            while chunk := slow.recv(4096):
                heard += chunk
                if b"408" in heard:
                    break
        except ConnectionResetError:
            pass
        assert time.monotonic() - started < 15
        assert heard == b"" or b" 408 " in heard
    assert client.get("/healthz").status_code == 200


class House:
    """An authority, a stranger's, and clients of both."""

    def __init__(self, folder: Path) -> None:
        own, stranger = Authority(folder / "own", "own"), Authority(folder / "strange", "strange")
        server = own.issue("server")
        self.clients: dict[str, Certificate | None] = {
            "good": own.issue("client"),
            "none": None,
            "expired": own.issue("old-client", days=-1),
            "wrong authority": stranger.issue("stranger"),
            "revoked": own.issue("revoked"),
        }
        revoked = self.clients["revoked"]
        assert revoked is not None
        own.revoke(revoked)
        self.own = own
        self.ca_file = str(own.ca_file)
        self.tls = Tls(str(server.cert_file), str(server.key_file), self.ca_file, str(own.crl_file))

    def ask(self, port: int, client: str, path: str = "/healthz") -> int:
        """The status of a request, as a browser with this certificate asks it."""
        context = ssl.create_default_context(cafile=self.ca_file)
        shown = self.clients[client]
        if shown is not None:
            context.load_cert_chain(shown.cert_file, shown.key_file)
        return httpx.get(f"https://127.0.0.1:{port}{path}", verify=context, timeout=20).status_code


def test_with_a_client_authority_only_its_certificates_are_let_in(serve: Any, tmp_path: Path) -> None:
    """Mutual TLS: before a word of HTTP is heard; and it is no account: that is asked for as ever."""
    house = House(tmp_path)
    port = serve(house.tls)
    assert house.ask(port, "good") == 200
    assert house.ask(port, "good", "/api/v1/me") == 401
    for client in ("none", "expired", "wrong authority", "revoked"):
        with pytest.raises(httpx.HTTPError):
            house.ask(port, client)
    assert house.ask(port, "good") == 200


def test_a_list_of_revoked_certificates_holds_from_when_it_is_issued(
    serve: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """For the next connection, without a restart; a file that is none changes nothing and is said."""
    house = House(tmp_path)
    port = serve(house.tls)
    assert house.ask(port, "good") == 200
    good, revoked = house.clients["good"], house.clients["revoked"]
    assert good is not None
    assert revoked is not None
    house.own.revoke(good)
    with pytest.raises(httpx.HTTPError):
        house.ask(port, "good")
    assert house.ask(port, "revoked") == 200
    house.own.crl_file.write_text("half of a li")
    with pytest.raises(httpx.HTTPError):
        house.ask(port, "good")
    assert "client_crl_file cannot be used" in caplog.text
    house.own.revoke(revoked)
    assert house.ask(port, "good") == 200


def test_a_client_authority_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    house = House(tmp_path)
    tls = house.tls
    for wrong in (
        Tls(tls.cert_file, tls.key_file, "/nowhere.pem"),
        Tls(*(tls.cert_file, tls.key_file), *[house.ca_file] * 2),
    ):
        with pytest.raises(UnavailableError, match="client_ca_file or client_crl_file"):
            make_server(lambda *_: None, wrong)  # type: ignore[arg-type]


def test_no_secret_is_in_what_is_logged(
    serve: Any, town: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Passwords, cookies and tokens, in requests that fail in many ways; neither in the log nor in an answer."""
    caplog.set_level("DEBUG")
    tls = certificate(tmp_path, "good", days=30)
    port = serve(tls)
    token = town.tokens["viewer"]
    answers = []
    with httpx.Client(
        base_url=f"https://127.0.0.1:{port}", verify=ssl.create_default_context(cafile=tls.cert_file)
    ) as web:
        answers.append(web.post("/login", data={"name": "viewer1", "password": PASSWORD + "!"}))
        answers.append(web.post("/login", data={"name": "viewer1", "password": PASSWORD}))
        cookie = dict(web.cookies)["__Host-lifeline"]
        bearer = {"Authorization": f"Bearer {token}"}
        paths = ("/api/v1/me", "/api/v1/events/nothing", "/api/v1/events?limit=x", "/api/v1/audit", f"/{token}")
        answers += [web.get(path, headers=bearer) for path in paths]
        answers.append(web.post("/api/v1/sql", json={"sql": token}, headers=bearer))
    told = "\n".join(
        record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))
    )
    told += "\n".join(answer.text for answer in answers)
    for secret in (PASSWORD, cookie, token):
        assert secret not in told
