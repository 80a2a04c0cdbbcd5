"""Checks of ``[[payload]]`` and ``[[broker]]``: names, formats, filters, sessions, TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lifeline.config.intake import BUILT_IN_PAYLOADS, BrokerConfig, PayloadConfig
from lifeline.config.notes import TLS_FILES, Notes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lifeline.core.errors import Problem


class BrokerChecks(Notes):
    """Where readings come from, and what they look like there."""

    def __init__(
        self, path: Path, problems: list[Problem], environ: Mapping[str, str], payloads: Sequence[str]
    ) -> None:
        super().__init__(path, problems, environ)
        self._payloads = payloads

    def check(
        self, brokers: Sequence[BrokerConfig | None], mappings: Sequence[PayloadConfig | None]
    ) -> list[BrokerConfig]:
        """The brokers with absolute paths."""
        names = self._check_payloads(mappings)
        return self._check_brokers(brokers, names, whole=None not in mappings)

    def _check_payloads(self, mappings: Sequence[PayloadConfig | None]) -> set[str]:
        names: set[str] = set()
        for index, mapping in enumerate(mappings):
            if mapping is None:
                continue
            key = f"payload[{index}]"
            if mapping.name in BUILT_IN_PAYLOADS:
                self._note(f"{key}.name", f"{mapping.name!r} is the name of a built-in format", "choose another name")
            if mapping.name in names:
                self._note(f"{key}.name", f"{mapping.name!r} is there twice", "every mapping has its own name")
            if mapping.time and mapping.time.timezone:
                self._timezone(f"{key}.time.timezone", mapping.time.timezone)
            names.add(mapping.name)
        return names

    def _check_format(self, key: str, name: str, mappings: set[str], *, whole: bool) -> None:
        """``whole``: every mapping could be read, so a name that is not among them does not exist."""
        if name in self._payloads or name in mappings:
            return
        if name in BUILT_IN_PAYLOADS:
            usable = ", ".join(self._payloads)
            self._note(
                key, f"{name!r} is not available in this version", f"built in are: {usable}; or write a [[payload]]"
            )
        elif whole:
            usable = ", ".join([*self._payloads, *sorted(mappings)])
            self._note(key, f"there is no payload format {name!r}", f"one of: {usable}; or write a [[payload]]")

    def _check_brokers(
        self, brokers: Sequence[BrokerConfig | None], mappings: set[str], *, whole: bool
    ) -> list[BrokerConfig]:
        resolved: list[BrokerConfig] = []
        names: set[str] = set()
        sessions: set[tuple[str, str]] = set()
        for index, broker in enumerate(brokers):
            if broker is None:
                continue
            key = f"broker[{index}]"
            if broker.name in names:
                self._note(f"{key}.name", f"{broker.name!r} is there twice", "every broker has its own name")
            session = (broker.url, broker.session_id)
            if broker.share and any(entry.payload == "sparkplug" for entry in broker.subscribe):
                self._note(
                    f"{key}.share",
                    "splits the messages of a Sparkplug edge node among engines, which each miss the others' part",
                    "take Sparkplug without share, in a [[broker]] of its own",
                )
            if session in sessions:
                self._note(
                    f"{key}.client_id", "is the same as another's at this broker", "they would push each other out"
                )
            names.add(broker.name)
            sessions.add(session)
            for place, entry in enumerate(broker.subscribe):
                self._check_filter(f"{key}.subscribe[{place}].filter", entry.filter)
                self._check_format(f"{key}.subscribe[{place}].payload", entry.payload, mappings, whole=whole)
            filters = [entry.filter for entry in broker.subscribe]
            for place, text in enumerate(filters):
                if text in filters[:place]:
                    self._note(f"{key}.subscribe[{place}].filter", f"{text!r} is there twice", "remove one")
            resolved.append(self._check_connection(key, broker))
        return resolved

    def _check_connection(self, key: str, broker: BrokerConfig) -> BrokerConfig:
        address = broker.address
        if broker.reconnect.min_s > broker.reconnect.max_s:
            self._note(f"{key}.reconnect", "min_s is above max_s", "exchange or correct them")
        self._check_credentials(key, broker)
        if not address.tls:
            for name in TLS_FILES:
                if getattr(broker, name) is not None:
                    self._note(
                        f"{key}.{name}", "has no effect without TLS", "write mqtts:// or wss:// in url, or remove it"
                    )
        if "listen" in broker.model_fields_set and not address.embedded:
            self._note(f"{key}.listen", "belongs to the embedded broker", 'remove it, or write url = "embedded"')
        return self._check_password(key, self._files(key, broker, TLS_FILES))

    def _check_credentials(self, key: str, broker: BrokerConfig) -> None:
        has_password = broker.password_file is not None or broker.password_env is not None
        if has_password and broker.username is None:
            self._note(f"{key}.username", "is missing beside the password", "give the account's name")
        self._check_pair(key, broker, "mutual TLS needs both")

    def _check_filter(self, key: str, text: str) -> None:
        """MQTT 5, 4.7.1: ``#`` only as the last level, ``+`` and ``#`` only as whole levels."""
        levels = text.split("/")
        if "\0" in text:
            self._note(key, "holds a NUL character", "remove it")
        elif text.startswith("$share/"):
            self._note(key, "names a share group", 'write share = "…" at the broker and only the filter here')
        elif any(("#" in level or "+" in level) and len(level) > 1 for level in levels):
            self._note(key, f"{text!r}: + and # stand for whole levels", "such as lifeline/+/gw/#")
        elif "#" in levels[:-1]:
            self._note(key, f"{text!r}: # can only be the last level", "use + for a level in between")
