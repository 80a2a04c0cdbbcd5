"""What a quantity is about, as far as its name tells: the column ``about`` of ``where``.

Others' sensors are called as their owners please (``picarro_2``, ``inlet_3``, ``a``), so a rule cannot list the names
that it wants; what it does not want is mostly called what it is (``wind_dir``, ``t_air``, ``battery_v``). One line a
subject, the first that fits counts: ``ch4_error`` is about quality, ``ch4_wind_corrected`` about methane. Names of
places must stay what they are: a compressor is no pressure, a sensor downwind no wind, a tank battery no cell.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple


class Subject(NamedTuple):
    """Names of one subject: ``stems`` anywhere in a name, ``words`` between underscores, digits aside."""

    about: str
    stems: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    """Letters before a number of two digits and more, as mines call their sensors: AN116, BA13."""


SUBJECTS: Final = (
    Subject(
        "quality",
        ("error", "flag", "quality", "status", "valid", "uncert", "sigma", "stdev", "deviation", "residual", "predict"),
        ("err", "std", "sd", "sem", "qc", "snr", "var", "r2", "rsq", "pred"),
        ("dmm",),
    ),
    Subject(
        "device",
        ("volt", "rssi", "firmware", "battery_v", "battery_p", "battery_l", "batt_v"),
        ("lqi", "vbat"),
        ("amp", "dmp"),
    ),
    Subject("temperature", ("temp", "thermocouple", "温度", "水温", "气温"), (), ("tp", "tc")),
    Subject("pressure", ("pressure", "barom", "druck", "压力"), (), ("ba", "cr", "p")),
    Subject("humidity", ("humid", "moisture"), (), ("rh",)),
    Subject("methane", ("ch4", "methane"), (), ("mm",)),
    Subject("temperature", (), ("ta", "tair", "degc", "degf", "dewpoint", "dew")),
    Subject("pressure", (), ("press", "pres", "baro", "pa", "hpa", "kpa", "mbar", "patm")),
    Subject("humidity", (), ("rh", "h2o")),
    Subject(
        "wind",
        ("wind", "speed", "direction", "gust", "turbul", "velocity", "anemo"),
        ("ws", "wd", "wdir", "wspd", "dir", "tke", "ustar"),
        ("an", "as", "pg"),
    ),
    Subject("weather", ("rain", "precip", "radiation", "cloud", "stability")),
    Subject(
        "gas",
        ("ethane", "propane", "carbon", "oxygen", "ozone", "ammonia"),
        ("co", "co2", "o2", "o3", "no2", "nox", "n2o", "so2", "h2s", "nh3", "c2h6", "c3h8", "voc", "tvoc", "pm", "h2"),
        ("cm", "wm"),
    ),
    Subject(
        "flow",
        ("flow", "discharge", "release", "emission", "durchfluss", "caudal", "debit", "流量"),
        ("rate", "mass", "weight", "kg"),
    ),
    Subject("electric", ("current", "power"), ("amps", "watts")),
    Subject(
        "place",
        ("latitude", "longitude", "altitude", "elevation", "distance", "azimuth", "heading", "bearing"),
        ("lat", "lon", "lng", "alt", "gps", "angle"),
    ),
    Subject("time", ("timestamp", "elapsed", "operating"), ("hours", "seconds", "uptime")),
)
WHOLE: Final = {
    name: subject
    for subject, names in {
        "wind": "u v w u_ms v_ms w_ms u_m_s v_m_s w_m_s",
        "temperature": "t t_c t_k t_air air_t",
        "pressure": "p p_pa p_hpa p_atm",
        "device": "battery batt bat",
        "flow": "pd prod production f_side",
        "time": "no id index row count time hour day month year minute second",
    }.items()
    for name in names.split()
}
"""Names that say it only as a whole."""
PLACES: Final = re.compile("(up|down|cross)wind")
_CODE: Final = re.compile(r"([a-z]+)_?\d{2,}")
_KEPT: Final = 4096


@lru_cache(maxsize=_KEPT)
def about(quantity: str) -> str | None:
    """The subject that a quantity in snake case is named after; None where its name tells none."""
    name = PLACES.sub("", quantity.lower())
    if name in WHOLE:
        return WHOLE[name]
    parts = [part for part in re.split(r"[^a-z0-9]+", name) if part]
    words = {*parts, *(part.rstrip("0123456789") for part in parts)}
    code = _CODE.match(name)
    for subject in SUBJECTS:
        if (
            any(stem in name for stem in subject.stems)
            or not words.isdisjoint(subject.words)
            or (code is not None and code[1] in subject.codes)
        ):
            return subject.about
    return None
