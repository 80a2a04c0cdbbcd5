"""The one door to accounts, sessions and tokens. Each method is one transaction on the queue's database.

    door         database, clock, audit; tables brought up to date      rows   how rows are found, checked and shown
    signing_in   credential ──► principal; sessions                     bearer tokens
    keeping      accounts, grants, invitations

Whatever changes an account is audited in the same transaction (``audit``), so an act that cannot be audited fails.
Disabling an account ends its sessions and tokens with the same commit: every request looks its credential up again.
"""

from __future__ import annotations

from lifeline.identity.bearer import Bearer
from lifeline.identity.keeping import Keeping
from lifeline.identity.signing_in import SigningIn


class Accounts(SigningIn, Keeping, Bearer):
    """All of it; the arguments are those of ``Door``."""
