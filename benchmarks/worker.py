"""One workload in this process: ``python -m benchmarks.worker NAME SCALE FILE`` writes its result as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.workloads import BY_ID


def main() -> None:
    """See the module's head."""
    name, scale, path = sys.argv[1:]
    result = BY_ID[name].run(float(scale))
    Path(path).write_text(json.dumps(result.json(), ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
