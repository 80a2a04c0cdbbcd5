"""The generated packets against the connection: the demanded reaction, whatever the chunking."""

from __future__ import annotations

import os
import random

import numpy as np
import pytest

from ingest.mqtt.connection import Connection
from ingest.mqtt.control import ConnectSettings, Subscription
from ingest.mqtt.phases import Phase
from tests.ingest_mqtt.fuzz import fuzz
from tests.ingest_mqtt.packets import ALIAS_MAX, PACKET_MAX, Case, all_cases

CASES = all_cases()
STATEMENTS: dict[str, list[Case]] = {}
"""The cases of a statement of the standard, in one version of it: a test each."""
for _case in CASES:
    STATEMENTS.setdefault(f"v{_case.version} {_case.name.partition(' ')[0]}", []).append(_case)
OPENING = {
    "new": {4: b"", 5: b""},
    "subscribing": {4: b"\x20\2\0\0", 5: b"\x20\3\0\0\0"},
    "open": {4: b"\x20\2\0\0\x90\3\0\1\1", 5: b"\x20\3\0\0\0\x90\4\0\1\0\1"},
}


class Driven:
    """A connection fed as a socket would, and what became of it."""

    def __init__(self, version: int) -> None:
        settings = ConnectSettings(
            "c", version, packet_bytes_max=PACKET_MAX, receive_maximum=8, topic_alias_maximum=ALIAS_MAX
        )
        self.connection = Connection(settings, (Subscription("lifeline/#", 1),), rows_max=64)
        self.connection.connect_bytes(0.0)
        self.buffer = np.zeros(PACKET_MAX + 80_000, np.uint8)
        self.filled = 0
        self.code: int | None = None
        self.messages: list[tuple[bytes, bytes]] = []
        self.refused: list[tuple[str, bytes]] = []
        self.sent = b""

    def feed(self, data: bytes) -> None:
        self.buffer[self.filled : self.filled + len(data)] = np.frombuffer(data, np.uint8)
        self.filled += len(data)
        more = True
        while more:
            found = self.connection.receive(self.buffer, self.filled, 1.0)
            messages = found.messages
            self.messages += [(messages.topic(i), messages.payload(i)) for i in range(len(messages))]
            self.refused += [(one.reason.name, one.topic) for one in found.refused]
            self.buffer[: self.filled - found.consumed] = self.buffer[found.consumed : self.filled].copy()
            self.filled -= found.consumed
            more = found.more
            if found.error is not None:
                assert self.code is None, "only one error ends a connection"
                self.code = int(found.error.code)
            self.connection.acknowledge(found.token)
        self.sent += self.connection.bytes_to_send(1.0)

    def result(self) -> tuple[object, ...]:
        closed = self.connection.phase is Phase.CLOSED
        return self.code, closed, self.messages, self.refused, self.sent


def drive(case: Case, chunking: str) -> Driven:
    driven = Driven(case.version)
    opening = OPENING[case.phase][case.version]
    if opening:
        driven.feed(opening)
        driven.sent = b""
    assert driven.code is None
    rng = random.Random(case.name)
    at = 0
    while at < len(case.data):
        size = {"whole": len(case.data), "byte by byte": 1, "random": rng.randint(1, 9)}[chunking]
        driven.feed(case.data[at : at + size])
        at += size
    return driven


@pytest.mark.parametrize("statement", STATEMENTS)
def test_reaction(statement: str) -> None:
    for case in STATEMENTS[statement]:
        driven = drive(case, "whole")
        closed = driven.connection.phase is Phase.CLOSED

        assert driven.code == case.code, case
        assert closed == (case.code is not None or case.ends), case
        if case.code is not None:
            goodbye = bytes([0xE0, 1, case.code]) if case.version == 5 else b""
            assert driven.sent.endswith(goodbye), case
            assert case.version == 5 or b"\xe0" not in driven.sent, f"3.1.1 has no reason to give: 3.14, {case}"
        assert drive(case, "byte by byte").result() == driven.result(), case
        assert drive(case, "random").result() == driven.result(), case


def test_the_generator_covers_what_a_client_receives() -> None:
    """Every type in both versions and every property of table 2-4 are among the cases."""
    assert sum(map(len, STATEMENTS.values())) == len(CASES) > 2500
    for version in (4, 5):
        first = {case.data[0] >> 4 for case in CASES if case.version == version}
        assert first == set(range(16))


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_mutated_streams_never_do_anything_else_m08() -> None:
    """The fuzz target over its corpus: some thousand streams here, ten minutes of them in the soak."""
    seed = int(os.environ.get("LIFELINE_SEED") or random.SystemRandom().randrange(1 << 32))
    soak_s = "600" if os.environ.get("LIFELINE_SOAK") == "1" else "0"
    seconds = float(os.environ.get("LIFELINE_FUZZ_S", soak_s))
    done, lived = fuzz(seed, seconds) if seconds else fuzz(seed, 60.0, 3000)
    print(f"\nfuzz: seed {seed}, {done:,} streams, {lived:,} connections lived, 0 crashes")
    assert done >= 1000
    assert 0 < lived < done
