"""Telegraf: ``mqtt_consumer``, JSON to metrics, printed as line protocol. Only where it is on PATH."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from benchmarks.peers import FILTER
from benchmarks.peers.lines import find, follow

CONFIG: Final = """\
[agent]
  flush_interval = "200ms"
  metric_batch_size = 10000
  metric_buffer_limit = 1000000
  omit_hostname = true
  quiet = true
[[inputs.mqtt_consumer]]
  servers = ["tcp://127.0.0.1:{port}"]
  topics = ["{filter}"]
  qos = 1
  client_id = "bench-telegraf"
  max_undelivered_messages = 65535
  data_format = "json"
[[outputs.file]]
  files = ["stdout"]
  data_format = "influx"
"""


def main() -> None:
    """See the package's head."""
    program = find("telegraf", "https://github.com/influxdata/telegraf")
    config = Path(sys.argv[3]) / "telegraf.conf"
    config.write_text(CONFIG.format(port=sys.argv[1], filter=FILTER))
    follow([program, "--config", str(config)], int(sys.argv[2]))


if __name__ == "__main__":
    main()
