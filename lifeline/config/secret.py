"""Secrets: read where they are needed, each time they are needed, and kept nowhere.

Reading at every connect lets an operator change a password without a restart.
"""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from lifeline.core.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lifeline.config.models import SinkConfig

PASSWORD_BYTES_MAX: Final = 65_535
"""MQTT 5, 3.1.3.6: binary data with a two-byte length."""


class HasPassword(Protocol):
    """A table of the configuration that says where a password is."""

    @property
    def password_file(self) -> Path | None:
        """A file with nothing but the password."""
        ...

    @property
    def password_env(self) -> str | None:
        """The environment variable that holds it."""
        ...


def read_password(of: HasPassword, environ: Mapping[str, str] | None = None) -> str | None:
    """The password of a loaded table (broker, database, sink), None when it has none.

    Raises:
        ConfigurationError: the file or variable is missing, empty or not text; the message never holds its content.
    """
    if of.password_env is not None:
        value = (os.environ if environ is None else environ).get(of.password_env)
        if value is None:
            remedy = f"export {of.password_env} before starting, or use password_file"
            raise _problem("password_env", f"the variable {of.password_env} is not set", remedy)
        return _checked("password_env", f"the variable {of.password_env}", value)
    if of.password_file is None:
        return None
    try:
        with of.password_file.open("rb") as file:
            data = file.read(PASSWORD_BYTES_MAX + 3)
        value = data.decode()
    except OSError as error:
        message = f"{of.password_file} cannot be read: {error.strerror}"
        raise _problem("password_file", message, "make it readable for the engine's account only") from error
    except UnicodeDecodeError:
        raise _problem("password_file", f"{of.password_file} is not UTF-8 text", "save it as UTF-8") from None
    return _checked("password_file", str(of.password_file), value.removesuffix("\n").removesuffix("\r"))


def read_secrets(sink: SinkConfig, environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The signing secrets of a loaded sink, the newest first; empty when it signs nothing.

    Raises:
        ConfigurationError: a file or variable is missing, or what it holds is no secret; the message never shows it.
    """
    places = (
        ("secret_file", sink.secret_file, sink.secret_env),
        ("previous_secret_file", sink.previous_secret_file, None),
    )
    found: list[str] = []
    for key, file, variable in places:
        secret = read_password(_Place(file, variable), environ)
        if secret is None:
            continue
        try:
            raw = base64.b64decode(secret.strip().removeprefix("whsec_"), validate=True)
        except ValueError:
            raw = b""
        if not 24 <= len(raw) <= 64:
            name = "secret_env" if variable else key
            remedy = "whsec_ and base64 of 24 to 64 random bytes: printf 'whsec_%s' \"$(openssl rand -base64 32)\""
            raise _problem(name, "what it holds is no signing secret", remedy)
        found.append(secret.strip())
    return tuple(found)


class _Place(NamedTuple):
    password_file: Path | None
    password_env: str | None


def _checked(key: str, place: str, value: str) -> str:
    if not value:
        raise _problem(key, f"{place} is empty", "it must hold the password and nothing else")
    if len(value.encode()) > PASSWORD_BYTES_MAX:
        raise _problem(key, f"{place} is longer than a password can be", f"at most {PASSWORD_BYTES_MAX} bytes")
    return value


def _problem(key: str, message: str, remedy: str) -> ConfigurationError:
    return ConfigurationError([Problem("password", key, message, remedy)])
