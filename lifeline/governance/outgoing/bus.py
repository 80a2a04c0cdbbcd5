"""Sending by MQTT (aiomqtt): one connection a sink, made when it is needed, in an event loop of its own thread.

Every publish waits for the broker's PUBACK. With MQTT 5 the message says what it is (content type), and a command says
where its reply goes (response topic) and which it answers (correlation data).
"""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from lifeline.governance.outgoing.tls import Trust
from lifeline.governance.outgoing.worker import DeliveryError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

logger = logging.getLogger(__name__)

PAYLOAD_BYTES_MAX: Final = 65_536
"""Of a reply from a device; longer ones are ignored."""
SESSION_S: Final = 86_400
"""How long the broker keeps what was sent to us while we were away."""


@dataclass(frozen=True, slots=True)
class BusSettings:
    """A broker to send to."""

    host: str
    port: int
    client_id: str
    tls: bool = False
    username: str | None = None
    password: str | None = None
    trust: Trust = field(default_factory=Trust)
    protocol: int = 5
    timeout_s: float = 15.0


class Bus:
    """A connection that comes back by itself.

    ``listen``: a topic filter whose messages go to ``heard(topic, payload)``; the broker keeps them while we are away.
    Methods may be called from one thread at a time; ``heard`` is called on the bus's own.
    """

    def __init__(
        self, settings: BusSettings, listen: str | None = None, heard: Callable[[str, bytes], None] | None = None
    ) -> None:
        self._settings = settings
        self._listen = listen
        self._heard = heard
        self._client: aiomqtt.Client | None = None
        self._reader: asyncio.Task[None] | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"bus-{settings.client_id}", daemon=True)
        self._thread.start()

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, properties: Mapping[str, Any] | None = None
    ) -> None:
        """QoS 1; returns once the broker has acknowledged.

        Raises:
            DeliveryError: not connected, or no acknowledgement in time.
        """
        self._wait(self._publish(topic, payload, retain=retain, properties=dict(properties or {})))

    def connect(self) -> None:
        """Be connected, and subscribed, if there is something to listen to. Raises DeliveryError."""
        self._wait(self._connected())

    def close(self) -> None:
        """Disconnect and end the thread."""
        with suppress(DeliveryError):
            self._wait(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(self._settings.timeout_s)
        if not self._thread.is_alive():
            self._loop.close()

    async def _end(self) -> None:
        """Drop the connection, and what a connection that never came about has left running."""
        await self._drop()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _wait(self, work: Any) -> None:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        where = f"{self._settings.host}:{self._settings.port}"
        try:
            future.result(self._settings.timeout_s * 2)
        except (aiomqtt.MqttError, OSError, ValueError) as error:
            asyncio.run_coroutine_threadsafe(self._drop(), self._loop)
            hint = "; write protocol = 4" if "rotocol version" in str(error) else ""
            raise DeliveryError(f"{where}: {error}{hint}") from None
        except FutureTimeoutError:
            future.cancel()
            asyncio.run_coroutine_threadsafe(self._drop(), self._loop)
            raise DeliveryError(f"{where}: no answer within {self._settings.timeout_s * 2:.0f} s") from None

    async def _publish(self, topic: str, payload: bytes, *, retain: bool, properties: dict[str, Any]) -> None:
        client = await self._connected()
        given = _properties(properties) if self._settings.protocol == 5 else None
        await client.publish(topic, payload, qos=1, retain=retain, properties=given, timeout=self._settings.timeout_s)

    async def _connected(self) -> aiomqtt.Client:
        if self._client is not None and (self._reader is None or not self._reader.done()):
            return self._client
        await self._drop()
        settings = self._settings
        context = settings.trust.context() if settings.tls else None
        kept: dict[str, Any] = {}
        if self._listen is not None and settings.protocol == 5:
            session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            session.SessionExpiryInterval = SESSION_S
            kept = {"clean_start": False, "properties": session}
        elif self._listen is not None:
            kept = {"clean_session": False}
        client = aiomqtt.Client(
            settings.host,
            settings.port,
            username=settings.username,
            password=settings.password,
            identifier=settings.client_id,
            protocol=aiomqtt.ProtocolVersion.V5 if settings.protocol == 5 else aiomqtt.ProtocolVersion.V311,
            timeout=settings.timeout_s,
            tls_context=context,
            **kept,
        )
        await client.__aenter__()
        self._client = client
        if self._listen is not None:
            await client.subscribe(self._listen, qos=1, timeout=settings.timeout_s)
        self._reader = asyncio.ensure_future(self._read(client))
        return client

    async def _read(self, client: aiomqtt.Client) -> None:
        """Ends when the connection does: that is how the next publish knows."""
        with suppress(aiomqtt.MqttError):
            async for message in client.messages:
                payload = message.payload
                if (
                    self._heard is None
                    or not isinstance(payload, bytes | bytearray)
                    or len(payload) > PAYLOAD_BYTES_MAX
                ):
                    continue
                try:
                    await asyncio.to_thread(self._heard, str(message.topic), bytes(payload))
                except Exception:
                    logger.exception("a message on %s could not be taken", message.topic)

    async def _drop(self) -> None:
        client, reader = self._client, self._reader
        self._client = self._reader = None
        if reader is not None:
            reader.cancel()
            with suppress(asyncio.CancelledError):
                await reader
        if client is not None:
            with suppress(aiomqtt.MqttError, OSError):
                await client.__aexit__(None, None, None)


def _properties(given: dict[str, Any]) -> Properties:
    made = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    for name, value in given.items():
        setattr(made, name, value)
    return made
