"""A limit on everything, in one place, each with its proof.

Values that a user may want to change are defaults of the configuration; the others are structural.
"""

from __future__ import annotations

from typing import Final

# --- one MQTT packet -------------------------------------------------------------------------------------------
PACKET_BYTES_MAX: Final = 1 << 20
"""Largest PUBLISH accepted (declared as Maximum Packet Size in MQTT 5, enforced by us in 3.1.1).
A gateway pack of 100 objects is about 8 KiB and one of 1,000 about 80 KiB; ten times that is still refused nobody."""

REMAINING_LENGTH_MAX: Final = 268_435_455
"""Four bytes of seven bits: the end of MQTT's variable byte integer (MQTT 5, 1.5.5)."""

TOPIC_BYTES_MAX: Final = 1024
"""Longer topics are malformed for us. MQTT allows 65,535; the contract's topics are under 80 bytes."""

PACK_OBJECTS_MAX: Final = 10_000
"""Objects in one pack. 1 MiB / 10,000 = 105 bytes an object: the packet limit bites first."""

DEVICE_ID_BYTES_MAX: Final = 128
QUANTITY_BYTES_MAX: Final = 64

# --- batches and queues ----------------------------------------------------------------------------------------
RECEIVE_BYTES: Final = 16 << 20
"""A collector's receive buffer: 16 packets of the largest size, or 200,000 of 80 bytes."""

BATCH_ROWS_MAX: Final = 1 << 20
"""Rows in one log record: 2^20 rows of 34 bytes = 34 MiB, half a segment."""

LOG_QUEUE_BATCHES: Final = 8
"""Batches waiting for the log. Full means: stop reading the socket; TCP and the broker hold the rest."""

SEGMENT_BYTES: Final = 64 << 20
"""A log segment is sealed past this size: about 2 million readings, so trimming frees space every few seconds
under full load and a torn tail never costs more than one segment's scan."""

LINGER_S: Final = 0.05
LINGER_ROWS_MIN: Final = 8_000
LINGER_ROWS_MAX: Final = 60_000
LINGER_ROWS_PER_S: Final = 400_000
LINGER_WINDOW: Final = 0.125
"""Reads that bring so many rows come at most this often (decision 0021): every stage pays by the record and by the row,
and at half a million readings a second records of 20 ms cost a tenth of a core more than records of 50 ms. Fewer rows
(200,000 readings a second, a broker's window of twenty) are read at once, and so are more: the socket was full. And so
are they when the rows since the last read make no such rate: else a stream of 219,300 readings a second that was held
up once, for 40 ms, would bring 11,000 rows in every 50 ms and never be read sooner again. What comes while a read waits
fills so much of the broker's window of messages at most: with 65,535 in flight and one reading in each, 50 ms between
reads were 0.95 million readings a second at most, whatever the processor had left."""

COMPANY_S: Final = 0.02
COMPANY_S_MIN: Final = 0.002
COMPANY_ROWS: Final = 2_000
COMPANY_PER_S: Final = 10_000
"""A read waits so long at most until some 2,000 rows are together (decision 0034): a broker sends one small packet a
message, and what reads, commits and turns of the rules cost whatever they hold was most of the cost of a message at
91,000 a second. Fewer a second are no load. More rows at once save little."""

READ_BYTES_MAX: Final = 16 << 20
"""What one read of the log returns at most, past one record: half a million rows, by then the call costs nothing. Five
followers that are all behind hold 80 MiB so; with four times as much they were a third of the engine's memory."""

LOG_KEPT_BYTES: Final = 64 << 20
"""So much of the log stays although every follower has it: some 2 million readings, from which a restart rebuilds the
memory of repeats. Without it a broker that was away during two restarts could deliver again what nobody remembers."""

CLOCK_RECORD_MS: Final = 1000
"""With nothing received for this long the log records the time, so that followers (dropout!) have a clock that
a replay repeats exactly."""

REJECT_PAYLOAD_BYTES: Final = 4096
"""How much of a bad payload is kept (contract, section 4)."""

SPARKPLUG_EDGES_MAX: Final = 10_000
SPARKPLUG_METRICS_MAX: Final = 300_000
"""Edge nodes, and metrics of birth certificates, that one broker's decoder remembers: some 350 bytes a metric, 100 MB
when full."""

# --- time ------------------------------------------------------------------------------------------------------
FUTURE_MS_MAX: Final = 10 * 60_000
"""A device clock may be this far ahead of ours; beyond it the reading is rejected as ``future_timestamp``."""

TOO_OLD_MS: Final = 366 * 86_400_000
"""Readings older than a year are rejected as ``too_old``: they are clock resets (1970, 2000), not late meters."""

LATE_MS_MIN: Final = 60_000
"""A reading is ``late`` when it arrives more than max(this, two reporting intervals) after its event time."""

# --- identity --------------------------------------------------------------------------------------------------
IDENTITY_OBJECTS: Final = 3 << 20
"""Readings remembered for recognising a repeat: two generations of 3 Mi fingerprints of 8 bytes, in tables of 4 Mi
slots (64 MiB in all), so that between 3 and 6 Mi readings back are recognised. A broker delivers again what was in
flight: at most RECEIVE_MAXIMUM messages, of 48 readings each before the window is too small."""

RECEIVE_MAXIMUM: Final = 65_535
"""Messages in flight (MQTT 5, 3.1.2.11.3). The rate of one connection is at most this / commit time."""

# --- registry --------------------------------------------------------------------------------------------------
POINTS_MAX: Final = 16_000_000
"""Points one engine holds: twenty cities of 625,000. Some 300 bytes of state a point, that is 5 GB when full."""

POINTS_PER_DEVICE_MAX: Final = 64

REGISTERED_MAX: Final = 200_000
"""Points that ``unknown = "register"`` may add by itself: a flood of random ids cannot fill the memory."""
