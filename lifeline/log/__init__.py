"""The durable log: Arrow records in checksummed segments, group commit, recovery, verification.

segment   the format: bytes <-> records, pure
message   readings as Arrow's messages, by hand where they are small, pure
scan      what a segment's bytes hold, and whether damage is an interrupted write or a loss, pure
files     the only module that touches the disk
store     segments in a directory: recover, commit a group, read, roll, trim (synchronous, one writer)
tail      the newest records in memory, for readers who keep up
local     `LocalLog`: the store behind `lifeline.core.ports.Log`, with one writer thread
verify    checks a directory, also beside a running engine
"""

from lifeline.log.local import LocalLog
from lifeline.log.recovery import Recovery
from lifeline.log.tail import TAIL_BYTES
from lifeline.log.verify import BadPlace, VerifyReport, verify

__all__ = ["TAIL_BYTES", "BadPlace", "LocalLog", "Recovery", "VerifyReport", "verify"]
