"""An authority for tests of TLS: certificates that are good, run out, of another name or taken back."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Certificate:
    """PEM files."""

    cert_file: Path
    key_file: Path
    serial: int


class Authority:
    """Signs certificates for 127.0.0.1 (or another name)."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._name = folder, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._now = dt.datetime.now(dt.UTC)
        usage = dict.fromkeys(
            ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False
        )
        made = (
            self._builder(self._name, self._key.public_key(), 30)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False, **usage),
                critical=True,
            )
            .sign(self._key, hashes.SHA256())
        )
        self.ca_file = folder / f"{name}-ca.pem"
        self.ca_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        self.crl_file = folder / f"{name}-crl.pem"
        self.revoke()

    def issue(self, name: str, *, days: float = 30, address: str = "127.0.0.1") -> Certificate:
        """A certificate that runs out in so many days."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        made = (
            self._builder(subject, key.public_key(), days)
            .add_extension(alternative, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        cert_file, key_file = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        key_file.write_bytes(key.private_bytes(*pem))
        return Certificate(cert_file, key_file, made.serial_number)

    def revoke(self, *certificates: Certificate) -> None:
        """The list of what was taken back, written anew."""
        day = dt.timedelta(days=1)
        made = x509.CertificateRevocationListBuilder().issuer_name(self._name)
        made = made.last_update(self._now - day).next_update(self._now + 30 * day)
        for one in certificates:
            entry = x509.RevokedCertificateBuilder().serial_number(one.serial).revocation_date(self._now - day).build()
            made = made.add_revoked_certificate(entry)
        signed = made.sign(self._key, hashes.SHA256())
        self.crl_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, days: float) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key)
        builder = builder.serial_number(x509.random_serial_number())
        return builder.not_valid_before(self._now - dt.timedelta(days=9)).not_valid_after(
            self._now + dt.timedelta(days=days)
        )


@contextmanager
def tls_server(
    certificate: Certificate,
    answer: Callable[[ssl.SSLSocket], None],
    client_ca: Path | None = None,
    *,
    old: bool = False,
) -> Iterator[int]:
    """A server on 127.0.0.1; its port. ``client_ca``: clients show a certificate; ``old``: TLS 1.1, nothing newer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert_file, certificate.key_file)
    if old:
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    raw, _ = listener.accept()
                except OSError:
                    return
                raw.settimeout(10)
                with suppress(OSError), raw, context.wrap_socket(raw, server_side=True) as connection:
                    answer(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)
