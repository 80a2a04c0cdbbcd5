"""The bundled broker (``url = "embedded"``): amqtt in a process of its own, on the loopback only.

For the demo and for trying things out: about 3,600 messages a second, MQTT 3.1.1, sessions live as long as the
process. A process of its own, because a broker in Python would take the collector's interpreter lock.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Self

from lifeline.core.errors import UnavailableError

if TYPE_CHECKING:
    from types import TracebackType

START_TIMEOUT_S: Final = 20.0
"""Importing amqtt takes about a second on a busy machine."""


class EmbeddedBroker:
    """Start, use ``url``, stop; or a ``with`` block.

    Args:
        port: 0 takes a free one.
        host: a loopback address; anonymous clients are let in, so anything else is refused.
    """

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        if not host.startswith("127.") and host != "localhost":
            raise ValueError(f"the embedded broker lets everybody in and listens on the loopback only, not on {host}")
        self.host, self.port = host, port
        self._process: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] | None = None

    @property
    def url(self) -> str:
        """What clients connect to; valid after ``start``."""
        return f"mqtt://{self.host}:{self.port}"

    @property
    def protocol(self) -> int:
        """MQTT 3.1.1: amqtt knows no 5."""
        return 4

    @property
    def pid(self) -> int | None:
        """Of the broker's process while it runs (for CPU and memory figures)."""
        return None if self._process is None else self._process.pid

    @property
    def alive(self) -> bool:
        """Does the process run?"""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Returns once it accepts connections.

        Raises:
            UnavailableError: it did not come up (port taken?); the message holds what it said.
        """
        if self.alive:
            return
        command = [sys.executable, "-m", "ingest.embedded_main", self.host, str(self.port)]
        paths = [str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")]
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        process = subprocess.Popen(  # noqa: S603 - our own module
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        )
        self._process = process
        assert process.stdout is not None
        line = _line(process.stdout, START_TIMEOUT_S)
        if not line.strip().isdigit():
            said = self._end(kill=True)
            raise UnavailableError(f"embedded broker on {self.host}:{self.port} did not start: {said or 'time-out'}")
        self.port = int(line)

    def stop(self) -> None:
        """Ends the process; sessions and queued messages are gone with it."""
        if self._process is not None:
            self._end(kill=False)

    def _end(self, kill: bool) -> str:
        """Close its stdin (its signal to end), wait, kill if it must be; returns the tail of its stderr."""
        process, self._process = self._process, None
        said, self._said = self._said, None
        assert process is not None
        assert said is not None
        if kill:
            process.kill()
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        with said:
            said.seek(0)
            return said.read().decode(errors="replace").strip()[-500:]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _line(stream: IO[bytes], timeout_s: float) -> bytes:
    """The first line, or what came of it within the time."""
    until_s = time.monotonic() + timeout_s
    line = b""
    while not line.endswith(b"\n") and (left_s := until_s - time.monotonic()) > 0:
        if not select.select([stream], [], [], left_s)[0]:
            break
        part = stream.read1(1) if hasattr(stream, "read1") else stream.read(1)
        if not part:
            break
        line += part
    return line
