"""Why an event happened: the cause codes of closing; pure."""

from __future__ import annotations

from typing import Final

CAUSES: Final[dict[str, tuple[str, str]]] = {
    "leak": ("泄漏", "leak"),
    "burst": ("爆管", "burst"),
    "third-party-damage": ("第三方破坏", "third-party damage"),
    "equipment-fault": ("设备故障", "equipment fault"),
    "operation": ("操作或调度", "operation"),
    "biogas": ("沼气", "biogas"),
    "maintenance": ("检修作业", "maintenance"),
    "sensor-fault": ("传感器故障", "sensor fault"),
    "no-fault-found": ("未发现异常", "no fault found"),
    "other": ("其他", "other"),
}
"""Cause codes: a closed list, for without it no false-alarm rate can be computed. The rest of the story is the note."""

FALSE_CAUSES: Final = frozenset({"biogas", "maintenance", "sensor-fault", "no-fault-found"})
"""Causes that make an event a false alarm unless the closer says otherwise."""
