"""Decoders from the configuration: which topic carries which payload."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from ingest.payload.cjt188 import Cjt188
from ingest.payload.mapping import compile_mapping
from ingest.payload.routes import PayloadDecoder
from lifeline.app.births import for_looking, for_replay
from lifeline.app.site import Site

if TYPE_CHECKING:
    from ingest.identity import IdentityWindow
    from ingest.payload.families import Family
    from ingest.payload.sparkplug import Sparkplug
    from lifeline.config import BrokerConfig, Config
    from lifeline.core.registry import RegistrySource


def make_decoder(
    config: Config,
    broker: BrokerConfig | None,
    registry: RegistrySource,
    window: IdentityWindow | None,
    sparkplug: Sparkplug | None = None,
) -> PayloadDecoder:
    """A decoder for one broker's subscriptions; without a broker, for those of all (rejects judged again).

    ``sparkplug``: the family that remembers this broker's births; None: what was kept of them is read, and no more.

    Raises:
        ConfigurationError: a mapping does not fit the registry.
    """
    brokers = config.broker if broker is None else (broker,)
    routes = [(entry.filter, entry.payload) for one in brokers for entry in one.subscribe]
    if sparkplug is None:
        state = Site(config).state
        sparkplug = for_replay(config.broker, state) if broker is None else for_looking(broker, state)
    built_in: dict[str, Family] = {"cjt188": Cjt188(ZoneInfo(config.site.timezone)), "sparkplug": sparkplug}
    return PayloadDecoder(
        registry,
        routes,
        mappings=built_in | mappings(config),
        mark=None if window is None else window.mark,
        unknown=config.registry.unknown,
        future_ms_max=int(config.ingest.future_s * 1000),
        too_old_ms=int(config.ingest.too_old_s * 1000),
    )


def mappings(config: Config) -> dict[str, Family]:
    """The configured ``[[payload]]`` families by name."""
    return {
        entry.name: compile_mapping(entry.model_dump(exclude_none=True), str(config.path)) for entry in config.payload
    }
