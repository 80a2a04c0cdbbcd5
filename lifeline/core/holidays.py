"""Public holidays of one country, out of the ``holidays`` library, without reading those of all others.

The library knows 250 countries, each a module. Whoever asks it for one has it import the package of them all: 0.15 s of
CPU of each start. Here the country's own module is imported beside that package, which stays as it was: what asks for
another country, or for the package itself, finds everything.
"""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec, module_from_spec
from typing import Any, Final

PACKAGE: Final = "holidays.countries"


def public_holidays(country: str, subdivision: str | None) -> Any:
    """The library's calendar of a country: dates are in it, and ``is_working_day`` knows make-up days.

    Raises:
        NotImplementedError: the library has no such country or subdivision.
    """
    from holidays import country_holidays

    _import_alone(country)
    return country_holidays(country, subdivision)


def _import_alone(country: str) -> None:
    """Have a country's module imported; what the library cannot be asked so, it does itself a moment later."""
    from holidays import registry

    module = next((name for name, known in registry.COUNTRIES.items() if country in known), None)
    spec = find_spec(PACKAGE)
    if module is None or spec is None:
        return
    empty = module_from_spec(spec)  # knows where its modules are, and has imported none
    if sys.modules.setdefault(PACKAGE, empty) is not empty:
        return  # it is there, or another thread does the same
    try:
        importlib.import_module(f"{PACKAGE}.{module}")
    finally:
        del sys.modules[PACKAGE]
