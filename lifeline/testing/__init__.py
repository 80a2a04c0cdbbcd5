"""Public fakes with failure modes, and checkers that any implementation of a port must pass.

    MemoryLog     `ports.Log` in memory: hold, fail, heal, damage, crash
    MemoryDisk    a disk for the durable log that can lose power at any call
    FaultyDisk    fails, or writes short, at the k-th call
    check_log     what `ports.Log` promises, as a function

For tests and benchmarks; the engine never imports this package.
"""

from lifeline.testing.disks import Fault, FaultyDisk, MemoryDisk, PowerOffError
from lifeline.testing.log_contract import Acks, ContractError, all_records, check_log, sample_batch, tags
from lifeline.testing.memory_log import MemoryLog

__all__ = [
    "Acks",
    "ContractError",
    "Fault",
    "FaultyDisk",
    "MemoryDisk",
    "MemoryLog",
    "PowerOffError",
    "all_records",
    "check_log",
    "sample_batch",
    "tags",
]
