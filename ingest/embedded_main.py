"""The embedded broker's own process: ``python -m ingest.embedded_main HOST PORT``. ``ingest.embedded`` starts it.

It prints its port on the first line of stdout, and ends when its stdin ends, so it never outlives its parent,
however that dies.

amqtt as it comes keeps no session of anonymous clients; forgets what it has acknowledged to a publisher that leaves
at once; forgets what a subscriber has not acknowledged within 5 seconds, or when its connection breaks; and none of
its queues has an end. That is mended here, by overriding as little as possible. When the queues are full, a QoS 1
publisher waits for its PUBACK and a QoS 0 message is dropped; a publisher without a window of its own is not held
back otherwise.

    publisher ─► broadcast ≤ QUEUE ─► in flight to the collector ≤ WINDOW
                                └───► retained for an absent collector ≤ ABSENT
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, Final

import amqtt.broker
from amqtt.contexts import Action, BaseContext
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import OUTGOING

if TYPE_CHECKING:
    from amqtt.session import Session

QUEUE_MESSAGES_MAX: Final = 1000
"""Between two tasks of the broker; a quarter of a second of its work."""

WINDOW_MESSAGES_MAX: Final = 2000
"""In flight to one subscriber: half a second of its work, fifty times a commit."""

ABSENT_MESSAGES_MAX: Final = 100_000
"""Kept for a subscriber that is away: 100 MiB at 1 KiB a message, a few minutes of the demo's fleet in packs."""


LOG_LINES_MAX: Final = 200

MODULE: Final = "ingest.embedded_main"
"""Our own name: ``__name__`` is ``__main__`` when we run."""


class Straight(asyncio.Queue[Any]):
    """A session's queue of received messages that holds nothing: a message goes on to the broadcast at once.

    So PUBACK comes after that, and nothing acknowledged is left behind when the publisher disconnects.
    """

    def __init__(self, broker: Any, session: Session) -> None:
        super().__init__()
        self._broker, self._session = broker, session
        self._turn = asyncio.Lock()
        """Its waiters are served in order, a full asyncio.Queue's are not: newcomers may overtake them."""

    async def put(self, item: Any) -> None:
        """At QoS 1 (and 2): waits while the broadcast queue is full."""
        if not _topic_right(item.topic):
            return
        async with self._turn:
            await self._broker._broadcast_message(self._session, item.topic, item.data)  # noqa: SLF001
        await self._keep(item)

    def put_nowait(self, item: Any) -> None:
        """At QoS 0: QueueFull makes amqtt drop the message, as QoS 0 allows."""
        if _topic_right(item.topic):
            message = {"session": self._session, "topic": item.topic, "data": item.data}
            self._broker._broadcast_queue.put_nowait(message)  # noqa: SLF001

    async def _keep(self, item: Any) -> None:
        if item.publish_packet is not None and item.publish_packet.retain_flag:
            await self._broker.retain_message(self._session, item.topic, item.data, item.qos)


def _topic_right(topic: str) -> bool:
    """[MQTT-4.7.3-1], [MQTT-3.3.2-2], [MQTT-4.7.2-1]; a message to any other topic goes nowhere."""
    return bool(topic) and "#" not in topic and "+" not in topic and not topic.startswith("$")


class Keeping(BrokerProtocolHandler):  # type: ignore[misc]
    """A QoS 1 message stays in the session until its PUBACK, over any time and any connection.

    amqtt waits on a future and a timer for each message; not waiting is also faster.
    """

    async def _handle_qos1_message_flow(self, app_message: Any) -> None:
        if app_message.direction != OUTGOING:
            await super()._handle_qos1_message_flow(app_message)
            return
        self.session.inflight_out[app_message.packet_id] = app_message
        again = app_message.publish_packet is not None
        app_message.publish_packet = app_message.build_publish_packet(dup=again)
        await self._send_packet(app_message.publish_packet)

    async def handle_puback(self, puback: Any) -> None:
        """The subscriber has it."""
        if self.session is not None:
            self.session.inflight_out.pop(puback.variable_header.packet_id, None)


class OpenDoor(BaseAuthPlugin):  # type: ignore[misc]
    """Lets everybody on the loopback in, as a named client: anonymous ones have no session that survives."""

    async def authenticate(self, *, session: Session) -> bool:
        """Yes; and gives a new session its queues."""
        if not isinstance(session.delivered_message_queue, Straight):
            broker = self.context._broker_instance  # noqa: SLF001 - the plugin's context keeps it to itself
            session.delivered_message_queue = Straight(broker, session)
            session.retained_messages = asyncio.Queue(ABSENT_MESSAGES_MAX)
        return True


class Window(BaseTopicPlugin):  # type: ignore[misc]
    """Waits, before a message is sent, until the subscriber has acknowledged enough of the earlier ones."""

    def __init__(self, context: BaseContext) -> None:
        super().__init__(context)
        self.topic_config: dict[str, Any] = {}

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool:
        """Yes to every topic."""
        del topic
        if action != Action.RECEIVE or session is None:
            return True
        while len(session.inflight_out) >= WINDOW_MESSAGES_MAX and session.transitions.state == "connected":  # noqa: ASYNC110 - amqtt has no event for it
            await asyncio.sleep(0.001)
        return True


def configuration(host: str, port: int) -> dict[str, Any]:
    """What amqtt is told: one listener, no other plugins (each costs CPU a message)."""
    return {
        "listeners": {"default": {"type": "tcp", "bind": f"{host}:{port}", "max_connections": 256}},
        "session_expiry_interval": 3600,
        "plugins": {f"{MODULE}.OpenDoor": {}, f"{MODULE}.Window": {}},
    }


def _until_end(done: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        done.set()


class _First(logging.Filter):
    """Lets the first ``LOG_LINES_MAX`` records through: nobody reads this log while it grows."""

    seen = 0

    def filter(self, record: logging.LogRecord) -> bool:
        del record
        self.seen += 1
        return self.seen <= LOG_LINES_MAX


async def serve(host: str, port: int) -> None:
    """Run until stdin ends or SIGTERM comes."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, done.set)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's; it tells us by closing our stdin
    os.set_blocking(sys.stdin.fileno(), False)
    loop.add_reader(sys.stdin.fileno(), _until_end, done)
    amqtt.broker.BrokerProtocolHandler = Keeping  # the broker names the class itself; this process is ours alone
    broker = amqtt.broker.Broker(configuration(host, port), loop)
    broker._broadcast_queue = asyncio.Queue(QUEUE_MESSAGES_MAX)  # noqa: SLF001 - amqtt has no setting for it
    await broker.start()
    server = broker._servers["default"].instance  # noqa: SLF001 - the only place that knows the port chosen for 0
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - the parent reads it
    await done.wait()
    loop.remove_reader(sys.stdin.fileno())
    with contextlib.suppress(Exception):
        await asyncio.wait_for(broker.shutdown(), 5)


def main() -> None:
    """Entry of the process."""
    logging.basicConfig(level=logging.ERROR, format="embedded broker: %(levelname)s %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(_First())
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
    os._exit(0)  # tasks of half-closed connections must not keep a stopped broker alive


if __name__ == "__main__":
    main()
