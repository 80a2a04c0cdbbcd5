"""Redpanda Connect: input ``mqtt``, JSON parsed by a mapping, printed. Only where it is on PATH."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from benchmarks.peers import FILTER
from benchmarks.peers.lines import find, follow

CONFIG: Final = """\
http: {{ enabled: false }}
logger: {{ level: "NONE" }}
input:
  mqtt:
    urls: ["tcp://127.0.0.1:{port}"]
    client_id: bench-redpanda-connect
    topics: ["{filter}"]
    qos: 1
pipeline:
  processors:
    - mapping: root = content().parse_json()
output:
  stdout: {{ codec: lines }}
"""


def main() -> None:
    """See the package's head."""
    program = find("redpanda-connect", "https://github.com/redpanda-data/connect")
    config = Path(sys.argv[3]) / "connect.yaml"
    config.write_text(CONFIG.format(port=sys.argv[1], filter=FILTER))
    follow([program, "run", str(config)], int(sys.argv[2]))


if __name__ == "__main__":
    main()
