"""Addresses as pointers: arrays of which there are many, or that nobody may write to, are told to kernels as numbers.

A list of arrays takes numba longer to look through than a small batch takes to judge, and a read-only array is another
type, for which it would compile everything anew. What an address points to is the caller's, and held by it: numba frees
an array of its own after the last line that names it, whoever holds its address.
"""

from typing import Any

from numba import types
from numba.extending import intrinsic


def _pointer(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))


@intrinsic
def as_doubles(_typing: Any, _address: Any) -> Any:
    """To float64."""
    return types.CPointer(types.float64)(types.int64), _pointer


@intrinsic
def as_singles(_typing: Any, _address: Any) -> Any:
    """To float32."""
    return types.CPointer(types.float32)(types.int64), _pointer


@intrinsic
def as_ints(_typing: Any, _address: Any) -> Any:
    """To int32."""
    return types.CPointer(types.int32)(types.int64), _pointer


@intrinsic
def as_longs(_typing: Any, _address: Any) -> Any:
    """To int64."""
    return types.CPointer(types.int64)(types.int64), _pointer


@intrinsic
def as_words(_typing: Any, _address: Any) -> Any:
    """To uint64."""
    return types.CPointer(types.uint64)(types.int64), _pointer


@intrinsic
def as_shorts(_typing: Any, _address: Any) -> Any:
    """To uint16."""
    return types.CPointer(types.uint16)(types.int64), _pointer


@intrinsic
def as_bytes(_typing: Any, _address: Any) -> Any:
    """To uint8."""
    return types.CPointer(types.uint8)(types.int64), _pointer
