"""Decimal to double: the kernel gives the bits that ``float()`` gives, or hands the number to the slow path."""

import random
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest.payload.kernels.numbers import double_bits, parse_integer, parse_number


def kernel_float(text: Any) -> Any:
    """(index, value) of the kernel for a text that is followed by bytes which would continue it."""
    buffer = np.frombuffer(b"9" + text.encode() + b"9", np.uint8)
    return parse_number(buffer, 1, len(buffer) - 1)


def agrees(text: Any) -> Any:
    end, value = kernel_float(text)
    if end < 0:
        return False
    assert end == 1 + len(text)
    assert struct.pack("<d", value) == struct.pack("<d", float(text)), text
    return True


@pytest.mark.parametrize("digits", range(1, 20))
def test_random_decimals_of_every_length(digits: Any) -> None:
    rng = random.Random(digits)
    for _ in range(400):
        text = str(rng.randrange(10 ** (digits - 1), 10**digits))
        cut = rng.randrange(len(text) + 1)
        fraction = f"{text[:cut] or '0'}.{text[cut:]}" if cut < len(text) else text
        sign = rng.choice(["", "-"])
        exponent = rng.choice(["", "", f"e{rng.randrange(-40, 40)}", f"E+{rng.randrange(0, 280)}"])
        assert agrees(sign + fraction + exponent) or float(text + exponent) == float("inf")


@settings(max_examples=400, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
@example(5e-324)
@example(1.7976931348623157e308)
@example(2.2250738585072014e-308)
def test_shortest_forms_of_any_double(value: Any) -> None:
    handled = agrees(repr(value))

    assert handled or abs(value) < 2.3e-308 or abs(value) > 1.7e308


@settings(max_examples=400, deadline=None)
@given(w=st.integers(1, 2**64 - 1), q=st.integers(-342, 308))
@example(w=9007199254740993, q=0)  # 2^53 + 1: a tie, to even
@example(w=9007199254740995, q=0)
@example(w=9223372036854776833, q=0)
@example(w=1, q=22)
@example(w=8442911973260991817, q=-27)
def test_eisel_lemire_never_gives_a_wrong_double(w: Any, q: Any) -> None:
    bits = int(double_bits(np.uint64(w), q))

    assert bits == 0 or struct.pack("<Q", bits) == struct.pack("<d", float(f"{w}e{q}"))


def test_halfway_cases_round_to_even() -> None:
    rng = random.Random(5)
    for _ in range(500):
        mantissa = rng.getrandbits(52) | (1 << 52)
        assert agrees(str(2 * mantissa + 1))  # exactly between two doubles, 16 or 17 digits


@pytest.mark.parametrize("text", ["01", "-", "1.", ".5", "1e", "1e+", "-a", "1" * 20, "1e99999", "00", "1.e3"])
def test_what_is_no_plain_number_goes_to_the_slow_path(text: Any) -> None:
    end, _ = kernel_float(text)

    assert end < 0 or end != 1 + len(text)


@settings(max_examples=300, deadline=None)
@given(st.integers(-(10**20), 10**20))
def test_integers(value: Any) -> None:
    text = str(value).encode()
    buffer = np.frombuffer(b"9" + text + b"9", np.uint8)

    end, parsed = parse_integer(buffer, 1, len(buffer) - 1)

    assert (end, parsed) == ((1 + len(text), value) if len(text.lstrip(b"-")) <= 18 else (-1, 0))
