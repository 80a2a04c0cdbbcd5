"""The console: a process of its own that reads only durable files, so that nothing in it can stall the engine.

``app`` answers requests, ``page`` puts the one page together, ``sources`` reads the status file, ``server`` listens,
``terminal`` is the same news as one line for a terminal. Light to import: every part is imported where it is used.
"""
