"""Eight bytes at once, and arrays without owners: what numba does not offer by itself.

``load8(buf, i)`` is the little-endian uint64 at ``buf[i:i + 8]``, unaligned; the caller has checked that all eight are
inside. ``zeros(w)`` counts the low zero bits of a word that is not 0.

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


if config.BOUNDSCHECK or config.DISABLE_JIT:

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
        while (word >> np.uint64(n)) & np.uint64(1) == np.uint64(0):
            n += 1
        return n

else:

    @intrinsic
    def load8(typing: Any, buf: Any, i: Any) -> Any:
        """Eight bytes in one unaligned load."""

        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            array = context.make_array(signature.args[0])(context, builder, args[0])
            at = builder.gep(array.data, [args[1]])
            word = builder.load(builder.bitcast(at, ir.IntType(64).as_pointer()))
            word.align = 1
            return word

        return types.uint64(buf, types.intp), build

    @intrinsic
    def zeros(typing: Any, word: Any) -> Any:
        """Low zero bits in one instruction."""

        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

        return types.int64(types.uint64), build
