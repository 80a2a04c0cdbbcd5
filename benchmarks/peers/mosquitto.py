"""mosquitto_sub, the C client: decodes MQTT and prints payloads into a pipe; no JSON."""

from __future__ import annotations

import sys

from benchmarks.peers import FILTER
from benchmarks.peers.lines import find, follow


def main() -> None:
    """See the package's head."""
    program = find("mosquitto_sub", "Debian: apt-get install mosquitto-clients")
    port, count = sys.argv[1:3]
    follow([program, "-h", "127.0.0.1", "-p", port, "-q", "1", "-t", FILTER], int(count))


if __name__ == "__main__":
    main()
