"""``scale``: what a reading costs when the fleet is a tenth, five times or twenty times the city. It must stay flat.

Each size is a whole engine as in ``engine`` (one reading a message, QoS 1) with a registry of that size: what grows
with the fleet (registry, features, alarm states, last values, identities, files) must not make a reading dearer.
``of_the_city`` is CPU a reading divided by that of the city itself, measured just before or after in the same run.

``--scale`` multiplies all sizes. A fleet of twenty cities has 12.5 million points and takes about ten minutes.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from benchmarks.engine_run import Load, run_engine
from benchmarks.harness import Figure, Result, progress
from benchmarks.streams import sensors_at

if TYPE_CHECKING:
    from benchmarks.engine_run import EngineRun

FACTORS: Final = (0.1, 1.0, 5.0, 20.0)
CITY: Final = 1.0
LOAD: Final = Load("single", 1, rounds=20)
SMALL: Final = Load("single", 1, rounds=60)
"""A tenth of the city sends three times the rounds, so that every size has a million readings to divide by."""
FLAT: Final = 1.25
"""A reading may cost a quarter more or less: a processor's caches hold a tenth of the city and not twenty."""
SCALE_MAX: Final = 20.0


def run(scale: float) -> Result:
    """All sizes, the smallest first."""
    result = Result("scale", scale)
    digest = blake2b(digest_size=16)
    found: dict[float, EngineRun] = {}
    for factor in FACTORS:
        size = factor * scale
        if size > SCALE_MAX:
            result.notes.append(f"x{factor:g}: skipped, {size:g} times the city is more than one engine holds")
            continue
        progress(f"{sensors_at(size):,} devices")
        found[factor] = run_engine(SMALL if factor < CITY else LOAD, size)
        digest.update(f"{factor:g} {found[factor].hash}\n".encode())
    city = found[CITY]
    for factor, one in found.items():
        _report(result, f"x{factor:g}", one, city, sensors_at(factor * scale))
    result.hash = digest.hexdigest()
    return result


def _report(result: Result, name: str, one: EngineRun, city: EngineRun, sensors: int) -> None:
    add = result.figures.__setitem__
    cpu, base = one.cpu_s / one.readings, city.cpu_s / city.readings
    add(f"{name}_cpu_us", Figure(cpu * 1e6, "µs/reading", better="lower"))
    if one is not city:
        add(f"{name}_of_the_city", Figure(cpu / base, "x", FLAT, "lower"))
    add(f"{name}_readings_per_s", Figure(one.readings / one.seconds, "readings/s"))
    add(f"{name}_lost", Figure(one.lost, "readings", 0, "lower"))
    add(f"{name}_rss_mib", Figure(one.rss_mib, "MiB", better="lower"))
    add(f"{name}_devices", Figure(sensors, "devices"))
    add(f"{name}_readings", Figure(one.readings, "readings"))
