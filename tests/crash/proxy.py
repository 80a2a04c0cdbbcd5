"""A TCP proxy between the broker and the victim: cuts, slices, swallows. Small and exact to the byte.

plan      what happens to the next connections, one entry each: Cut("down", 17) resets the connection after 17 bytes
          from the broker to the victim; "up" counts the other way; None leaves it alone. Empty: all are left alone.
deaf      swallow everything, both ways, and keep the connection open (a half-open link)
piece     forward at most so many bytes at once
"""

from __future__ import annotations

import select
import socket
import struct
import threading
from collections import deque
from contextlib import suppress
from typing import NamedTuple


class Cut(NamedTuple):
    """Reset the connection after exactly ``after`` bytes in one direction."""

    direction: str
    after: int


class Proxy:
    """Listens until closed; one connection at a time, as there is one victim."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.plan: deque[Cut | None] = deque()
        self.deaf = False
        self.piece = 1 << 16
        self.connections = self.cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.1)
        self.port: int = self._listener.getsockname()[1]
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def close(self) -> None:
        self._closing = True
        self._thread.join(10)
        self._listener.close()

    def _run(self) -> None:
        while not self._closing:
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            self.connections += 1
            cut = self.plan.popleft() if self.plan else None
            with client, socket.create_connection(("127.0.0.1", self.target)) as server:
                for one in (client, server):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with suppress(OSError):
                    self._pump(client, server, cut)

    def _pump(self, client: socket.socket, server: socket.socket, cut: Cut | None) -> None:
        left = None if cut is None else cut.after
        while not self._closing:
            ready, _, _ = select.select([client, server], [], [], 0.1)
            for source in ready:
                down = source is server
                counted = cut is not None and (cut.direction == "down") == down
                size = self.piece if not counted or left is None else min(self.piece, left)
                data = source.recv(size) if size else b""
                if size and not data:
                    return
                if not self.deaf:
                    (client if down else server).sendall(data)
                if counted and left is not None:
                    left -= len(data)
                    if left == 0:
                        self.cuts += 1
                        for one in (client, server):  # no lingering: a reset, as a dying network sends
                            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        return
