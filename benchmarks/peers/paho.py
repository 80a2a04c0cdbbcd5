"""paho-mqtt, as its documentation shows it: callbacks, ``loop_forever``."""

from __future__ import annotations

import sys
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.peers import FILTER, Counter, say


def main() -> None:
    """See the package's head."""
    port, count = map(int, sys.argv[1:3])
    counter = Counter(count)
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="bench-paho")

    def on_message(_client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        if counter.message(message.payload):
            counter.report()
            client.disconnect()

    def subscribe() -> None:
        client.subscribe(FILTER, 1)

    client.on_message = on_message
    client.on_connect = lambda *_: subscribe()
    client.on_subscribe = lambda *_: say(ready=True)
    client.connect("127.0.0.1", port)
    client.loop_forever()


if __name__ == "__main__":
    main()
