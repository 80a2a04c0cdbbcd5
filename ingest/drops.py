"""What a broker says it has dropped: one number of its ``$SYS`` tree, read beside the readings.

A broker whose queue for us is full drops messages that it has acknowledged to the device. We never saw them, so nobody
can acknowledge or reject them here; the broker's own count is the only trace, and it is shown for what it is. Counted
from what stood there when we came (the retained value; Mosquitto has none before its first drop, so without one we
begin at 0); a count that falls means that the broker has restarted and begins anew.
"""

from __future__ import annotations

import logging
from dataclasses import fields
from typing import TYPE_CHECKING, Final

import numpy as np

from ingest.messages import Messages

if TYPE_CHECKING:
    from lifeline.core.metrics import Metrics

_LOG = logging.getLogger(__name__)

_DIGITS_MAX: Final = 18
_BUFFERS: Final = {"buffer", "topic_buffer"}


class Drops:
    """The count behind one topic of one broker; ``take_out`` on the collector's thread, ``count`` on any."""

    def __init__(self, broker: str, topic: str, metrics: Metrics | None) -> None:
        self._broker, self._name, self._topic, self._metrics = broker, topic, topic.encode(), metrics
        self._last: int | None = None
        self.count: int | None = None
        """Messages dropped since we look; None before the broker has said anything."""

    @property
    def warning(self) -> str | None:
        """For the status: what it means and what helps; None while nothing was dropped."""
        if not self.count:
            return None
        return (
            f"the broker has dropped {self.count} messages ({self._name}): they never came here and are not "
            "acknowledged by us; give our session a longer queue (docs/integrators.md)"
        )

    def take_out(self, messages: Messages) -> Messages:
        """The messages without those of the topic, which are read here."""
        may_be = messages.topic_len == len(self._topic)
        if not may_be.any():
            return messages
        may_be[may_be] = messages.topic_buffer[messages.topic_start[may_be]] == self._topic[0]
        found = [i for i in np.flatnonzero(may_be).tolist() if messages.topic(i) == self._topic]
        if not found:
            return messages
        for i in found:
            self._read(messages.payload(i), retained=bool(messages.retain[i]))
        keep = np.ones(len(messages), np.bool_)
        keep[found] = False
        columns = {f.name: getattr(messages, f.name) for f in fields(messages)}
        return Messages(**{name: c if name in _BUFFERS else c[keep] for name, c in columns.items()})

    def _read(self, payload: bytes, *, retained: bool) -> None:
        text = payload.strip()
        if not text.isdigit() or len(text) > _DIGITS_MAX:
            _LOG.warning("broker %s: %s is no count: %r", self._broker, self._name, payload[:40])
            return
        total = int(text)
        last = self._last if self._last is not None else total if retained else 0
        self._last = total
        more = total - last if total >= last else total
        self.count = (self.count or 0) + more
        if more:
            _LOG.error("broker %s: %d more messages dropped by the broker", self._broker, more)
        if self._metrics is not None:
            self._metrics.broker_dropped.labels(self._broker).set(self.count)
