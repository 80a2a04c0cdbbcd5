"""Checks of ``[[sink]]``: names, addresses, secrets, and keys that another kind of sink has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lifeline.config.notes import TLS_FILES, Notes, split
from lifeline.config.secret import read_secrets
from lifeline.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lifeline.config.models import SinkConfig

_WEB = ("webhook", "cap", "alertmanager")
_MQTT = ("mqtt", "downlink")
SINK_KEYS = {
    "secret_file": ("webhook", "cap"),
    "secret_env": ("webhook", "cap"),
    "previous_secret_file": ("webhook", "cap"),
    "allow_private": _WEB,
    "username": _MQTT,
    "password_file": _MQTT,
    "password_env": _MQTT,
    "protocol": _MQTT,
    "prefix": _MQTT,
    "retain": ("mqtt",),
    "external_url": ("alertmanager",),
    "sender": ("cap",),
    "status": ("cap",),
    "scope": ("cap",),
    "gbt": ("cap",),
}
"""Keys that only some kinds of sink have."""


class SinkChecks(Notes):
    """Who is told, and the way to devices."""

    def check(self, sinks: Sequence[SinkConfig | None]) -> list[SinkConfig]:
        """The sinks with absolute paths."""
        resolved: list[SinkConfig] = []
        names: set[str] = set()
        for index, sink in enumerate(sinks):
            if sink is None:
                continue
            key = f"sink[{index}]"
            name = "downlink" if sink.kind == "downlink" else sink.name
            if name in names:
                self._note(f"{key}.name", f"{name!r} is there twice", "every sink has its own name; one downlink only")
            names.add(name)
            if sink.retry_min_s > sink.retry_max_s:
                self._note(f"{key}.retry_min_s", "is above retry_max_s", "exchange or correct them")
            self._check_sink_url(key, sink)
            self._check_sink_keys(key, sink)
            resolved.append(self._check_sink_secrets(key, sink))
        return resolved

    def _check_sink_url(self, key: str, sink: SinkConfig) -> None:
        parts = split(sink.url)
        schemes = ("mqtt", "mqtts") if sink.kind in {"mqtt", "downlink"} else ("https", "http")
        if parts.scheme not in schemes:
            self._note(f"{key}.url", f"has the scheme {parts.scheme!r}", f"{sink.kind} takes {schemes[0]}://…")
        if parts.password is not None or parts.username is not None:
            self._note(f"{key}.url", "holds a user name or password", "use username and password_file, or secret_file")
        try:
            port_fits = parts.port != 0
        except ValueError:
            port_fits = False
        if not parts.hostname or not port_fits:
            self._note(f"{key}.url", "has no host, or no port from 1 to 65535", f"{schemes[0]}://host:port/…")

    def _check_sink_keys(self, key: str, sink: SinkConfig) -> None:
        """Keys of another kind have no effect: said, so that nobody relies on them."""
        for name, kinds in SINK_KEYS.items():
            if name in sink.model_fields_set and sink.kind not in kinds:
                self._note(f"{key}.{name}", f"has no effect for {sink.kind}", f"it belongs to {', '.join(kinds)}")
        if sink.kind == "cap" and sink.sender is None:
            self._note(
                f"{key}.sender", "is missing: CAP warnings name who issues them", "such as lifeline@city.example"
            )

    def _check_sink_secrets(self, key: str, sink: SinkConfig) -> SinkConfig:
        if sink.secret_file and sink.secret_env:
            self._note(f"{key}.secret_env", "secret_file is given too", "keep one of them")
        self._check_pair(key, sink, "mutual TLS needs both")
        for name in TLS_FILES:
            if getattr(sink, name) is not None and split(sink.url).scheme not in {"https", "mqtts"}:
                self._note(f"{key}.{name}", "has no effect without TLS", "write https:// or mqtts:// in url")
        files = [*TLS_FILES, "secret_file", "previous_secret_file"]
        sink = self._check_password(key, self._files(key, sink, files))
        try:
            read_secrets(sink, self._environ)
        except ConfigurationError as error:
            for problem in error.problems:
                self._note(f"{key}.{problem.key}", problem.message, problem.remedy)
        return sink
