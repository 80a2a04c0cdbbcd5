"""The views of the catalog as one reader may see them: their areas and utilities, households under pseudonyms.

Pure SQL text; every value in it is quoted or a number. Used for our own questions and for analysts' sandboxes, where
the full views lie in a schema that queries cannot name.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lifeline.core.principal import Grant

HOUSEHOLD_PREFIX: Final = "household-"
"""What kinds of a household's devices begin with."""
MASK_PREFIX: Final = "masked-"
DECIMALS: Final = 2
"""Positions are rounded to 0.01°, about a kilometre."""


def text(value: str) -> str:
    """A string as SQL."""
    return "'" + value.replace("'", "''") + "'"


def clause(grants: Sequence[Grant], prefix: str = "") -> str:
    """Rows of a view with ``area_code`` and ``utility`` that lie in one of the grants."""
    parts = []
    for grant in grants:
        limits = []
        if grant.areas:
            limits.append(
                "(" + " OR ".join(f"starts_with({prefix}area_code, {text(code)})" for code in grant.prefixes) + ")"
            )
        if grant.utilities:
            limits.append(f"{prefix}utility IN ({', '.join(map(text, grant.utilities))})")
        parts.append("(" + " AND ".join(limits or ["true"]) + ")")
    return "(" + " OR ".join(parts or ["false"]) + ")"


def pseudonym(key: str, name: str) -> str:
    """What a household's id is shown as; SQL does the same."""
    return MASK_PREFIX + hashlib.sha256((key + name).encode()).hexdigest()[:16]


FREE_TEXTS: Final = {
    "events": ("owner", "co_owners", "routing", "recheck"),
    "event_log": ("note", "fields"),
    "alarms": ("detail",),
}
"""Columns in which people or the engine may have written what is personal; titles have an expression of their own."""


def masked_columns(columns: Sequence[str], key: str, *, plain: bool = False) -> str:
    """Columns of ``points`` with coarse positions and pseudonyms; ``plain``: expressions without names."""
    household = f"kind LIKE '{HOUSEHOLD_PREFIX}%'"
    parts = []
    for name in columns:
        if name in {"lon", "lat"}:
            expression = f"round({name}, {DECIMALS})"
        elif name in {"device_id", "asset_id", "owner", "gateway", "group"}:
            quoted = f'"{name}"'
            hidden = f"'{MASK_PREFIX}' || substr(sha256({text(key)} || {quoted}), 1, 16)"
            expression = f"CASE WHEN {household} THEN {hidden} ELSE {quoted} END"
        else:
            expression = f'"{name}"'
        parts.append(expression if plain else f'{expression} AS "{name}"')
    return ", ".join(parts)


def scoped_views(
    columns: dict[str, Sequence[str]],
    grants: Sequence[Grant] | None,
    key: str | None,
    source: str = "source",
    hide: str = "",
) -> list[str]:
    """Statements that make the views of one reader over the full ones in schema ``source``.

    Args:
        columns: Columns of every full view.
        grants: Where the reader may look; None: everywhere.
        key: Secret of the pseudonyms; None: nothing is masked.
        source: Schema of the full views.
        hide: With ``key``: the function that masks a text, ids of household devices in it too.
    """
    everywhere = grants is None
    here = "true" if grants is None else clause(grants)
    seen = "true" if everywhere else f"point IN (SELECT point FROM {source}.points WHERE {here})"  # noqa: S608 - quoted
    touched = here
    if not everywhere and "also_in" in columns.get("events", ()):  # what began elsewhere and has alarms here
        alarms = f"SELECT event_id FROM {source}.alarms WHERE {seen}"  # noqa: S608 - quoted
        touched = f"({here} OR (also_in IS NOT NULL AND event_id IN ({alarms})))"
    events = f"event_id IN (SELECT event_id FROM {source}.events WHERE {touched})"  # noqa: S608 - quoted
    where = {
        "readings": here,
        "readings_raw": seen,
        "points": here,
        "areas": "true",
        "alarms": seen,
        "shadow_differences": seen,
        "events": touched,
        "event_log": "true" if everywhere else events,
        # a reject has no place: its topic and payload may be anybody's, households' too
        "rejects": "true" if everywhere and key is None else "false",
        "completeness": seen,
    }
    statements = []
    for name, names in columns.items():
        listed = ", ".join(f'"{column}"' for column in names)
        origin = f"{source}.{name}"
        if key is not None and name == "points":
            listed = masked_columns(names, key)
        elif key is not None and "device_id" in names:
            # readings and alarms: the kind is a column of points
            hidden = f"'{MASK_PREFIX}' || substr(sha256({text(key)} || r.device_id), 1, 16)"
            shown = {column: f'{hide}(r."{column}") AS "{column}"' for column in FREE_TEXTS.get(name, ())}
            shown["device_id"] = f"CASE WHEN p.household THEN {hidden} ELSE r.device_id END AS device_id"
            listed = ", ".join(shown.get(column, f'r."{column}"') for column in names)
            home = f"SELECT point, kind LIKE '{HOUSEHOLD_PREFIX}%' AS household FROM {source}.points"  # noqa: S608 - ours
            origin = f"(SELECT * FROM {origin} WHERE {where[name]}) r LEFT JOIN ({home}) p ON p.point = r.point"  # noqa: S608 - quoted
            statements.append(f"CREATE VIEW main.{name} AS SELECT {listed} FROM {origin}")  # noqa: S608 - quoted
            continue
        elif key is not None and name == "events":
            listed = _masked_event(names, key, source, hide)
        elif key is not None and name == "event_log":
            shown = {column: f'{hide}("{column}") AS "{column}"' for column in FREE_TEXTS[name]}
            # the engine's notes name devices, whatever their ids look like
            shown["note"] = f"CASE WHEN actor = 'engine' THEN '' ELSE {hide}(note) END AS note"
            listed = ", ".join(shown.get(column, f'"{column}"') for column in names)
        statements.append(f"CREATE VIEW main.{name} AS SELECT {listed} FROM {origin} WHERE {where[name]}")  # noqa: S608 - quoted
    return statements


def _masked_event(names: Sequence[str], key: str, source: str, hide: str) -> str:
    """Columns of ``events``: positions coarse, a household device neither in place nor in what is written."""
    coarse = {name: f"round({name}, {DECIMALS}) AS {name}" for name in ("lon", "lat")}
    if "place" in names:
        home = f"SELECT device_id FROM {source}.points WHERE kind LIKE '{HOUSEHOLD_PREFIX}%'"  # noqa: S608 - quoted
        hidden = f"'{MASK_PREFIX}' || substr(sha256({text(key)} || place), 1, 16)"
        coarse["place"] = f"CASE WHEN place IN ({home}) THEN {hidden} ELSE place END AS place"
        coarse["title"] = (
            f"{hide}(CASE WHEN place IN ({home}) THEN replace(title, place, {hidden}) ELSE title END) AS title"
        )
    coarse |= {column: f'{hide}("{column}") AS "{column}"' for column in FREE_TEXTS["events"]}
    return ", ".join(coarse.get(name, f'"{name}"') for name in names)
