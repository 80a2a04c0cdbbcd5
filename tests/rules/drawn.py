"""Random numeric conditions over a few columns, for what must agree about them."""

from __future__ import annotations

import math

from hypothesis import strategies as st

from rules import vocabulary

NAMES = ("value", "rate", "ewma", "span_low")
KNOWN = dict.fromkeys((*vocabulary.COLUMNS["reading"], "limit"), vocabulary.FLOAT)

# quarters: sums and products of a few of them are exact, so that both sides must agree to the bit
quarter = st.integers(-40, 40).map(lambda n: n / 4)
cell = st.one_of(quarter, st.just(math.nan))
atom = st.one_of(st.sampled_from([*NAMES, "limit"]), quarter.map(lambda q: f"({q!r})"), st.integers(0, 9).map(str))


def numbers(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.tuples(inner, inner)
    return st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/"]), inner).map(" ".join),
        st.tuples(inner, st.sampled_from(["+", "-"]), inner).map(lambda t: f"({' '.join(t)})"),
        inner.map(lambda a: f"-({a})"),
        st.tuples(st.sampled_from(["ABS", "SIGN", "FLOOR", "CEIL"]), inner).map(lambda t: f"{t[0]}({t[1]})"),
        st.tuples(st.sampled_from(["GREATEST", "LEAST", "COALESCE", "NULLIF"]), pair).map(
            lambda t: f"{t[0]}({t[1][0]}, {t[1][1]})"
        ),
    )


number = st.recursive(atom, numbers, max_leaves=5)
test = st.one_of(
    st.tuples(number, st.sampled_from(["=", "<>", "!=", "<", "<=", ">", ">="]), number).map(" ".join),
    number.map(lambda a: f"{a} IS NULL"),
    number.map(lambda a: f"{a} IS NOT NULL"),
    st.tuples(number, number, number).map(lambda t: f"{t[0]} BETWEEN {t[1]} AND {t[2]}"),
    st.tuples(number, number, number).map(lambda t: f"{t[0]} NOT BETWEEN {t[1]} AND {t[2]}"),
    st.sampled_from(["TRUE", "FALSE"]),
)


def booleans(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(" ".join),
        inner.map(lambda a: f"NOT ({a})"),
        inner.map(lambda a: f"({a})"),
    )


condition = st.recursive(test, booleans, max_leaves=4)
