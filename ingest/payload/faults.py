"""What is said about a rejected object: one sentence a reason, with the place, the value, the limit and the remedy.

Both ways through the decoder, kernel and slow path, take their words from here. Foreign text is quoted, cut and made
printable, so that a detail is always valid UTF-8 of bounded length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from lifeline.core.schema import Reason

QUOTE_CHARACTERS: Final = 64

DUPLICATE: Final = "every reading of this object was received before; nothing to do: a redelivery is harmless"


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an object, or a whole message, is rejected. ``values``: how many values it carried."""

    reason: Reason
    detail: str
    values: int = 0
    start: int = 0
    """First byte of the rejected part within the payload."""
    length: int | None = None
    """Its bytes; None: to the end of the payload."""


def quote(text: str) -> str:
    """Foreign text, printable and cut."""
    cut = text[:QUOTE_CHARACTERS] + ("…" if len(text) > QUOTE_CHARACTERS else "")
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in cut)
    return f'"{shown}"'


def unknown_device(device: str, remedy: str) -> str:
    """The registry has no such device."""
    return f"device {quote(device)} is not in the registry; {remedy}"


def unknown_quantity(device: str, quantity: str, remedy: str) -> str:
    """The device has no such quantity."""
    return f"device {quote(device)} has no quantity {quote(quantity)} in the registry; {remedy}"


def not_a_number(quantity: str, found: str) -> str:
    """The value of a quantity is neither a finite number nor null."""
    return f"{quote(quantity)}: {found} is not a finite number; send a JSON number, or null for no value"


def out_of_span(quantity: str, value: float, span: tuple[float, float]) -> str:
    """The value is outside what the registry allows."""
    return (
        f"{quote(quantity)}: {value!r} is outside the span {span[0]!r} to {span[1]!r} of the registry;"
        " check the sensor, or correct the span"
    )


def no_conversion(quantity: str, unit: str, target: str | None) -> str:
    """The unit that was sent does not measure what the registry's unit measures."""
    return f"{quote(quantity)}: no conversion from {quote(unit)} to {target!r}; correct the mapping or the registry"


def future_timestamp(ts: int, ts_max: int) -> str:
    """The event time is ahead of the receive time by more than is allowed."""
    return (
        f'"ts": {_integer(ts)} is later than {ts_max}, the latest allowed; set the device\'s clock (ms since 1970 UTC)'
    )


def too_old(ts: int, ts_min: int) -> str:
    """The event time is further back than is allowed."""
    return (
        f'"ts": {_integer(ts)} is before {ts_min}, the oldest allowed; send ms since 1970 UTC, not s, and set the clock'
    )


def _integer(number: int) -> str:
    """An integer of any size; beyond 64 bits its magnitude only (str() of a huge int is refused by Python)."""
    return (
        str(number) if number.bit_length() < 64 else f"{'-' if number < 0 else ''}2^{number.bit_length() - 1} or more"
    )
