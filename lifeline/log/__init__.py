"""The durable log: Arrow records in checksummed segments, group commit, recovery, verification.

segment   the format: bytes <-> records, pure
scan      what a segment's bytes hold, and whether damage is an interrupted write or a loss, pure
files     the only module that touches the disk
store     segments in a directory: recover, commit a group, read, roll, trim (synchronous, one writer)
local     `LocalLog`: the store behind `lifeline.core.ports.Log`, with one writer thread
verify    checks a directory, also beside a running engine
"""

from lifeline.log.local import LocalLog
from lifeline.log.recovery import Recovery
from lifeline.log.verify import BadPlace, VerifyReport, verify

__all__ = ["BadPlace", "LocalLog", "Recovery", "VerifyReport", "verify"]
