"""Conditions: SQL boolean expressions, from text to a Polars expression over columns.

The text is cut into tokens before Polars sees it, because a rule file is input: only the words, operators and
functions listed here pass, and every other name must be a column, a feature or a parameter. No aggregate, no
subquery, no window, no clock and no cast can be written. What is left is true or false *of one row*, which is why any
batching gives the same alarms.

Three rewrites happen on tokens:

- a parameter becomes its number (one less column to carry), unless an override makes it differ from point to point;
- a divisor ``d`` becomes ``NULLIF(d, 0)``: dividing by zero gives NULL, not infinity;
- nothing else: what is written is what runs, here and in DuckDB.

NULL never satisfies a condition. NaN cannot arise: columns turn NaN into NULL on the way in (``column``), parameters
are finite, and no function of the list makes a NaN out of numbers.
"""

from __future__ import annotations

import difflib
import itertools
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from rules import machine_code, numeric
from rules.expression import parse_numeric
from rules.operands import strangers
from rules.tokens import Token

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from rules.expression import Boolean

KEYWORDS: Final = frozenset(
    "AND OR NOT IS NULL IN BETWEEN LIKE TRUE FALSE CASE WHEN THEN ELSE END".split()  # noqa: SIM905 - reads as prose
)
FUNCTIONS: Final = frozenset(
    "ABS GREATEST LEAST COALESCE NULLIF SIGN FLOOR CEIL ROUND LOWER UPPER".split()  # noqa: SIM905 - reads as prose
)
COMPARISONS: Final = frozenset({"=", "<>", "!=", "<", "<=", ">", ">="})
TEXT_BYTES_MAX: Final = 4096
"""Longest condition: forty times the longest of the standard rules."""

COMPILED_MAX: Final = 1024
"""Conditions that are kept compiled: the standard rules have 200, most of them with two sets of parameters."""

_TOKEN: Final = re.compile(
    r"""(?P<space>\s+)|(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"""
    r"""|(?P<string>'(?:[^']|'')*')|(?P<op><>|!=|<=|>=|=|<|>|\+|-|\*|/|%|\(|\)|,)"""
)

Fault = tuple[str, str]
"""What is wrong with a condition, and the remedy."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A checked condition. ``names`` are the columns and parameters that it mentions."""

    text: str
    tokens: tuple[Token, ...]
    names: frozenset[str]

    def expression(self, params: Mapping[str, float]) -> pl.Expr:
        """The Polars expression, with the given parameters put in as numbers."""
        return _expression(_sql(self.tokens, params))


@dataclass(frozen=True, slots=True)
class Test:
    """A condition ready to run over rows of numbers: compiled code, a numpy program for a lone comparison of numbers.

    What neither understands is a Polars expression.
    """

    names: tuple[str, ...]
    expression: pl.Expr
    program: numeric.Program | None = None
    code: machine_code.Code | None = None
    tree: Boolean | None = None

    @classmethod
    def of(cls, condition: Condition, params: Mapping[str, float]) -> Test:
        """With the given parameters put in as numbers."""
        fixed = tuple((name, float(params[name])) for name in sorted(condition.names & params.keys()))
        return _test(_Key(condition), fixed)

    def satisfied(self, columns: Mapping[str, NDArray[np.float64]], rows: int) -> NDArray[np.bool_]:
        """Which of ``rows`` rows satisfy it, by columns of float64 with NaN for NULL."""
        if self.code is not None:
            return self.code.satisfied(columns, rows)
        if self.program is not None:
            return numeric.satisfied(self.program, columns, rows)
        frame = pl.DataFrame([column(name, columns[name]) for name in self.names])
        return evaluate(frame, rows, [self.expression])[0]


@dataclass(frozen=True, slots=True)
class _Key:
    """A condition by what it was read from: its tokens follow, and need not be compared."""

    condition: Condition

    def __eq__(self, other: object) -> bool:
        mine, its = self.condition, getattr(other, "condition", None)
        return isinstance(its, Condition) and (mine.text, mine.names) == (its.text, its.names)

    def __hash__(self) -> int:
        return hash((self.condition.text, self.condition.names))


@lru_cache(maxsize=COMPILED_MAX)
def _test(key: _Key, fixed: tuple[tuple[str, float], ...]) -> Test:
    """A test has no state: machines that are made over the same rules, or made anew, share it."""
    condition, params = key.condition, dict(fixed)
    test = Test(tuple(sorted(condition.names - params.keys())), condition.expression(params))
    tree = parse_numeric(condition.tokens, params)
    if tree is None:
        return test
    code = machine_code.code_of(tree)
    return replace(test, tree=tree, program=numeric.program_of(tree), code=None if code.lone else code)


@lru_cache(maxsize=COMPILED_MAX)
def _expression(sql: str) -> pl.Expr:
    return pl.sql_expr(sql)


def parse(
    text: str, columns: Mapping[str, pl.DataType], prefixes: Collection[str] = ()
) -> tuple[Condition, list[Fault]]:
    """Check a condition against the columns that it may use; a name may also begin with one of ``prefixes``.

    Returns the condition and everything that is wrong with it; with faults the condition must not be used.
    """
    condition, faults = _parsed(text, frozenset(columns.items()), tuple(prefixes))
    return condition, list(faults)


@lru_cache(maxsize=COMPILED_MAX)
def _parsed(
    text: str, known: frozenset[tuple[str, pl.DataType]], prefixes: tuple[str, ...]
) -> tuple[Condition, tuple[Fault, ...]]:
    columns = dict(known)
    condition, faults = _read(text, columns, prefixes)
    return condition, tuple(faults or _typed(condition, columns))


def accepted(text: str, columns: Mapping[str, pl.DataType], prefixes: Collection[str] = ()) -> Condition:
    """A condition that ``parse`` has accepted before: it is not tried again."""
    return _accepted(text, frozenset(columns), tuple(prefixes))


@lru_cache(maxsize=COMPILED_MAX)
def _accepted(text: str, columns: frozenset[str], prefixes: tuple[str, ...]) -> Condition:
    condition, faults = _read(text, columns, prefixes)
    assert not faults, faults
    return condition


def _read(text: str, columns: Collection[str], prefixes: Collection[str]) -> tuple[Condition, list[Fault]]:
    tokens, faults = _tokens(text)
    names: set[str] = set()
    for i, token in enumerate(tokens):
        if token.kind != "name" or token.text.upper() in KEYWORDS:
            continue
        if i + 1 < len(tokens) and tokens[i + 1].text == "(":
            if token.text.upper() not in FUNCTIONS:
                faults.append((f"function {token.text} is not allowed", f"allowed: {', '.join(sorted(FUNCTIONS))}"))
        elif token.text in columns or any(token.text.startswith(p) and token.text != p for p in prefixes):
            names.add(token.text)
        else:
            faults.append((f"unknown column {token.text}", nearest(token.text, columns)))
    faults += [
        (f"nothing between {a.text} and {b.text}", "write an operator: AND, OR, a comparison …")
        for a, b in itertools.pairwise(tokens)
        if _ends(a) and _begins(b)
    ]
    faults += [fault for a, b in itertools.pairwise(tokens) if (fault := _slip(a, b))]
    return Condition(text, tuple(tokens), frozenset(names)), faults


def words(text: str) -> frozenset[str]:
    """The names in a condition: columns, parameters and functions."""
    return frozenset(t.text for t in _tokens(text)[0] if t.kind == "name" and t.text.upper() not in KEYWORDS)


def _slip(a: Token, b: Token) -> Fault | None:
    """What is written in other languages, or what SQL accepts and nobody means."""
    if a.text == b.text == "=":
        return "== is no SQL", "write ="
    if (_is_null(b) and a.text in COMPARISONS) or (_is_null(a) and b.text in COMPARISONS):
        return "a comparison with NULL is never true", "write IS NULL or IS NOT NULL"
    return None


def _is_null(token: Token) -> bool:
    return token.kind == "name" and token.text.upper() == "NULL"


def _ends(token: Token) -> bool:
    """Whether an operand may end with it."""
    if token.kind == "name":
        return token.text.upper() in {"TRUE", "FALSE", "NULL", "END"} or token.text.upper() not in KEYWORDS | FUNCTIONS
    return token.kind in {"number", "string"} or token.text == ")"


def _begins(token: Token) -> bool:
    """Whether only an operand may begin with it: SQL would take such a name for an alias of what stands before it."""
    return (token.kind == "name" and token.text.upper() not in KEYWORDS) or token.kind in {"number", "string"}


def nearest(word: str, known: Collection[str]) -> str:
    """A remedy: the known word that looks most like this one, or all of them."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6) or difflib.get_close_matches(
        word.lower(), known, n=1, cutoff=0.6
    )
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(known))}"


def column(name: str, values: NDArray[np.float64]) -> pl.Series:
    """Numbers as a Polars column; NaN becomes NULL, without a copy where there is none."""
    series = pl.Series(name, values)
    return series.fill_nan(None) if np.isnan(values).any() else series


def evaluate(frame: pl.DataFrame, rows: int, expressions: Sequence[pl.Expr]) -> list[NDArray[np.bool_]]:
    """Which rows satisfy each expression; NULL does not."""
    columns = [expression.fill_null(value=False).alias(str(k)) for k, expression in enumerate(expressions)]
    result = frame.select(columns) if frame.width else pl.select(columns)
    masks = [series.to_numpy() for series in result.get_columns()]
    return [np.full(rows, m[0]) if len(m) == 1 != rows else m for m in masks]


def _tokens(text: str) -> tuple[list[Token], list[Fault]]:
    if not text.strip():
        return [], [("the condition is empty", "write a SQL boolean expression, or true")]
    if len(text.encode()) > TEXT_BYTES_MAX:
        return [], [(f"longer than {TEXT_BYTES_MAX} bytes", "split the rule")]
    tokens, position = [], 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            return [], [(f"unexpected {text[position]!r} at character {position + 1}", "write a plain SQL comparison")]
        if match.lastgroup != "space":
            tokens.append(Token(str(match.lastgroup), match.group()))
        position = match.end()
    return tokens, []


def _sql(tokens: tuple[Token, ...], params: Mapping[str, float]) -> str:
    words = [_word(tokens, i, params) for i in range(len(tokens))]
    i = 0
    while i < len(tokens):
        if tokens[i].text in {"/", "%"}:
            end = _operand(tokens, i + 1)
            words[i + 1] = f"NULLIF({words[i + 1]}"
            words[end] = f"{words[end]}, 0)"
        i += 1
    return " ".join(words)


def _word(tokens: tuple[Token, ...], i: int, params: Mapping[str, float]) -> str:
    token = tokens[i]
    if token.kind != "name" or token.text.upper() in KEYWORDS or (i + 1 < len(tokens) and tokens[i + 1].text == "("):
        return token.text
    # quoted, because some names (limit) are words of SQL elsewhere
    return f"({float(params[token.text])!r})" if token.text in params else f'"{token.text}"'


def _operand(tokens: tuple[Token, ...], start: int) -> int:
    """Last token of the operand that begins at ``start``: a number, a name, a call or something in parentheses."""
    i = start
    while i < len(tokens) - 1 and tokens[i].text in {"-", "+"}:
        i += 1
    if i < len(tokens) - 1 and tokens[i].kind == "name" and tokens[i + 1].text == "(":
        i += 1
    depth = 0
    while i < len(tokens):
        depth += (tokens[i].text == "(") - (tokens[i].text == ")")
        if depth <= 0:
            return i
        i += 1
    return len(tokens) - 1


def _typed(condition: Condition, columns: Mapping[str, pl.DataType]) -> list[Fault]:
    """Run it over two rows of NULL: what Polars cannot parse, or what is not true or false, is found here."""
    if condition.tokens[-1].text in {"/", "%"}:
        return [("nothing after the division", "write a divisor")]
    frame = pl.DataFrame(
        {name: pl.Series([None, None], dtype=columns.get(name, pl.Float64())) for name in condition.names}
    )
    try:
        expression = condition.expression({})
        result = (frame.select(r=expression) if frame.width else pl.select(r=expression))["r"]
    except pl.exceptions.PolarsError as error:
        if str(error).startswith("cannot compare string with numeric"):
            return [("compares text with a number", "numbers stand without quotes, text in single ones")]
        if found := strangers(condition.tokens, columns):
            return found
        return [(f"not a SQL expression: {str(error).splitlines()[0]}", "see docs/rules.md for what can be written")]
    if result.dtype not in {pl.Boolean(), pl.Null()}:
        compare = "compare it with something, e.g. value >= limit"
        return strangers(condition.tokens, columns) or [(f"gives {result.dtype}, not true or false", compare)]
    return []
