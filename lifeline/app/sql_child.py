"""One analyst's query in a process of its own: ``python -m lifeline.app.sql_child PARENT``, by ``app.http.sql``.

    stdin   one line of JSON: data_dir, sql, output, rows_max, bytes_max, timeout_s, grants, key
    stdout  one line of JSON: ok, error, layers; then the result's bytes

It says "ready" once everything is imported, takes one query, and ends. The sandbox closes before the query is read.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Answer one query."""
    from lifeline.lake import sandbox

    network = sandbox.without_network()  # before anything that starts a thread is imported

    import orjson

    from lifeline.app.orphans import die_with_parent
    from lifeline.core.errors import LifelineError
    from lifeline.core.principal import Grant
    from lifeline.lake import query, selects

    die_with_parent(int(sys.argv[1]), 9)
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is not a result
    out.write(b"ready\n")
    out.flush()
    line = sys.stdin.buffer.readline()
    if not line:
        return
    asked: dict[str, Any] = orjson.loads(line)
    data = Path(asked["data_dir"])
    layers = sandbox.confine(
        [data / "lake", data / "catalog", *sandbox.libraries()], int(asked["timeout_s"] * asked["threads"]) + 5
    )
    layers["network"] = network
    try:
        grants = asked["grants"]
        reach = None if grants is None else [Grant(g[0], tuple(g[1]), tuple(g[2])) for g in grants]
        connection = query.open_catalog(
            data, memory_limit=asked["memory"], threads=asked["threads"], grants=reach, key=asked["key"]
        )
        result = query.run(
            connection, asked["sql"], asked["output"], rows_max=asked["rows_max"], timeout_s=asked["timeout_s"]
        )
        if len(result) > asked["bytes_max"]:
            raise selects.QueryError(f"the result has more than {asked['bytes_max']} bytes; aggregate, or add LIMIT")
        header: dict[str, Any] = {"ok": True, "layers": layers}
    except (LifelineError, MemoryError, OSError) as error:
        kind = "query" if isinstance(error, selects.QueryError | MemoryError) else "unavailable"
        header, result = {"ok": False, "kind": kind, "error": str(error) or "out of memory", "layers": layers}, b""
    out.write(orjson.dumps(header) + b"\n" + result)
    out.flush()
    os._exit(0)  # no destructor of a library may hang on to a closed world


if __name__ == "__main__":
    main()
