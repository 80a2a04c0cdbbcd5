"""The people's door: reading the queue and acting on it, from the console and the command line.

Any process may open a desk while the engine runs: reads see one committed moment and block nobody, acts take turns
with the engine. Every method is one transaction; acts on events that come at once share one. Methods may be called
from any thread.
"""

from __future__ import annotations

from lifeline.governance.desks.alarms import AlarmDesk
from lifeline.governance.desks.emergencies import EmergencyDesk
from lifeline.governance.desks.events import EventDesk
from lifeline.governance.desks.exports import ExportDesk
from lifeline.governance.desks.outgoing import OutgoingDesk
from lifeline.governance.desks.records import RecordDesk
from lifeline.governance.desks.settings import SettingDesk


class GovernanceDesk(EventDesk, AlarmDesk, EmergencyDesk, SettingDesk, RecordDesk, OutgoingDesk, ExportDesk):
    """A desk on the database at ``url``, which must exist (the engine makes it). Times are epoch ms everywhere.

    Raises:
        ConfigurationError, UnavailableError, CorruptionError: as ``Database``.
    """
