"""eKuiper: a server with a rule engine of its own. Not driven yet: named here so that its absence is seen."""

from __future__ import annotations

from benchmarks.peers import skip
from benchmarks.peers.lines import find


def main() -> None:
    """See the package's head."""
    find("kuiperd", "https://github.com/lf-edge/ekuiper")
    skip(NotImplementedError("kuiperd is on PATH, but streams and rules for it are not written yet"))


if __name__ == "__main__":
    main()
