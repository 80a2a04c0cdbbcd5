"""The governance queue: alarms folded into events, and the closed loop that people walk each event through.

    rules follower ── apply(changes, position) ──► queue ──┐
                                                           ├──► one database, one writer at a time
    console, command line ── act(), list_…() ────► desk ───┘              │
                                                                          └──► export: Arrow tables for the catalog

``states`` is the law (one transition table), ``fold`` the arithmetic (pure), ``database`` the door to SQLite or
PostgreSQL, ``books`` audit and outbox, ``outgoing`` who is told, ``events`` and ``alarms`` the statements, ``queue``
and ``desk`` the two doors.
"""
