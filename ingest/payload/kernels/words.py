"""Eight bytes at once, and arrays without owners: what numba does not offer by itself.

``load8(buf, i)`` is the little-endian uint64 at ``buf[i:i + 8]``, unaligned; ``byte(buf, i)`` the byte at ``i >= 0`` as
an int64 (``buf[i]`` also asks whether ``i`` counts from the end); the caller has checked that they are inside.
``tail8(buf, i, end)`` is the same as ``load8`` with zeros from ``end`` on: whole words to the last byte, and no loop
over what is left. ``zeros(w)`` counts the low zero bits; 64 of 0. ``as_double(w)`` is the double of these bits.

``bare(buf)`` may stand for the array in all of them: its address and nothing else, so that a helper that is handed the
bytes pays for one number, and for no counting of owners. The caller keeps the array alive.

Under ``NUMBA_BOUNDSCHECK`` and ``NUMBA_DISABLE_JIT`` they are plain code, so that those runs check or cover them too.
"""

# ruff: noqa: ARG001
# numba fixes the signatures of intrinsics
from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import config, njit, types
from numba.extending import intrinsic

if config.DISABLE_JIT:

    def borrow(array: Any) -> Any:
        """The array itself: nothing is counted."""
        return array

    def as_double(word: Any) -> Any:
        """The bits seen as a double."""
        return np.uint64(word).view(np.float64)

else:

    @intrinsic
    def borrow(typing: Any, array: Any) -> Any:
        """The same array without its owner: the caller keeps it alive for as long as the kernel runs.

        A loop that hands an array to helper functions otherwise pays two atomic counts a call.
        """

        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            view = context.make_array(signature.args[0])(context, builder, args[0])
            view.meminfo = view.meminfo.type(None)
            view.parent = view.parent.type(None)
            return view._getvalue()  # noqa: SLF001  # numba's own way to read a struct

        return array(array), build

    @intrinsic
    def as_double(typing: Any, word: Any) -> Any:
        """The bits seen as a double."""

        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], ir.DoubleType())

        return types.float64(types.uint64), build


if config.BOUNDSCHECK or config.DISABLE_JIT:

    @njit
    def bare(buf: Any) -> Any:
        """The array: its bounds are asked for."""
        return buf

    @njit
    def byte(buf: Any, i: int) -> Any:
        """One checked read."""
        return np.int64(buf[i])

    @njit
    def load8(buf: Any, i: int) -> Any:
        """Eight bytes, one checked read each."""
        word = np.uint64(0)
        for k in range(8):
            word |= np.uint64(buf[i + k]) << np.uint64(8 * k)
        return word

    @njit
    def zeros(word: Any) -> int:
        """Low zero bits, one at a time."""
        n = 0
        while n < 64 and (word >> np.uint64(n)) & np.uint64(1) == np.uint64(0):
            n += 1
        return n

else:

    def _at(context: Any, builder: Any, kind: Any, buf: Any, i: Any) -> Any:
        """Pointer to byte ``i`` of an array, or of what ``bare`` made of it."""
        if isinstance(kind, types.Array):
            start = context.make_array(kind)(context, builder, buf).data
        else:
            start = builder.inttoptr(buf, ir.IntType(8).as_pointer())
        return builder.gep(start, [i])

    @intrinsic
    def bare(typing: Any, buf: Any) -> Any:
        """Where the array begins."""

        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.ptrtoint(
                context.make_array(signature.args[0])(context, builder, args[0]).data, ir.IntType(64)
            )

        return types.int64(buf), build

    @intrinsic
    def byte(typing: Any, buf: Any, i: Any) -> Any:
        """One byte, without the question whether ``i`` is negative."""

        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            at = _at(context, builder, signature.args[0], *args)
            return builder.zext(builder.load(at), ir.IntType(64))

        return types.int64(buf, types.intp), build

    @intrinsic
    def load8(typing: Any, buf: Any, i: Any) -> Any:
        """Eight bytes in one unaligned load."""

        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            at = _at(context, builder, signature.args[0], *args)
            word = builder.load(builder.bitcast(at, ir.IntType(64).as_pointer()))
            word.align = 1
            return word

        return types.uint64(buf, types.intp), build

    @intrinsic
    def zeros(typing: Any, word: Any) -> Any:
        """Low zero bits in one instruction."""

        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

        return types.int64(types.uint64), build


@njit(cache=True, nogil=True, forceinline=True)
def tail8(buf: Any, i: int, end: int) -> Any:
    """Bytes ``i`` to ``i + 8``, zeros in place of those from ``end`` on.

    ``i < end``, and eight bytes lie before ``end``.
    """
    at = min(i, end - 8)
    return load8(buf, at) >> np.uint64(8 * (i - at))
