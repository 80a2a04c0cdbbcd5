"""The command line: thin words around ``lifeline.app``.

Rules of this package: nothing heavy is imported at the top of a module (``lifeline --help`` answers within 0.3 s);
people get rich text, programs get one JSON document on stdout and nothing else there; exit status 0 done, 1 failed,
2 wrong usage or configuration.
"""

from __future__ import annotations

from lifeline.cli.main import main

__all__ = ["main"]
