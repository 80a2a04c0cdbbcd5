"""``sinks``: who is told of events, and how far each has been told."""

from __future__ import annotations

from lifeline.cli.output import DEFAULT_CONFIG, AsJson, ConfigFile, failures, print_json, site_zone, table

COLUMNS = [
    "name",
    "waiting",
    "delivered",
    "given_up",
    "attempts",
    "failing_since",
    "next_at",
    "disabled_at",
    "last_error",
]


def show(*, config: ConfigFile = DEFAULT_CONFIG, json: AsJson = False) -> None:
    """Where every `[[sink]]` stands: what waits, attempts, the last error (事件外发状态)."""
    from lifeline.app.queue import open_desk

    with failures(as_json=json), open_desk(config) as desk:
        rows = desk.list_sinks()
        if json:
            print_json({"sinks": rows})
        else:
            table("", COLUMNS, rows, empty="No sink is configured: [[sink]] in lifeline.toml.", zone=site_zone(config))
