"""The fuzz target: mutated streams of packets, cut anywhere, never do anything but what is documented.

    corpus   every generated packet (``packets.all_cases``), alone and in rows
    mutate   flip, insert, delete, repeat, splice with another; lengths included
    demand   no exception; the same end in two chunkings; nothing is held beyond the buffer; each call takes no time

``LIFELINE_FUZZ_S=3600 pytest -s tests/ingest_mqtt/test_mqtt_generated.py -k mutated`` runs it for an hour.
"""

from __future__ import annotations

import random
import sys
import time
from typing import Final

import numpy as np

from ingest.mqtt.connection import Connection
from ingest.mqtt.control import ConnectSettings, Subscription
from ingest.mqtt.phases import Phase
from tests.ingest_mqtt.packets import Case, all_cases

PACKET_MAX: Final = 4096
BUFFER: Final = np.zeros(PACKET_MAX + 80_000, np.uint8)
STREAM_MAX: Final = 6000
CALL_S_MAX: Final = 1.0
"""A hang, not slowness: a call takes microseconds."""


def mutate(rng: random.Random, corpus: list[Case]) -> tuple[int, str, bytes]:
    """Version, phase and a stream."""
    first = rng.choice(corpus)
    data = bytearray(first.data)
    for _ in range(rng.randint(0, 4)):
        data += rng.choice(corpus).data
    for _ in range(rng.choice((0, 1, 1, 2, 5))):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(5):
            case 0 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                data[at:at] = rng.randbytes(rng.randint(1, 4))
            case 2:
                del data[at : at + rng.randint(1, 4)]
            case 3:
                data[at:at] = data[at : at + rng.randint(1, 30)]
            case _ if at < len(data):
                data[at] = rng.choice((0, 1, 127, 128, 255))
    return first.version, first.phase, bytes(data[:STREAM_MAX])


def run(version: int, phase: str, chunks: list[bytes]) -> tuple[object, ...]:
    """What a connection makes of the chunks."""
    settings = ConnectSettings("c", version, packet_bytes_max=PACKET_MAX, receive_maximum=8, topic_alias_maximum=2)
    connection = Connection(settings, (Subscription("lifeline/#", 1),), rows_max=32)
    connection.connect_bytes(0.0)
    opening = {"new": 0, "subscribing": 1, "open": 2}[phase]
    hello = (b"\x20\2\0\0", b"\x90\3\0\1\1") if version == 4 else (b"\x20\3\0\0\0", b"\x90\4\0\1\0\1")
    filled, messages, refused, code, sent = 0, [], [], None, b""
    for chunk in [*hello[:opening], *chunks]:
        BUFFER[filled : filled + len(chunk)] = np.frombuffer(chunk, np.uint8)
        filled += len(chunk)
        more = True
        while more:
            began = time.perf_counter()
            found = connection.receive(BUFFER, filled, 1.0)
            assert time.thread_time() - began < CALL_S_MAX, "a hang"
            assert 0 <= found.consumed <= filled
            messages += [(found.messages.topic(i), found.messages.payload(i)) for i in range(len(found.messages))]
            refused += [(one.reason, one.topic, one.payload) for one in found.refused]
            assert all(len(payload) <= PACKET_MAX for _, _, payload in refused[-len(found.refused) :])
            if found.error is not None:
                code = int(found.error.code)
            connection.acknowledge(found.token)
            BUFFER[: filled - found.consumed] = BUFFER[found.consumed : filled].copy()
            filled -= found.consumed
            more = found.more
            assert not more or found.consumed, "no progress"
        assert filled <= PACKET_MAX + 70_000, "held beyond one packet"
        sent += connection.bytes_to_send(1.0)
    # what arrived before an error in the same receive is not acknowledged any more, so PUBACKs depend on the chunking
    return code, connection.phase is Phase.CLOSED, messages, refused, without_pubacks(sent)


def without_pubacks(sent: bytes) -> bytes:
    """The packets that are no PUBACK; all of ours here are shorter than 128 bytes."""
    kept = b""
    while sent:
        size = 2 + sent[1]
        kept += b"" if sent[0] == 0x40 else sent[:size]
        sent = sent[size:]
    return kept


def once(rng: random.Random, corpus: list[Case]) -> bool:
    """One mutated stream in two chunkings; whether the connection lived."""
    version, phase, data = mutate(rng, corpus)
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randint(0, 6)))
    chunks = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True) if a < b]
    whole, parts = run(version, phase, [data] if data else []), run(version, phase, chunks)
    assert whole == parts, f"v{version} {phase} {data.hex()} cut at {cuts}"
    return not whole[1]


def fuzz(seed: int, seconds: float, executions_max: int = sys.maxsize) -> tuple[int, int]:
    """(executions, connections that lived)."""
    rng, corpus = random.Random(seed), all_cases()
    until, done, lived = time.monotonic() + seconds, 0, 0
    while time.monotonic() < until and done < executions_max:
        lived += once(rng, corpus)
        done += 1
    return done, lived
