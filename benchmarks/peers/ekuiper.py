"""eKuiper: a stream over its MQTT source, a rule that selects everything into its file sink. Only where it is on PATH.

Its sink keeps up to 4 KiB back and writes line ends only *between* the messages of a file: so the file is one of its
descriptors, rolled after each round, and messages are counted by the brace that ends their one flat object.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, Final

from benchmarks.peers import FILTER
from benchmarks.peers.lines import find, follow, free_port

SERVER: Final = """\
basic:
  consoleLog: false
  fileLog: true
  logLevel: error
  ip: 127.0.0.1
  port: {rpc}
  restIp: 127.0.0.1
  restPort: {rest}
  prometheus: false
  pprof: false
source:
  httpServerIp: 127.0.0.1
  httpServerPort: {push}
store:
  type: sqlite
  extStateType: sqlite
"""
SOURCE: Final = """\
default:
  server: "tcp://127.0.0.1:{port}"
  protocolVersion: "3.1.1"
  clientid: bench-ekuiper
  qos: 1
"""
WITHIN: Final = ("etc/sources", "etc/sinks", "etc/functions", "etc/services/schemas", "data", "log", "plugins")
PLUGINS: Final = ("sources", "sinks", "functions", "portable", "wasm")


def write_site(folder: Path, port: int, count: int, path: str) -> None:
    """Configuration, and the rules of the first start (``data/init.json``)."""
    for name in (*WITHIN, *(f"plugins/{kind}" for kind in PLUGINS)):
        (folder / name).mkdir(parents=True, exist_ok=True)
    ports = {name: free_port() for name in ("rpc", "rest", "push")}
    (folder / "etc/kuiper.yaml").write_text(SERVER.format(**ports))
    (folder / "etc/mqtt_source.yaml").write_text(SOURCE.format(port=port))
    (folder / "data/init.json").write_text(json.dumps(ruleset(count, path)))


def ruleset(count: int, path: str) -> dict[str, Any]:
    """Its manual, "Ruleset Format": statements, and rules as JSON in JSON."""
    sink = {"path": path, "fileType": "lines", "format": "json", "sendSingle": True, "rollingCount": count}
    rule = {
        "id": "all",
        "sql": "SELECT * FROM bench",
        "actions": [{"file": sink | {"rollingNamePattern": "none"}}],
        # a full buffer shall hold up the broker, as it does elsewhere, and drop nothing
        "options": {"bufferLength": 65_535, "disableBufferFullDiscard": True},
    }
    stream = f'CREATE STREAM bench () WITH (DATASOURCE="{FILTER}", FORMAT="JSON", TYPE="mqtt")'
    return {"streams": {"bench": stream}, "tables": {}, "rules": {"all": json.dumps(rule)}}


def main() -> None:
    """See the package's head."""
    program = find("kuiperd", "https://github.com/lf-edge/ekuiper")
    port, count, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    read, write = os.pipe()
    write_site(folder, port, count, f"/dev/fd/{write}")
    follow([program], count, {"KuiperBaseKey": str(folder)}, pipe=(read, write), mark=b"}")


if __name__ == "__main__":
    main()
