"""aiomqtt: ``async for message in client.messages``."""

from __future__ import annotations

import asyncio
import sys

import aiomqtt

from benchmarks.peers import FILTER, Counter, say


async def follow(port: int, count: int) -> None:
    """Subscribe and count."""
    counter = Counter(count)
    async with aiomqtt.Client("127.0.0.1", port, identifier="bench-aiomqtt") as client:
        await client.subscribe(FILTER, qos=1)
        say(ready=True)
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            if counter.message(message.payload):
                counter.report()
                return


if __name__ == "__main__":
    asyncio.run(follow(*map(int, sys.argv[1:3])))
