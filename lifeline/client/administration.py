"""Emergencies, commands to devices, accounts and tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lifeline.client.connection import Connection, Row, given, in_path, once

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Administration(Connection):
    """What dispatchers and keepers of a site do beside the queue."""

    # --- emergencies and commands ------------------------------------------------------------------------------

    def emergencies(self, *, state: str | None = None, area: str | None = None, page: int = 100) -> Iterator[Row]:
        """Emergencies (平急), newest first; ``state``: running or ended."""
        return self._pages("/emergencies", "emergencies", {"state": state, "area": area}, page)

    def emergency(self, emergency_id: int) -> Row:
        """One; once it is over with its ``review``."""
        return self._json("GET", f"/emergencies/{emergency_id}")

    def start_emergency(
        self,
        area_code: str,
        reason: str,
        *,
        hours: float | None = None,
        until: int | None = None,
        key: str | None = None,
    ) -> Row:
        """Put an area into emergency mode for so many hours (2 if not said), or until a time (epoch ms)."""
        body = given({"area_code": area_code, "reason": reason, "hours": hours, "until": until})
        return self._json("POST", "/emergencies", json=body, headers=once(key))

    def end_emergency(self, emergency_id: int, reason: str) -> Row:
        """End one before its time; with its ``review``."""
        return self._json("POST", f"/emergencies/{emergency_id}/end", json={"reason": reason})

    def command(self, device: str, action: str, *, key: str | None = None, **fields: Any) -> Row:
        """Ask a device: ``sample-faster`` (``interval_s``, ``for_s``), ``inspect-valve``; ``event_id``, ``reason``."""
        return self._json(
            "POST", f"/devices/{in_path(device)}/commands", json={"action": action, **fields}, headers=once(key)
        )

    def commands(
        self, *, device: str | None = None, event_id: str | None = None, status: str | None = None, page: int = 100
    ) -> Iterator[Row]:
        """Commands with their replies, newest first."""
        filters = {"device": device, "event_id": event_id, "status": status}
        return self._pages("/commands", "commands", filters, page)

    def command_state(self, command_id: str) -> Row:
        """One command: queued, sent, done, refused or expired, with its ``reply``."""
        return self._json("GET", f"/commands/{command_id}")

    # --- policy, units, responsibility matrix (changed by admin, and dispatchers of the whole city) -----------------

    def setting(self, name: str) -> Row:
        """``policy`` (``text``, TOML), ``units`` or ``duties`` (``rows``) in force, with its ``version``."""
        return self._json("GET", f"/settings/{name}")

    def setting_versions(self, name: str, page: int = 100) -> Iterator[Row]:
        """Every version, newest first: who, when, why."""
        return self._pages(f"/settings/{name}/versions", "versions", {}, page)

    def setting_version(self, name: str, version: int) -> Row:
        """One version with its content."""
        return self._json("GET", f"/settings/{name}/versions/{version}")

    def set_policy(self, text: str, reason: str, *, version: int) -> Row:
        """Put a policy into force from now on; ``version``: the one you saw (else ``ChangedError``)."""
        body = {"text": text, "reason": reason}
        return self._json("PUT", "/settings/policy", json=body, headers={"If-Match": f'"{version}"'})

    def set_rows(self, name: str, rows: Sequence[Row], reason: str, *, version: int) -> Row:
        """Make these all the ``units``, or the whole matrix (``duties``); ``version``: the one you saw."""
        body = {"rows": list(rows), "reason": reason}
        return self._json("PUT", f"/settings/{name}", json=body, headers={"If-Match": f'"{version}"'})

    # --- accounts and tokens (role security) -------------------------------------------------------------------

    def accounts(self, page: int = 200) -> Iterator[Row]:
        """Every account by name, without secrets."""
        return self._pages("/accounts", "accounts", {}, page)

    def add_account(
        self, name: str, grants: Sequence[Row], *, grade: str = "general", display: str = "", key: str | None = None
    ) -> Row:
        """A new account (``grants``: [{role, areas, utilities}]) with a one-time ``link`` for its owner."""
        body = {"name": name, "grants": list(grants), "grade": grade, "display": display}
        return self._json("POST", "/accounts", json=body, headers=once(key))

    def set_grants(self, name: str, grants: Sequence[Row], grade: str, *, version: str | None = None) -> Row:
        """Replace what an account may; ``version``: refuse when its rights have changed since (``ChangedError``)."""
        headers = {} if version is None else {"If-Match": f'"{version}"'}
        body = {"grants": list(grants), "grade": grade}
        return self._json("PUT", f"/accounts/{name}/grants", json=body, headers=headers)

    def disable_account(self, name: str) -> Row:
        """Close an account for good."""
        return self._json("POST", f"/accounts/{name}/disable")

    def invite(self, name: str) -> Row:
        """A fresh one-time ``link`` with which the owner chooses a password."""
        return self._json("POST", f"/accounts/{name}/invitation")

    def tokens(self, account: str | None = None, page: int = 200) -> Iterator[Row]:
        """Tokens, newest first, without secrets."""
        return self._pages("/tokens", "tokens", {"account": account}, page)

    def create_token(self, account: str, *, key: str | None = None, **limits: Any) -> Row:
        """A token, told in this answer only; ``limits``: label, days, roles, areas, utilities."""
        return self._json("POST", "/tokens", json={"account": account, **limits}, headers=once(key))

    def revoke_token(self, token_id: str) -> Row:
        """Revoke a token by its id."""
        return self._json("POST", f"/tokens/{token_id}/revoke")
