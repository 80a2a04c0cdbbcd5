"""The kernels once more with every index checked: a read or write outside an array raises instead of passing."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = """
import random, sys
import numpy as np
sys.path[:0] = [{root!r}, {here!r}]
import conftest as c
from numba import config
from ingest.identity import IdentityWindow
from ingest.payload import wide
from ingest.payload.index import PointIndex
from ingest.payload.judge import Bounds
from ingest.payload.routes import PayloadDecoder
from ingest.messages import Messages

assert config.BOUNDSCHECK
good = (b'[{{"id":"G1","seq":17,"ts":1795000000000,"ch4":1.25,"temp":1.8e-3}},'
        b'{{"q":1,"id":"G2","ts":1795000000000,"ch4":null}}]')
rng = random.Random(1)
payloads = [good[:i] for i in range(len(good) + 1)]
for _ in range(1500):
    b = bytearray(good)
    for _ in range(rng.randrange(1, 3)):
        b[rng.randrange(len(b))] = rng.choice(b'"\\\\{{}}[],:0 -.eE9x') if rng.random() < .7 else rng.randrange(256)
    payloads.append(bytes(b))
index = PointIndex(c.build_registry())
bounds = Bounds(c.NOW, c.NOW - 10**9, c.NOW + 10**6)
for p in payloads[: len(good) + 1] + payloads[-300:]:
    # alone in a buffer that ends with the message: nothing may be read behind it
    data = np.frombuffer(p, np.uint8)
    one = Messages(data, np.zeros(1, np.int64), np.array([len(p)], np.int32), data, np.zeros(1, np.int64),
                   np.zeros(1, np.int32), np.zeros(1, np.uint8))
    wide.decode(one, np.arange(1), index, bounds, "")
messages = c.build_messages(payloads)
fast = c.plain_part(wide.decode(messages, np.arange(len(payloads)), index, bounds, ""))
slow = c.plain_part(wide.decode_slowly(messages, range(len(payloads)), index, bounds, ""))
assert fast == slow
decoder = PayloadDecoder(c.Source(c.build_registry()), [("a/+", "senml"), ("lifeline/#", "lifeline")],
                         mark=IdentityWindow(7).mark)
batch = decoder.decode(messages, c.NOW, "city")
assert len(batch.readings) > 0 and batch.rejects.num_rows > 0
print("checked", len(payloads))
"""


@pytest.mark.slow
def test_no_index_leaves_its_array(tmp_path: Any) -> None:
    here = Path(__file__).parent
    environment = os.environ | {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(root=str(here.parents[1]), here=str(here))],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    assert "checked" in done.stdout
