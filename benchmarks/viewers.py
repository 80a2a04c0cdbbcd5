"""Viewers of the live stream, in a process of their own: ``python -m benchmarks.viewers PORT COUNT`` (tokens on stdin).

Says ``ready`` once every stream is open; at the end of its stdin it prints, as JSON, when each entry came to each
viewer (``{entry: [monotonic seconds]}``, the machine's clock, which the other process reads as well).
"""

from __future__ import annotations

import asyncio
import sys
import time

import orjson

AT_ONCE = 10
"""Streams opened in one go: whoever asks faster is told to wait."""
PAUSE_S = 0.25


async def main(port: int, count: int, tokens: list[str]) -> dict[int, list[float]]:
    """Open ``count`` streams, listen until stdin ends."""
    told: dict[int, list[float]] = {}
    loop = asyncio.get_running_loop()
    tasks = []
    for start in range(0, count, AT_ONCE):
        for number in range(start, min(start + AT_ONCE, count)):
            reader, writer = await _open(port, tokens[number % len(tokens)])
            tasks.append(asyncio.create_task(_listen(reader, writer, told)))
        await asyncio.sleep(PAUSE_S)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.buffer.read)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return told


async def _open(port: int, token: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n"
    writer.write(head.encode())
    greeting = await reader.readuntil(b"\n\n")
    if b"200 OK" not in greeting:
        raise RuntimeError(f"no stream: {greeting.decode(errors='replace')}")
    return reader, writer


async def _listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, told: dict[int, list[float]]) -> None:
    try:
        while line := await reader.readline():
            if line.startswith(b"id: "):
                told.setdefault(int(line[4:]), []).append(time.monotonic())
    finally:
        writer.close()


if __name__ == "__main__":
    words = sys.stdin.buffer.readline().decode().split()
    found = asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), words))
    sys.stdout.write(orjson.dumps(found, option=orjson.OPT_NON_STR_KEYS).decode() + "\n")
