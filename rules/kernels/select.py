"""Which rules look at which rows: rows sorted by the band of their point, and the slot of a point among a rule's.

A *band* is all points that the same rules look at; a city of 624,800 points has three dozen. So a row costs one look at
one byte of its point, however many rules it has, and rows of a band lie together for all of them.
"""

import numpy as np
from numba import njit

from lifeline.core.kernels.index import index
from rules.kernels.types import F64, I32, I64, U8, U16, U64

WORD = 64
_SHIFT, _REST = 6, 63


@njit(cache=True, nogil=True)
def count_bands(point: I32, bands: U8, counts: I64, out: U8) -> None:
    """The band of each row's point; ``counts`` grows by the rows of each band. ``bands`` may be of 16 bits."""
    for i in range(len(point)):
        band = bands[index(point[i])]
        out[i] = band
        counts[index(band)] += 1


@njit(cache=True, nogil=True)
def place_bands(of: U8, cursor: I64, out: I32) -> None:
    """Rows by band, within a band as they come; those of band 0, at which no rule looks, are left out.

    ``cursor`` has where each band begins in ``out`` and is moved on.
    """
    for i in range(len(of)):
        band = of[i]
        if band:
            out[index(cursor[index(band)])] = i
            cursor[index(band)] += 1


@njit(cache=True, nogil=True)
def place_rows(point: I32, bands: U8, laid: I64, of: U16, rows: I64) -> None:
    """The place of each row (``of``): that of the band of its point. ``rows`` grows by the rows of each place.

    Args:
        point: of each row.
        bands: of each point of the registry. May be of 16 bits.
        laid: of each band its place, or the number of places where no rule looks.
        of: takes the places.
        rows: of each place, and of none.
    """
    for i in range(len(point)):
        place = index(laid[index(bands[index(point[i])])])
        of[i] = place
        rows[place] += 1


@njit(cache=True, nogil=True)
def split(points: I32, start: int, codes: I32, sizes: I64, inside: I64, known: int) -> int:
    """Tell the points of a list from others that had the same code until now; returns how many codes there are then.

    Args:
        points: no two of them the same, from ``start`` on.
        start: the first point that has a code.
        codes: of each point. Where some of a code are in the list and some are not, the former get a new one.
        sizes: how many points have each of the ``known`` codes, with room for as many more.
        inside: takes the code of those in the list, by what it was: -1 where none is.
        known: so many codes there are.
    """
    inside[:known] = 0
    for i in range(len(points)):
        inside[index(codes[index(points[i] - start)])] += 1
    made = known
    for code in range(known):
        some = inside[code]
        if some == 0:
            inside[code] = -1
        elif some == sizes[code]:
            inside[code] = code
        else:
            inside[code] = made
            sizes[made] = some
            sizes[code] -= some
            made += 1
    if made > known:
        for i in range(len(points)):
            at = index(points[i] - start)
            codes[at] = inside[index(codes[at])]
    return made


@njit(cache=True, nogil=True)
def first_seen(codes: I32, found: I64) -> None:
    """The codes in the order of their first points; ``found`` has room for all that there are."""
    n = 0
    seen = np.zeros(len(found), np.bool_)
    for i in range(len(codes)):
        if n == len(found):
            break
        code = index(codes[i])
        if not seen[code]:
            seen[code] = True
            found[n] = code
            n += 1


@njit(cache=True, nogil=True)
def translate(codes: I32, table: U8, out: U8) -> None:
    """What each code stands for. ``table`` and ``out`` may be of 16 bits."""
    for i in range(len(codes)):
        out[i] = table[index(codes[i])]


@njit(cache=True, nogil=True)
def merge(order: I32, at: I64, ends: I64, out: I32) -> None:
    """Places ``at[k]`` up to ``ends[k]``, in each of which ``order`` rises, by rising ``order``; moves ``at`` on."""
    for i in range(len(out)):
        best = -1
        for k in range(len(at)):
            if at[k] < ends[k] and (best < 0 or order[at[k]] < order[at[best]]):
                best = k
        out[i] = at[best]
        at[best] += 1


@njit(cache=True, nogil=True)
def bits(word: np.uint64) -> int:
    """How many bits are set (Hacker's Delight, 5-1; compilers know it)."""
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return int((word * np.uint64(0x0101010101010101)) >> np.uint64(56))


@njit(cache=True, nogil=True)
def list_points(points: I32, words: U64, before: I32) -> None:
    """Take in points that rise and are not in the list; ``before`` is counted anew from the first of them on."""
    if not len(points):
        return
    for point in points:
        words[point >> _SHIFT] |= np.uint64(1) << np.uint64(point & _REST)
    first = points[0] >> _SHIFT
    for k in range(first + 1, len(words)):
        before[k] = before[k - 1] + bits(words[k - 1])


@njit(cache=True, nogil=True)
def rank_points(points: I32, words: U64, before: I32, out: I32) -> None:
    """How many points of the list lie before each of some points."""
    for i in range(len(points)):
        k = index(points[i] >> _SHIFT)
        below = (np.uint64(1) << np.uint64(points[i] & _REST)) - np.uint64(1)
        out[i] = before[k] + bits(words[k] & below)


@njit(cache=True, nogil=True)
def decode(places: I32, codes: U8, table: F64, out: F64) -> None:
    """The numbers of a coded column at some places."""
    for i in range(len(places)):
        out[i] = table[index(codes[index(places[i])])]


@njit(cache=True, nogil=True)
def encode(values: I64, table: I64, known: int, codes: U8) -> int:
    """Codes of values by a table, to which those that are new are added; how many it has then, -1 without room."""
    code = 0
    for i in range(len(values)):
        if known == 0 or table[index(code)] != values[i]:
            code = 0
            while code < known and table[index(code)] != values[i]:
                code += 1
            if code == known:
                if known == len(table):
                    return -1
                table[index(code)] = values[i]
                known += 1
        codes[i] = code
    return known
