"""Who asks, and how far their rights reach: role × areas × utilities × data grade; pure values.

Rules of this file: rights are only ever added up from grants, nothing is taken away afterwards; what no grant covers
is refused. An area is a code and everything below it: codes begin with the code of what they lie in, rural and
dedicated grids behind a letter of their class. A row without area or utility belongs to the whole site: only a grant
without that limit covers it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

ROLES: Final[dict[str, tuple[str, str]]] = {
    "viewer": ("查看", "looks"),
    "operator": ("处置", "handles events, acknowledges alarms"),
    "dispatcher": ("派遣", "files, dispatches, checks"),
    "analyst": ("分析", "asks with SQL, checks and evaluates"),
    "auditor": ("审计管理员", "reads the audit, changes nothing"),
    "admin": ("系统管理员", "may stand in for operator and dispatcher; neither accounts nor audit"),
    "security": ("安全管理员", "keeps accounts, grants and tokens; neither events nor audit"),
    "reporter": ("上报渠道", "a desk or portal that reports events and reads nothing"),
}
"""Every role with its Chinese name and what it is for."""

SEPARATED: Final = ("admin", "security", "auditor")
"""三权分立 (GB/T 22239-2019 level 3): one account holds at most one of these."""

READERS: Final = ("viewer", "operator", "dispatcher", "analyst", "auditor", "admin")
"""Roles that see events, alarms, points and readings within their areas and utilities."""

GRADES: Final = ("general", "important", "core")
"""Data grades of GB/T 43697-2024, lowest first (一般 重要 核心). Exact positions and household ids: ``important``."""


GRID_CLASSES: Final = ("", "R", "D")
"""What a code may begin with before the code of its township: nothing, a rural grid, a dedicated grid (专属网格)."""


def area_prefixes(area: str) -> tuple[str, ...]:
    """What the codes of everything in ``area`` begin with; a city (``410100``) or province takes in its districts."""
    stem = area
    while len(area) == 6 and stem.endswith("00"):
        stem = stem.removesuffix("00")
    return tuple(mark + stem for mark in GRID_CLASSES)


@dataclass(frozen=True, slots=True)
class Grant:
    """One role, where it holds. Empty ``areas`` or ``utilities``: everywhere, all."""

    role: str
    areas: tuple[str, ...] = ()
    utilities: tuple[str, ...] = ()

    def covers(self, area_code: str | None, utility: str | None) -> bool:
        """Whether a thing of this area and utility lies within the grant."""
        in_area = not self.areas or (area_code is not None and area_code.startswith(self.prefixes))
        return in_area and (not self.utilities or utility in self.utilities)

    @property
    def prefixes(self) -> tuple[str, ...]:
        """What area codes within the grant begin with; empty: anything."""
        return tuple(prefix for area in self.areas for prefix in area_prefixes(area))


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who has proved who they are."""

    name: str
    grants: tuple[Grant, ...]
    grade: str = "general"
    via: str = "session"
    """``session``, ``token`` or ``shell``."""
    address: str = ""
    """Where the request came from, for the audit."""

    @property
    def roles(self) -> tuple[str, ...]:
        """Every role held anywhere, each once."""
        return tuple(dict.fromkeys(grant.role for grant in self.grants))

    def may(self, roles: Iterable[str]) -> bool:
        """Whether one of ``roles`` is held anywhere."""
        return not set(self.roles).isdisjoint(roles)

    def roles_at(self, area_code: str | None, utility: str | None) -> tuple[str, ...]:
        """Roles held for a thing of this area and utility."""
        return tuple(dict.fromkeys(grant.role for grant in self.grants if grant.covers(area_code, utility)))

    def sees(self, area_code: str | None, utility: str | None) -> bool:
        """Whether a thing of this area and utility may be read."""
        return any(grant.role in READERS and grant.covers(area_code, utility) for grant in self.grants)

    def scope(self, roles: Iterable[str] = READERS) -> tuple[Grant, ...] | None:
        """The grants of ``roles`` that limit what is seen, None when one of them has no limit."""
        wanted = frozenset(roles)
        held = tuple(grant for grant in self.grants if grant.role in wanted)
        if any(not grant.areas and not grant.utilities for grant in held):
            return None
        return held

    @property
    def sees_all(self) -> bool:
        """Whether reading has no limit of area or utility."""
        return self.scope() is None

    def graded(self, grade: str) -> bool:
        """Whether data of this grade may be seen at all (household data also needs a purpose)."""
        return GRADES.index(self.grade) >= GRADES.index(grade)


def narrowed(
    grants: Iterable[Grant],
    roles: tuple[str, ...] | None = None,
    areas: tuple[str, ...] = (),
    utilities: tuple[str, ...] = (),
) -> tuple[Grant, ...]:
    """What is left of ``grants`` for a token that was given only these roles, areas and utilities (empty: all)."""
    left = []
    for grant in grants:
        if roles is not None and grant.role not in roles:
            continue
        within_areas = _within(grant.areas, areas)
        within_utilities = _both(grant.utilities, utilities)
        if within_areas is None or within_utilities is None:
            continue
        left.append(Grant(grant.role, within_areas, within_utilities))
    return tuple(left)


def _within(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...] | None:
    """Codes below both lists; None: nothing is."""
    if not one or not other:
        return one or other
    common = {a for a in one if a.startswith(_stems(other))} | {b for b in other if b.startswith(_stems(one))}
    return tuple(sorted(common)) or None


def _stems(areas: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(prefix for area in areas for prefix in area_prefixes(area))


def _both(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...] | None:
    if not one or not other:
        return one or other
    return tuple(name for name in one if name in other) or None
