"""What the kernel takes from a process before it runs somebody's query. Linux; each layer says whether it holds.

    namespaces   user and network: no interface to talk through, no privileges over files    (unshare)
    landlock     only the lake and the program's own libraries can be read, nothing written  (Linux 5.13; TCP from 6.7)
    limits       no byte written, bounded memory, CPU seconds, open files; no core dump      (setrlimit)
    no new privileges, no debugger                                                           (prctl)

Where a kernel lacks a layer the others stand: DuckDB's own locks and the check of the statement are always there.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

ADDRESS_BYTES: Final = 6 << 30
"""Room for DuckDB's memory limit, Arrow's copy of the result and what libraries map."""
FILES_MAX: Final = 1_024

_CLONE_NEWUSER: Final = 0x1000_0000
_CLONE_NEWNET: Final = 0x4000_0000
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_READ: Final = (1 << 2) | (1 << 3)  # files, directories
_FS_BITS: Final = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many kinds of access to files each version of Landlock knows; later ones know as many as the fifth."""


def without_network() -> bool:
    """Leave the network and the privileges of root behind. Call before any thread is started."""
    if not sys.platform.startswith("linux"):
        return False
    return int(_libc().unshare(_CLONE_NEWUSER | _CLONE_NEWNET)) == 0


def confine(readable: Sequence[Path], cpu_s: int) -> dict[str, bool]:
    """Give up everything that reading ``readable`` does not need; which layers hold.

    For good: there is no way back, and children inherit it.
    """
    for kind, bound in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_NOFILE, FILES_MAX),
        (resource.RLIMIT_AS, ADDRESS_BYTES),
    ):
        hard = resource.getrlimit(kind)[1]
        limit = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(kind, (limit, limit))
    if not sys.platform.startswith("linux"):
        return {"limits": True, "landlock": False}
    libc = _libc()
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    privileges = libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    return {"limits": True, "privileges": privileges, "landlock": privileges and _landlock(libc, readable)}


def _landlock(libc: ctypes.CDLL, readable: Sequence[Path]) -> bool:
    version = libc.syscall(_CREATE_RULESET, None, 0, 1)
    if version < 1:
        return False
    handled = (1 << _FS_BITS.get(version, 16)) - 1
    network = 3 if version >= 4 else 0  # bind, connect
    scoped = 3 if version >= 6 else 0  # abstract sockets, signals
    size = 8 if version < 4 else 16 if version < 6 else 24
    attributes = struct.pack("=QQQ", handled, network, scoped)[:size]
    ruleset = libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:
        return False
    try:
        for path in readable:
            try:
                descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except OSError:
                continue
            allowed = _READ if path.is_dir() else 1 << 2
            rule = struct.pack("=Qi", allowed, descriptor)
            failed = libc.syscall(_ADD_RULE, ruleset, 1, rule, 0) != 0
            os.close(descriptor)
            if failed:
                return False
        return int(libc.syscall(_RESTRICT_SELF, ruleset, 0)) == 0
    finally:
        os.close(ruleset)


def libraries() -> list[Path]:
    """Where this program's own code lies: modules that are imported late must still be found."""
    places = {Path(sys.prefix), Path(sys.base_prefix), Path(__file__).resolve().parents[2]}
    places |= {Path(entry) for entry in sys.path if entry}
    # DuckDB looks up how much memory it may use, and cannot bear to be refused
    bounds = (Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))
    return [*sorted(places), Path("/usr/share/zoneinfo"), Path("/dev/null"), *bounds]


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
