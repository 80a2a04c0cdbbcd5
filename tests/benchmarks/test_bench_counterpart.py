"""The other end of a benchmark: what it writes from two threads goes out packet by packet."""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from benchmarks.counterpart import Peer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simulators.wire import Packets

PACKET = b"\x30\xac\x02" + bytes(300)
COUNT = 60_000


@dataclass(frozen=True)
class Stream:
    """As ``Packets``: bytes, and where each packet begins."""

    data: NDArray[np.uint8]
    at: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of packets."""
        return len(self.at) - 1


def test_answers_to_pings_never_come_into_the_middle_of_a_packet() -> None:
    """A stream at QoS 0, read by one who pings all the while."""
    stream = Stream(np.frombuffer(PACKET * COUNT, np.uint8), np.arange(COUNT + 1) * len(PACKET))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours = listener.accept()[0]
    peer = Peer(1)
    peer._take_up(ours)
    peer._begin()

    def send() -> None:
        peer.send(cast("Packets", stream), 0, 0)
        ours.shutdown(socket.SHUT_WR)

    sending = threading.Thread(target=send)
    sending.start()
    parts = []
    while part := theirs.recv(1 << 16):
        parts.append(part)
        theirs.sendall(b"\xc0\x00")
    sending.join()
    theirs.close()
    peer._thread.join()
    ours.close()

    found = b"".join(parts)
    at = pongs = 0
    while at < len(found):
        assert found[at] in {0x30, 0xD0}, f"a packet begins with {found[at]:#x} at {at}"
        pongs += found[at] == 0xD0
        at += len(PACKET) if found[at] == 0x30 else 2
    assert pongs
