"""Whether the queue's rows can be what the queue wrote: pages of SQLite have no checksums, so rows are held together.

    cells    each value by itself: type, length, words of a closed list, JSON, times, text
    retell   an event told again by the lines of its log and its alarms
    streams  rows in the order of their keys, held by nobody
    events   each against its log, alarms, escalations, places, reports, timers; then the sums of all
    alarms   each against its log and itself
    acts     both logs against the audit
    rows     all of it, over one connection

What is found is in words that name table, key and column. What nothing repeats (the number of a reading, a title, a
description) is seen only where a damaged value cannot be one: docs/durability.md tells how much that is.
"""
