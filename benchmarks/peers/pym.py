"""pymosquitto: the C library behind a thin Python layer."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from benchmarks.peers import FILTER, Counter, say, skip


def main() -> None:
    """See the package's head."""
    try:
        module = importlib.import_module("pymosquitto.client")
        client = module.Mosquitto(client_id="bench-pymosquitto")
    except (ImportError, OSError) as error:
        skip(error)
    port, count = map(int, sys.argv[1:3])
    counter = Counter(count)

    def on_message(_client: Any, _data: Any, message: Any) -> None:
        if counter.message(message.payload):
            counter.report()
            client.disconnect()

    client.on_message = on_message
    client.on_connect = lambda *_: client.subscribe(FILTER, 1)
    client.on_subscribe = lambda *_: say(ready=True)
    client.connect("127.0.0.1", port)
    client.loop_forever()


if __name__ == "__main__":
    main()
