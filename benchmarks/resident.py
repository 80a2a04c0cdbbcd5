"""What a process holds: its resident set as the kernel counts it, noted each second.

``latency``, ``recovery``, ``engine`` and ``soak`` tell it the same way, of the engine's process alone (no console runs
beside it): ``rss_mib`` is the highest it ever was, its start included (VmHWM), and carries the target;
``rss_median_mib`` is the median of a second's samples, what it holds for most of the time.
"""

from __future__ import annotations

import statistics
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

import psutil

from benchmarks.harness import Figure

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

SAMPLE_S: Final = 1.0
TARGET_MIB: Final = 1024


def figures(highest_mib: float, median_mib: float) -> dict[str, Figure]:
    """The two figures, by name."""
    return {
        "rss_mib": Figure(highest_mib, "MiB", TARGET_MIB, "lower"),
        "rss_median_mib": Figure(median_mib, "MiB", better="lower"),
    }


class Resident:
    """Samples a process each second for as long as a ``with`` block; ``pid`` is asked each time, None is this one."""

    def __init__(self, pid: Callable[[], int | None] = lambda: None) -> None:
        self._pid = pid
        self._samples: list[float] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="resident", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    @property
    def median_mib(self) -> float:
        """Of all samples so far; one is taken now when there is none yet."""
        if not self._samples:
            self._sample()
        return statistics.median(self._samples)

    def _watch(self) -> None:
        while not self._over.wait(SAMPLE_S):
            self._sample()

    def _sample(self) -> None:
        with suppress(psutil.NoSuchProcess):  # killed, and not started again yet
            held = psutil.Process(self._pid()).memory_info().rss
            if held:  # one that nobody has waited for yet holds nothing
                self._samples.append(held / 2**20)
