"""The client: events, alarms, readings, figures; what keepers of a site need besides is in ``administration``."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import httpx

from lifeline.client.administration import Administration
from lifeline.client.connection import Row, given, in_path, once
from lifeline.client.errors import TooFastError, error_of

if TYPE_CHECKING:
    from collections.abc import Iterator

STREAM_SILENCE_S: Final = 45.0
"""Three missed signs of life: the stream is dead and begun anew."""


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the event log, from the stream."""

    entry: int
    """Pass the last one to ``changes(after=…)`` to go on after a restart."""
    at: int
    actor: str
    role: str
    action: str
    from_status: str | None
    to_status: str
    event: Row


class Lifeline(Administration):
    """The API at ``url``, with a bearer token of ``lifeline token create``.

    Raises from every method: ``ApiError`` and its kinds; ``httpx.TransportError`` when nobody answers.
    """

    # --- events and alarms -------------------------------------------------------------------------------------

    def events(
        self,
        *,
        status: str | list[str] | None = None,
        level: str | list[str] | None = None,
        area: str | None = None,
        utility: str | None = None,
        since: int | str | None = None,
        page: int = 200,
    ) -> Iterator[Row]:
        """Events, newest first, page after page; stop whenever you have enough."""
        filters = {"status": status, "level": level, "area": area, "utility": utility, "since": since}
        return self._pages("/events", "events", filters, page)

    def event(self, event_id: str) -> Row:
        """One event with ``alarms``, ``log`` and the ``actions`` that you may take now."""
        return self._json("GET", f"/events/{event_id}")

    def act(
        self, event_id: str, action: str, *, version: int | None = None, key: str | None = None, **fields: Any
    ) -> Row:
        """Take an action; the event afterwards.

        ``version``: refuse when the event has moved on since (``ChangedError``); ``key``: your own idempotency key, by
        default a fresh one, so that the repeats of this call are one act.
        """
        headers = once(key)
        if version is not None:
            headers["If-Match"] = f'"{version}"'
        return self._json("POST", f"/events/{event_id}/actions/{action}", json=fields, headers=headers)

    def report(self, *, source: str, description: str, key: str | None = None, **fields: Any) -> Row:
        """Report to the queue: ``{event_id, report_id, merged, distance_m}``; ``fields`` as in the API's ``Report``."""
        body = {"source": source, "description": description, **fields}
        return self._json("POST", "/events", json=body, headers=once(key))

    def alarms(
        self,
        *,
        state: str | list[str] | None = None,
        rule: str | None = None,
        event_id: str | None = None,
        area: str | None = None,
        utility: str | None = None,
        since: int | str | None = None,
        page: int = 200,
    ) -> Iterator[Row]:
        """Alarms, newest first."""
        filters = {"state": state, "rule": rule, "event_id": event_id, "area": area, "utility": utility, "since": since}
        return self._pages("/alarms", "alarms", filters, page)

    def act_alarm(self, alarm_id: str, action: str, **fields: Any) -> Row:
        """ack, shelve (``note``, ``minutes``), suppress (``note``) …; the alarm afterwards."""
        return self._json("POST", f"/alarms/{alarm_id}/actions/{action}", json=fields)

    def escalations(self, after: int = 0, *, centre: str | None = None, page: int = 200) -> Iterator[Row]:
        """The supervision feed: reminders and overdue steps after a number, in order, up to the newest."""
        following: int | None = after
        while following is not None:
            asked = {"after": following, "centre": centre, "limit": page}
            found = self._json(
                "GET", "/escalations", params={name: one for name, one in asked.items() if one is not None}
            )
            yield from found["escalations"]
            following = found["next"]

    def proposal(self, event_id: str) -> Row:
        """Which unit should handle an event, and why."""
        return self._json("GET", f"/events/{event_id}/proposal")

    def changes(self, after: int | None = None) -> Iterator[Change]:
        """Changes of events as they are committed, for ever; reconnects by itself and misses nothing.

        ``after``: the ``entry`` of the last change you have handled; None: from now on.
        """
        while True:
            headers = {} if after is None else {"Last-Event-ID": str(after)}
            wait_s = 1.0
            try:
                with self._http.stream("GET", "/stream", headers=headers, timeout=STREAM_SILENCE_S) as answer:
                    if answer.status_code >= 400:
                        answer.read()
                        raise error_of(answer)
                    for line in answer.iter_lines():
                        if line.startswith("id: "):
                            after = int(line[4:])
                        elif line.startswith("data: "):
                            body = json.loads(line[6:])
                            yield Change(**{name: body[name] for name in Change.__slots__})
            except httpx.TransportError:
                pass
            except TooFastError as error:
                wait_s = max(1.0, error.retry_after_s)
            time.sleep(wait_s)

    # --- readings ----------------------------------------------------------------------------------------------

    def points(
        self,
        *,
        device: str | None = None,
        quantity: str | None = None,
        utility: str | None = None,
        kind: str | None = None,
        area: str | None = None,
        page: int = 1000,
    ) -> Iterator[Row]:
        """Points by number."""
        filters = {"device": device, "quantity": quantity, "utility": utility, "kind": kind, "area": area}
        return self._pages("/points", "points", filters, page)

    def readings(
        self,
        device: str,
        quantity: str,
        *,
        start: int | str | None = None,
        end: int | str | None = None,
        max_points: int = 2000,
    ) -> Row:
        """Readings of one point as ``[[epoch ms, value], …]``, thinned to minimum and maximum beyond ``max_points``."""
        return self._json(
            "GET",
            f"/points/{in_path(device)}/{in_path(quantity)}/readings",
            params=given({"from": start, "to": end, "max_points": max_points}),
        )

    def live_arrow(self) -> bytes:
        """Every last value as an Arrow IPC stream: ``pyarrow.ipc.open_stream(data).read_all()``."""
        return self._send("GET", "/live", headers={"Accept": "application/vnd.apache.arrow.stream"}).content

    def areas(self, *, level: str | None = None, parent: str | None = None) -> Iterator[Row]:
        """Areas by code."""
        return self._pages("/areas", "areas", {"level": level, "parent": parent}, 1000)

    def sql(self, query: str, *, rows_max: int = 10_000) -> Row:
        """One SELECT over the views of the catalog: ``{columns, types, rows}``."""
        return self._json("POST", "/sql", json={"sql": query, "rows_max": rows_max})

    def kpi(self, *, start: str | None = None, end: str | None = None, by: str | None = None, **filters: Any) -> Row:
        """Key figures of local days (``2026-11-01``)."""
        return self._json("GET", "/kpi", params=given({"from": start, "to": end, "by": by, **filters}))

    def audit_proof(self, entry: int, *, size: int | None = None) -> Row:
        """That an entry is in the audit: ``{entry, leaf, size, root, proof}`` in hexadecimal (RFC 9162)."""
        return self._json("GET", f"/audit/{entry}/proof", params=given({"size": size}))

    def audit_consistency(self, older: int, *, size: int | None = None) -> Row:
        """That the audit begins with an older one: ``{older, older_root, size, root, proof}``."""
        return self._json("GET", "/audit/consistency", params=given({"older": older, "size": size}))

    def me(self) -> Row:
        """Who the token is, and what it may."""
        return self._json("GET", "/me")
