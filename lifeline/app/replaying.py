"""Judging rejects again: the engine's side of ``lifeline rejects replay``.

    command line ──► state/replay/ID.arrow ──► engine: decode, append, fsync ──► ID.done (counts, ``still``: the
                                                                                 rows still wrong) ──► command line

The file is removed only after the commit, and the name of a request is the digest of what it holds: a crash between the
two repeats the request, and the readings are then recognised as repeats. The running engine does it because it owns the
log; without one the command line opens the log itself and serves its own request.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pyarrow as pa

from ingest.messages import Messages
from lifeline.app.clock import now_ms
from lifeline.core.errors import UnavailableError
from lifeline.core.limits import REJECT_PAYLOAD_BYTES
from lifeline.files import write_atomic

if TYPE_CHECKING:
    from pathlib import Path

    from ingest.messages import Decoder
    from lifeline.core.batch import IngestBatch
    from lifeline.core.ports import Log

REPLAY_BROKER = "replay"
"""``broker`` of rejects that were judged again and are still wrong."""


class ReplayDesk:
    """Serves the requests that lie in a folder."""

    def __init__(self, folder: Path, decoder: Decoder, log: Log) -> None:
        self._folder = folder
        self._decoder = decoder
        self._log = log

    def serve(self) -> None:
        """Answer every waiting request.

        Raises:
            UnavailableError: the log refuses; the requests stay.
        """
        if not self._folder.exists():
            return
        for request in sorted(self._folder.glob("*.arrow")):
            with pa.ipc.open_file(pa.BufferReader(request.read_bytes())) as reader:
                rejects = reader.read_all()
            report = self._judge(rejects)
            write_atomic(request.with_suffix(".done"), orjson.dumps(report))
            request.unlink()

    def _judge(self, rejects: pa.Table) -> dict[str, Any]:
        rows = rejects.to_pylist()
        whole = [i for i, row in enumerate(rows) if len(row["payload"]) < REJECT_PAYLOAD_BYTES]
        report: dict[str, Any] = {"tried": len(whole), "incomplete": len(rows) - len(whole), "accepted": 0}
        batch = self._decoder.decode(as_messages([rows[i] for i in whole]), now_ms(), REPLAY_BROKER)
        still, news = _still_wrong(batch.rejects, {(rows[i]["topic"], rows[i]["payload"]) for i in whole})
        report["still"] = [i for i in whole if (rows[i]["topic"], rows[i]["payload"]) in still]
        report["rejected"] = len(report["still"]) + (0 if news is None else news.num_rows)
        if len(batch.readings) or news is not None:
            self._commit(replace(batch, rejects=news))
            report["accepted"] = len(batch.readings.unique())
        return report

    def _commit(self, batch: IngestBatch) -> None:
        done = threading.Event()
        errors: list[BaseException] = []

        def committed(error: BaseException | None) -> None:
            if error is not None:
                errors.append(error)
            done.set()

        self._log.append(batch, committed)
        done.wait()
        if errors:
            raise UnavailableError(f"replay: {errors[0]}") from errors[0]


def _still_wrong(
    rejects: pa.RecordBatch | None, asked: set[tuple[str, bytes]]
) -> tuple[set[tuple[str, bytes]], pa.RecordBatch | None]:
    """What of ``asked`` is refused again as it stands, and the rejects that say something new (None: none).

    What is refused again lies in the rejects already: another row each time somebody tries would bury the rest.
    """
    if rejects is None:
        return set(), None
    keys = list(zip(rejects["topic"].to_pylist(), rejects["payload"].to_pylist(), strict=True))
    repeat = [reason == "duplicate" for reason in rejects["reason"].to_pylist()]  # it is in the log: done
    still = {key for key, done in zip(keys, repeat, strict=True) if key in asked and not done}
    news = rejects.filter(pa.array([key not in asked and not done for key, done in zip(keys, repeat, strict=True)]))
    return still, news if news.num_rows else None


def as_messages(rows: list[dict[str, Any]]) -> Messages:
    """Rejects (``topic``, ``payload``) as if a broker had just sent them."""
    topics = [row["topic"].encode() for row in rows]
    payloads = [row["payload"] for row in rows]
    topic_len = np.array([len(topic) for topic in topics], np.int32)
    payload_len = np.array([len(payload) for payload in payloads], np.int32)

    def starts(lengths: np.ndarray[Any, np.dtype[np.int32]]) -> np.ndarray[Any, np.dtype[np.int64]]:
        return np.concatenate([[0], np.cumsum(lengths[:-1])]).astype(np.int64)

    return Messages(
        buffer=np.frombuffer(b"".join(payloads), np.uint8),
        payload_start=starts(payload_len),
        payload_len=payload_len,
        topic_buffer=np.frombuffer(b"".join(topics), np.uint8),
        topic_start=starts(topic_len),
        topic_len=topic_len,
        retain=np.zeros(len(rows), np.uint8),
    )
