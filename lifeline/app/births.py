"""Where the Sparkplug births of each broker are kept: ``state/sparkplug/BROKER/DIGEST.json``, one file an edge node.

A crash leaves the old file or the new one. They are not forced to the disk: after a power cut a birth may be missing,
and the edge node is asked for another.
"""

from __future__ import annotations

import logging
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING

from ingest.payload.sparkplug import Sparkplug
from lifeline.files import make_directory, write_atomic

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lifeline.config import BrokerConfig
    from lifeline.core.metrics import Metrics

_LOG = logging.getLogger(__name__)


class BirthStore:
    """Implements ``ingest.payload.sparkplug_edges.Store`` over folders: all are read, the first is written."""

    def __init__(self, folders: Sequence[Path], *, writes: bool = False) -> None:
        self._folders, self._writes = folders, writes

    def load(self, edge: str) -> bytes | None:
        """The document of the first folder that has one."""
        for folder in self._folders:
            try:
                return (folder / _file(edge)).read_bytes()
            except FileNotFoundError:
                continue
            except OSError as error:
                _LOG.warning("sparkplug: the birth certificate of %s cannot be read: %s", edge, error)
        return None

    def save(self, edge: str, document: bytes) -> None:
        """Replace it. Raises UnavailableError: the disk refuses."""
        if not self._writes:
            return
        make_directory(self._folders[0])
        write_atomic(self._folders[0] / _file(edge), document, durable=False)


def _file(edge: str) -> str:
    return f"{blake2b(edge.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}.json"


def sparkplug(broker: BrokerConfig, state: Path, metrics: Metrics | None) -> Sparkplug | None:
    """The Sparkplug family of a broker that is collected from; None when none of its topics carries Sparkplug."""
    if not any(entry.payload == "sparkplug" for entry in broker.subscribe):
        return None
    tell = None if metrics is None else partial(_tell, metrics, broker.name)
    store = BirthStore([state / "sparkplug" / broker.name], writes=True)
    return Sparkplug(store, asks=broker.rebirth, tell=tell)


def for_looking(broker: BrokerConfig, state: Path) -> Sparkplug:
    """The same for ``check --live``: nothing is written or asked."""
    return Sparkplug(BirthStore([state / "sparkplug" / broker.name]))


def for_replay(brokers: Sequence[BrokerConfig], state: Path) -> Sparkplug:
    """The same for rejects that are judged again: births of all brokers, nothing written or asked."""
    return Sparkplug(BirthStore([state / "sparkplug" / broker.name for broker in brokers]), replaying=True)


def _tell(metrics: Metrics, broker: str, counts: dict[str, int], edges: dict[str, int]) -> None:
    for event, count in counts.items():
        metrics.sparkplug_events.labels(broker, event).inc(count)
    for state, number in edges.items():
        metrics.sparkplug_edge_nodes.labels(broker, state).set(number)
