"""The user's configuration: ``load`` gives a checked ``Config`` or every problem at once; ``init`` writes a first one.

Light to import: no arrays, no Arrow.
"""

from lifeline.config.address import BrokerUrl, Listen
from lifeline.config.init import init
from lifeline.config.intake import (
    AVAILABLE_PAYLOADS,
    BUILT_IN_PAYLOADS,
    BrokerConfig,
    PayloadConfig,
    SubscribeConfig,
    TimeConfig,
    ValueConfig,
)
from lifeline.config.load import load
from lifeline.config.models import (
    Config,
    GovernanceConfig,
    HttpConfig,
    IngestConfig,
    LakeConfig,
    MetricsConfig,
    RegistryConfig,
    RulesConfig,
    SinkConfig,
    SiteConfig,
)
from lifeline.config.secret import read_password, read_secrets

__all__ = [
    "AVAILABLE_PAYLOADS",
    "BUILT_IN_PAYLOADS",
    "BrokerConfig",
    "BrokerUrl",
    "Config",
    "GovernanceConfig",
    "HttpConfig",
    "IngestConfig",
    "LakeConfig",
    "Listen",
    "MetricsConfig",
    "PayloadConfig",
    "RegistryConfig",
    "RulesConfig",
    "SinkConfig",
    "SiteConfig",
    "SubscribeConfig",
    "TimeConfig",
    "ValueConfig",
    "init",
    "load",
    "read_password",
    "read_secrets",
]
