"""The only place where real parts are chosen and put together.

Reads like the picture in ``lifeline.engine.pipeline``: registry, log, followers, collectors, house-keeping.
"""

from __future__ import annotations

import logging
import random
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ingest.embedded import EmbeddedBroker
from ingest.identity import IdentityWindow
from lifeline.app.births import sparkplug
from lifeline.app.bookkeeping import keep_books, record_reload
from lifeline.app.brokers import broker_settings, collector_for
from lifeline.app.clock import now_ms
from lifeline.app.decoding import make_decoder
from lifeline.app.load import LoadGauge
from lifeline.app.memory import MemoryKeeper, give_back, settle, settle_allocator
from lifeline.app.outgoing import start_sinks
from lifeline.app.overriding import load_rules
from lifeline.app.publishing import Publisher
from lifeline.app.recovering import check_positions, recall, recover
from lifeline.app.reference import bring_reference, policy_text
from lifeline.app.reloading import RuleWatch
from lifeline.app.replaying import ReplayDesk
from lifeline.app.settling import Settling
from lifeline.app.shadow import ShadowDesk
from lifeline.core.errors import LifelineError, UnavailableError
from lifeline.core.metrics import Metrics
from lifeline.engine.follow import Follow
from lifeline.engine.pipeline import Engine
from lifeline.engine.rules_follower import RulesFollower
from lifeline.engine.snapshots import SnapshotStore
from lifeline.engine.status import StatusBoard
from lifeline.engine.tally import Tally
from lifeline.governance.desk import GovernanceDesk
from lifeline.governance.further import FurtherSums
from lifeline.governance.places import PlaceLookup
from lifeline.governance.queue import GovernanceQueue
from lifeline.lake.catalog import Catalog
from lifeline.lake.completeness import CompletenessFollower
from lifeline.lake.writer import LakeFollower
from lifeline.live.values import LiveValues

if TYPE_CHECKING:
    from ingest.collector import Collector
    from ingest.paho_collector import PahoCollector
    from lifeline.app.binding import Binding
    from lifeline.app.site import Site
    from lifeline.log import LocalLog
    from lifeline.registry import RegistryLedger
    from rules.evaluate import RuleMachine
    from rules.rule_set import RuleSet

logger = logging.getLogger(__name__)

CATALOG_REST_MS: Final = 700
"""Flushes, merges and changes of events each asked for a new catalog: four a second under load, a tenth of a core."""


@dataclass
class Assembly:
    """A site's running parts. ``close`` after ``engine.stop``."""

    engine: Engine
    metrics: Metrics
    board: StatusBoard
    rules: RulesFollower
    tally: Tally
    ledger: RegistryLedger
    watch: RuleWatch
    shadow: ShadowDesk
    brokers: list[EmbeddedBroker] = field(default_factory=list)
    broker_urls: dict[str, str] = field(default_factory=dict)
    closing: list[Any] = field(default_factory=list)
    publisher: Publisher | None = None
    clean: bool = False
    """After ``stop``: everything that was read is committed, acknowledged and consumed."""
    _stopped: bool = False

    def stop(self) -> None:
        """Stop the engine, once."""
        if not self._stopped:
            self._stopped = True
            self.shadow.close()
            self.clean = self.engine.stop()
            self._publish()

    def _publish(self) -> None:
        """What the catalog's rest has kept back."""
        if self.publisher is not None:
            try:
                self.publisher.publish_changes()
            except LifelineError as error:
                logger.error("%s", error)  # noqa: TRY400 - the message says it all; the next start publishes anew

    def close(self) -> None:
        """Stop embedded brokers, close databases."""
        for part in self.closing:
            part.close()
        for broker in self.brokers:
            broker.stop()


def open_queue(site: Site, rule_set: RuleSet, ledger: RegistryLedger) -> tuple[GovernanceQueue, GovernanceDesk]:
    """The queue's two doors, with the site's policy and reference data in its database.

    Raises:
        ConfigurationError, UnavailableError, CorruptionError: as ``assemble``.
    """
    queue = GovernanceQueue(
        site.database_url,
        rule_set.info(),
        PlaceLookup(ledger.current),
        now_ms,
        policy=policy_text(site),
        policy_file=str(site.config.governance.policy or ""),
        timezone=site.config.site.timezone,
    )
    queue.end_without_rule(now_ms())
    desk = GovernanceDesk(site.database_url, now_ms)
    bring_reference(site, ledger.current(), desk)
    return queue, desk


def assemble(site: Site) -> Assembly:
    """Everything of a site, recovered and ready to start; nothing runs yet but the log and embedded brokers.

    Raises:
        ConfigurationError: registry or rules are wrong.
        UnavailableError: another engine owns the data directory, or the disk refuses.
        CorruptionError: log, lake or queue are damaged.
    """
    config, metrics = site.config, Metrics()
    window = IdentityWindow()

    rule_set = load_rules(site)
    ledger, binding, log, recalling = recover(site, rule_set, window, metrics)
    catalog = Catalog(site.data, grace_ms=int(config.lake.grace_s * 1000), rest_ms=CATALOG_REST_MS)
    queue, desk = open_queue(site, rule_set, ledger)
    books = keep_books(site, desk)
    rules = rules_follower(site, binding, queue, log, metrics)
    tally = Tally(metrics, log.committed)
    settling = Settling(now_ms, log, rules)
    lake = LakeFollower(
        site.data,
        catalog,
        compact=config.lake.compact,
        may_merge=settling.over,
        grace_ms=int(config.lake.grace_s * 1000),
    )
    live = LiveValues(site.live_path, ledger)
    live.start_at(log.first)
    completeness = CompletenessFollower(site.data, ledger, catalog)
    check_positions(site, log, (rules, lake, live, completeness))
    follows = [
        Follow(log, rules, now_ms, rules.open),
        *(Follow(log, follower, now_ms, may_begin=settling.others) for follower in (lake, live, completeness)),
        Follow(log, tally, now_ms),
    ]

    def remember() -> None:
        """Forget what never became durable."""
        recall(window, log)

    recalling.result()
    brokers: list[EmbeddedBroker] = []
    collectors: list[Collector | PahoCollector] = []
    urls: dict[str, str] = {}
    for broker in config.broker:
        if broker.url == "embedded":
            brokers.append(EmbeddedBroker(broker.address.port, broker.address.host))
            brokers[-1].start()
            settings = broker_settings(broker, brokers[-1].url, brokers[-1].protocol)
        else:
            settings = broker_settings(broker, broker.url, broker.protocol)
        urls[broker.name] = settings.url
        births = sparkplug(broker, site.state, metrics)
        hands = (settings, make_decoder(config, broker, ledger, window, births), log, now_ms, metrics)
        collectors.append(collector_for(settings)(*hands, random.SystemRandom(), on_lost=remember, asking=births))

    shadow = ShadowDesk(
        *(log, ledger, SnapshotStore(site.state, "shadow"), desk, catalog, metrics, now_ms),
        production=rules,
    ).using(rule_set, config.site.timezone)
    board = StatusBoard(
        site.status_path,
        log=log,
        follows=follows,
        tally=tally,
        rules=rules,
        collectors=lambda: [collector.state for collector in collectors],
        events_open=desk.open_counts,
        metrics=metrics,
        clock=now_ms,
        shadow=shadow.status,
    )
    publisher = published(catalog, desk, ledger, int(config.lake.grace_s * 1000))
    watch = RuleWatch(site.config.path, rule_set, ledger, rules, queue, now_ms, partial(record_reload, desk), shadow)
    outgoing = start_sinks(site)
    work = (
        *(shadow.keep, settling.then(partial(publisher.publish_changes, may_wait=True))),
        *(watch.keep, books.export_due, outgoing.tidy),
        FurtherSums(site.database_url).keep,
        ReplayDesk(site.replay_path, make_decoder(config, None, ledger, window), log).serve,
    )
    engine = Engine(
        log=log,
        follows=follows,
        collectors=collectors,
        board=board,
        chores=(*work, MemoryKeeper(now_ms).keep, LoadGauge(desk, metrics, now_ms).keep),
    )
    settle(more=True)
    return Assembly(
        *(engine, metrics, board, rules, tally, ledger, watch, shadow, brokers, urls),
        *([outgoing, books, desk], publisher),
    )


def rules_follower(
    site: Site, binding: Binding, queue: GovernanceQueue, log: LocalLog, metrics: Metrics
) -> RulesFollower:
    """Waits for the rules to be bound once it is opened: readings need not wait for it to be durable."""

    def bind() -> RuleMachine:
        with suppress(UnavailableError):  # whoever needs the queue will say so
            queue.rehearse(now_ms())
        machine = binding.take()
        settle_allocator()  # the start is over
        settle()
        return machine

    snapshots = SnapshotStore(site.state, "rules")
    rules = RulesFollower(bind, queue, snapshots, now_ms, metrics, queue.acknowledged, queue.spans)
    rules.start_at(log.first, log.committed)
    return rules


def published(catalog: Catalog, desk: GovernanceDesk, ledger: RegistryLedger, grace_ms: int) -> Publisher:
    """The publisher; readings are never shown without the registry, but a newer one can wait for the first chores."""
    publisher = Publisher(catalog, desk, ledger, now_ms, grace_ms=grace_ms)
    if not catalog.shows("points"):
        give_back()  # a first start: what reading the registry took is not held together with what writing it takes
        publisher.publish_registry()
    return publisher
