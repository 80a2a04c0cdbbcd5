"""The governance queue: alarms folded into events, and the closed loop that people walk each event through.

    rules follower ── apply(changes, position) ──► queue ──┐
                                                           ├──► one SQLite database, one writer at a time
    console, command line ── act(), list_…() ────► desk ───┘              │
                                                                          └──► export: Arrow tables for the catalog

``states`` is the law (one transition table), ``fold`` the arithmetic (pure), ``database`` the only module that
opens files, ``events`` and ``alarms`` the statements, ``queue`` and ``desk`` the two doors.
"""
