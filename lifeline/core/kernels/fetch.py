"""``fetch(table, row)``: the row's cache line is brought near, while the loop goes on with rows before it.

A look-up by point in a table that no cache holds waits some 60 ns for memory, and a loop that does more than a load has
few of them under way at once.

Under ``NUMBA_BOUNDSCHECK`` and ``NUMBA_DISABLE_JIT`` it is plain code, so that those runs check or cover it too.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import config, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

if config.BOUNDSCHECK or config.DISABLE_JIT:

    @njit
    def fetch(table: Any, row: int) -> Any:
        """A checked look at what would be fetched."""
        return table[row : row + 1].size

else:

    @intrinsic
    def fetch(typing: Any, table: Any, row: Any) -> Any:  # noqa: ARG001 - numba's signature
        """A prefetch: unlike a load, nothing waits for it."""

        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            array = context.make_array(signature.args[0])(context, builder, args[0])
            stride = builder.extract_value(array.strides, 0)
            start = builder.ptrtoint(array.data, ir.IntType(64))
            at = builder.inttoptr(builder.add(start, builder.mul(stride, args[1])), ir.IntType(8).as_pointer())
            kind = ir.FunctionType(ir.VoidType(), [at.type, *[ir.IntType(32)] * 3])
            function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
            builder.call(function, [at, *(ir.Constant(ir.IntType(32), n) for n in (0, 3, 1))])
            return context.get_dummy_value()

        return types.void(table, types.intp), build
