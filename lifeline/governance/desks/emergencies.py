"""Normal and emergency: switching, reviews, and what an emergency changes meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lifeline.governance import idempotency, modes, switching
from lifeline.governance.desks.base import BaseDesk
from lifeline.governance.settings import current_policy

if TYPE_CHECKING:
    from lifeline.core.override import ParameterSpan
    from lifeline.governance.actor import Actor

Row = dict[str, Any]


class EmergencyDesk(BaseDesk):
    """Normal and emergency: switching, reviews, and what an emergency changes meanwhile."""

    def start_emergency(
        self, area: str, until: int | None, reason: str, actor: Actor, *, hours: float = 0.0, key: str | None = None
    ) -> Row:
        """Put an area into emergency mode until a time, or (None) for so many hours; as ``switching.switch_on``.

        ``key``: idempotency key; the same request with it again gives what the first one began.
        """
        digest = idempotency.digest_of("emergency", area, until, reason, hours)
        with (
            self._refused_is_audited(actor, "mode", f"mode/{area}", "configuration"),
            self._database.write() as connection,
        ):
            known = idempotency.known(connection, actor.id, key, digest)
            if known is not None:
                return modes.get_mode(connection, int(known))
            now_ms = self._clock()
            end = now_ms + round(hours * 3_600_000) if until is None else until
            policy = current_policy(connection)
            row = switching.switch_on(
                connection, area, end, reason, actor, now_ms, policy=policy, journal=self._journal
            )
            idempotency.remember(connection, actor.id, key, digest, str(row["entry"]), now_ms)
            return row

    def end_emergency(self, area: str, reason: str, actor: Actor) -> Row:
        """End an area's emergency; the row has the review; as ``switching.switch_off``."""
        with (
            self._refused_is_audited(actor, "mode", f"mode/{area}", "configuration"),
            self._database.write() as connection,
        ):
            policy = current_policy(connection)
            return switching.switch_off(
                connection, area, reason, actor, self._clock(), policy=policy, journal=self._journal
            )

    def list_emergencies(self, **filters: Any) -> tuple[list[Row], str | None]:
        """A page of emergencies past and present, newest first; filters as ``modes.list_modes``."""
        with self._database.read() as connection:
            return modes.list_modes(connection, **filters)

    def get_emergency(self, entry: int) -> Row:
        """One emergency with settings and review."""
        with self._database.read() as connection:
            return modes.get_mode(connection, entry)

    def emergency_readers(self) -> list[modes.Readers]:
        """Who may read more because of an emergency."""
        with self._database.read() as connection:
            return modes.readers(connection, self._clock())

    def rule_spans(self) -> list[ParameterSpan]:
        """For which readings emergencies set rule parameters, now and before; as ``modes.spans``."""
        with self._database.read() as connection:
            return modes.spans(connection)
