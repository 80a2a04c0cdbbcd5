"""gmqtt: callbacks on asyncio."""

from __future__ import annotations

import asyncio
import importlib
import sys
from typing import Any

from benchmarks.peers import FILTER, Counter, say, skip


async def follow(gmqtt: Any, port: int, count: int) -> None:
    """Subscribe and count."""
    counter, done = Counter(count), asyncio.Event()
    client = gmqtt.Client("bench-gmqtt")

    def on_message(_client: Any, _topic: str, payload: bytes, _qos: int, _properties: Any) -> int:
        if counter.message(payload):
            counter.report()
            done.set()
        return 0

    client.on_message = on_message
    client.on_subscribe = lambda *_: say(ready=True)
    await client.connect("127.0.0.1", port, version=gmqtt.constants.MQTTv311)
    client.subscribe(FILTER, qos=1)
    await done.wait()
    await client.disconnect()


if __name__ == "__main__":
    try:
        found = importlib.import_module("gmqtt")
    except ImportError as error:
        skip(error)
    asyncio.run(follow(found, *map(int, sys.argv[1:3])))
