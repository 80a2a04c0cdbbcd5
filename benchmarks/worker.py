"""One workload in this process: ``python -m benchmarks.worker NAME SCALE FILE`` writes its result as JSON.

What a workload does not say of memory is said here: the largest resident set of the process that measured.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.harness import Figure, rss_mib_max
from benchmarks.workloads import BY_ID


def main() -> None:
    """See the module's head."""
    name, scale, path = sys.argv[1:]
    result = BY_ID[name].run(float(scale))
    if not any(figure.endswith("rss_mib") for figure in result.figures):
        result.figures["rss_mib"] = Figure(rss_mib_max(), "MiB", better="lower")
    Path(path).write_text(json.dumps(result.json(), ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
