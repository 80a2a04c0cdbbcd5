"""A real Chromium, spoken to over its DevTools protocol: one page, its text, and everything it complained about."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --remote-debugging-port=0"
)
DEADLINE_S = 60.0


class Chromium:
    """One page of a headless browser. Close it."""

    def __init__(self, program: str, profile: Path) -> None:
        self.complaints: list[str] = []
        """Console errors, uncaught exceptions, violations of the policy."""
        self._number = 0
        self._process = subprocess.Popen(
            [program, *FLAGS.split(), f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        port = int(self._wait(lambda: (profile / "DevToolsActivePort").read_text().splitlines()[0]))
        pages = self._wait(lambda: json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=5)))
        page = next(entry for entry in pages if entry["type"] == "page")
        self._socket = connect(page["webSocketDebuggerUrl"], max_size=None)
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """One command of the protocol; its result."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=DEADLINE_S))
            self._listen(message)
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]

    def open(self, url: str) -> None:
        """Go there."""
        self.call("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """The value of an expression on the page; promises are awaited."""
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        return result["result"].get("value")

    def until(self, script: str, seconds: float = DEADLINE_S) -> Any:
        """Wait until an expression is true; its value."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with suppress(AssertionError):  # a page that is just being left has no context
                value = self.run(script)
                if value:
                    return value
            time.sleep(0.1)
        raise AssertionError(f"never true: {script}\n{self.run('document.documentElement.outerHTML')}")

    def close(self) -> None:
        """End the browser."""
        self._socket.close()
        self._process.terminate()
        self._process.wait(20)

    def _listen(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        if message.get("method") == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.complaints.append(parameters["entry"]["text"])
        elif message.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(parameters["exceptionDetails"]["text"])

    def _wait(self, ask: Any) -> Any:
        deadline = time.monotonic() + DEADLINE_S
        while True:
            try:
                return ask()
            except (OSError, ValueError, IndexError):
                assert time.monotonic() < deadline, "Chromium does not start"
                time.sleep(0.1)
