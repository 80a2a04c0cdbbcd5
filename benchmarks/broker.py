"""A real Mosquitto on the loopback, for as long as a ``with`` block."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Final, Self

from simulators.wire import DISCONNECT, connect_packet

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

START_S: Final = 10.0


class Mosquitto:
    """In a folder, without limits on its queues; its log tells who has subscribed.

    Raises:
        RuntimeError: it is not installed, or does not start.
    """

    def __init__(self, folder: Path) -> None:
        self._log = folder / "mosquitto.log"
        self._conf = folder / "mosquitto.conf"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._conf.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 0\nmax_queued_messages 0\n"
            f"max_queued_bytes 0\nset_tcp_nodelay true\nlog_dest file {self._log}\nlog_type subscribe\nuser root\n"
        )

    def __enter__(self) -> Self:
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            raise RuntimeError("mosquitto is not installed (Debian: apt-get install mosquitto)")
        self._process = subprocess.Popen([program, "-c", str(self._conf)])
        deadline = time.monotonic() + START_S
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            if time.monotonic() > deadline or self._process.poll() is not None:
                self._process.kill()
                self._process.wait()
                raise RuntimeError("mosquitto did not start")
            time.sleep(0.02)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()

    def forget(self, client_id: str) -> None:
        """Remove a client's session: connect with its name and a clean session, and go."""
        with socket.create_connection(("127.0.0.1", self.port), START_S) as connection:
            connection.sendall(connect_packet(client_id, keep_alive_s=10))
            connection.recv(4)
            connection.sendall(DISCONNECT)

    @property
    def subscriptions(self) -> int:
        """How many there have been."""
        return self._log.read_text().count(" lifeline/#") if self._log.exists() else 0

    def await_subscription(self, known: int) -> None:
        """Wait until there was one more than ``known``.

        Raises:
            RuntimeError: nobody subscribed.
        """
        deadline = time.monotonic() + START_S
        while self.subscriptions <= known:
            if time.monotonic() > deadline:
                raise RuntimeError("nobody subscribed")
            time.sleep(0.01)
