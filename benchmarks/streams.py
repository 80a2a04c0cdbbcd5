"""The streams that workloads measure on: the simulated city, pre-encoded, one value an object.

A *round* is every device once: its first quantity, with the value that the simulator's signals give, ``STEP_MS`` of
event time after the round before. Nothing is patched or repeated: each round has new times, numbers and values, as a
real fleet would send it. Rounds are encoded by the simulator's own MQTT encoder (3.1.1), never by anything of ours.

Times: signals are those of ``EPOCH_MS`` (a winter morning), always the same, so that values and hashes are. What the
devices' clocks say is moved by ``shift_ms``, so that an engine that looks at the wall clock finds them fresh.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.harness import BagHash
from simulators.dirt import CLEAN
from simulators.faults import FaultSettings
from simulators.fleet import SENSORS, FleetSettings
from simulators.fleet_build import build_fleet
from simulators.generator import Generator
from simulators.schedule import Objects
from simulators.wire import Encoder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from simulators.fleet import Fleet
    from simulators.schedule import Shape
    from simulators.wire import Packets

SEED: Final = 1
EPOCH_MS: Final = 1_768_438_800_000
"""2026-01-15 09:00 in the simulated city."""
STEP_MS: Final = 5_000
PROBE_LEL: Final = 60
"""%LEL: above every limit of the standard rules, which raise at the first sample."""
PROBE_SEQ: Final = 1
_NONE: Final = np.zeros(0, np.int32)
ROUNDS_MAX: Final = 60
"""60 rounds of 5 s span five minutes: inside the ten minutes that a device's clock may be ahead."""


def sensors_at(scale: float) -> int:
    """Devices of a fleet at this scale; 1 is the whole city."""
    return max(100, round(SENSORS * scale))


def rounds_at(scale: float, rounds: int = ROUNDS_MAX) -> int:
    """Rounds at this scale: large fleets send fewer, so that time and memory stay bounded."""
    return max(3, min(rounds, round(rounds / scale)))


@dataclass(frozen=True)
class Round:
    """One report of every device: packets, and the truth of what is in them (row i is reading i)."""

    packets: Packets
    point: NDArray[np.int32]
    ts: NDArray[np.int64]
    """As sent: shifted."""
    seq: NDArray[np.uint32]
    value: NDArray[np.float64]

    def __len__(self) -> int:
        """Number of readings."""
        return len(self.point)


@dataclass(frozen=True)
class Stream:
    """Rounds of one fleet in one shape; a generator, so that only what is wanted is built."""

    sensors: int
    rounds: int
    shape: Shape = "single"
    qos: int = 1
    pack: int = 100
    shift_ms: int = 0
    probes: int = 0
    """So many methane detectors are left out, for readings sent apart (``probe``)."""

    @cached_property
    def fleet(self) -> Fleet:
        """The devices."""
        return build_fleet(FleetSettings(self.sensors, SEED, STEP_MS / 1000, self.pack))

    @cached_property
    def probe_devices(self) -> NDArray[np.int32]:
        """The devices that are left out."""
        fleet = self.fleet
        lead = fleet.device_ptr[:-1]
        quantity = np.asarray(fleet.points["quantity"].to_pylist())[lead]
        return np.flatnonzero(quantity == "ch4")[-self.probes :].astype(np.int32) if self.probes else _NONE

    @cached_property
    def _probe_encoder(self) -> Encoder:
        return Encoder(self.fleet, "single", self.pack, self.qos)

    def probe(self, number: int, now_ms: int, packet_number: int) -> Packets:
        """One packet: probe device ``number`` reports explosive gas, now."""
        device = self.probe_devices[number : number + 1]
        now = np.array([now_ms])
        model = self.fleet.models[self.fleet.point_model[self.fleet.device_ptr[device[0]]]]
        scaled = PROBE_LEL * 10**model.decimals
        objects = Objects(device, now, now, np.array([PROBE_SEQ], np.uint32), now, np.zeros(1, np.bool_))
        return self._probe_encoder.encode(objects, np.arange(2), np.array([scaled]), packet_number)

    def __iter__(self) -> Iterator[Round]:
        """Build round after round."""
        fleet = self.fleet
        generator = Generator(fleet, EPOCH_MS, FaultSettings(0), CLEAN, self.shape)
        encoder = Encoder(fleet, self.shape, self.pack, self.qos)
        first_seq: NDArray[np.int64] | None = None
        number = 0
        for _ in range(self.rounds):
            tick = generator.tick(STEP_MS)
            objects, ptr = tick.objects, tick.ptr[:-1]
            if self.probes:
                heard = ~np.isin(objects.device, self.probe_devices)
                objects, ptr = objects.take(heard), ptr[heard]
            if first_seq is None:
                first_seq = np.zeros(len(fleet), np.int64)
                first_seq[objects.device] = objects.seq
            # a fleet installed today: short numbers, and packets of the size that the targets speak of
            seq = ((objects.seq.astype(np.int64) - first_seq[objects.device]) & 0xFFFFFFFF).astype(np.uint32)
            objects.seq[:] = seq
            objects.ts[:] = objects.ts + self.shift_ms
            lead = tick.scaled[ptr]
            packets = encoder.encode(objects, np.arange(len(objects) + 1), lead, number)
            number += len(packets)
            point = fleet.device_ptr[objects.device].astype(np.int32)
            yield Round(packets, point, objects.ts, seq, generator.world.decimal(point, lead))


def bag_of(rounds: Iterator[Round] | list[Round], shift_ms: int) -> BagHash:
    """The digest of everything in the rounds, device clocks moved back."""
    bag = BagHash()
    for part in rounds:
        bag.add(part.point, part.ts - shift_ms, part.seq, part.value)
    return bag
