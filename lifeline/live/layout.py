"""The file of last values: a page of header, then 32 bytes a point.

```
 0     magic   8 bytes "LLLIVE01"
 8     points  u64   records that follow
 16    position u64  lsn of the last record applied (what a reader sees is at least this new)
 24    durable u64   lsn up to which the records are on disk: where a restarted writer goes on
 4096  record 0, record 1, ...

 record: version u32 | quality u8 | flags u8 | 2 unused | ts i64 | received_at i64 | value f64
```

``version`` is a sequence lock: 0 never written, odd while being written, even when whole. A record lies within one
cache line and one page, so a power cut leaves it old or new. Numbers are in the machine's byte order.
"""

from __future__ import annotations

from typing import Final

import numpy as np

MAGIC: Final = b"LLLIVE01"
HEADER_BYTES: Final = 4096

HEADER: Final = np.dtype([("magic", "S8"), ("points", "u8"), ("position", "u8"), ("durable", "u8")])
RECORD: Final = np.dtype(
    [
        ("version", "u4"),
        ("quality", "u1"),
        ("flags", "u1"),
        ("unused", "u2"),
        ("ts", "i8"),
        ("received_at", "i8"),
        ("value", "f8"),
    ]
)
"""32 bytes."""


def file_bytes(points: int) -> int:
    """Length of a file of so many points."""
    return HEADER_BYTES + points * RECORD.itemsize
