"""Numeric conditions as trees: numbers, columns, comparisons, AND OR NOT, IS NULL, BETWEEN, + - * / and some functions.

Almost all conditions are made of these; for anything else ``parse_numeric`` gives None and the condition stays with
Polars. Two things run a tree and must agree to the bit: a program of numpy (``rules/numeric.py``) and the code of a
compiled kernel (``rules/machine_code.py``).

    or      := and ( OR and )*                    sum     := product ( (+|-) product )*
    and     := not ( AND not )*                   product := unary ( (*|/) unary )*
    not     := NOT not | test                     unary   := - unary | + unary | atom
    test    := sum [ (= <> != < <= > >=) sum      atom    := number | column | function ( sum, … ) | ( sum )
                   | IS [NOT] NULL                          | TRUE | FALSE
                   | [NOT] BETWEEN sum AND sum ]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rules.tokens import Token

FUNCTIONS: Final[dict[str, tuple[int, int]]] = {
    "ABS": (1, 1),
    "SIGN": (1, 1),
    "FLOOR": (1, 1),
    "CEIL": (1, 1),
    "GREATEST": (1, 99),
    "LEAST": (1, 99),
    "COALESCE": (1, 99),
    "NULLIF": (2, 2),
}
"""Name → (fewest arguments, most)."""

DENIED: Final = {"=": "<>", "<>": "=", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
"""Comparisons by what holds where one is false: neither holds where an operand is NULL."""


class Constant(NamedTuple):
    """A number that is written, or a parameter."""

    value: float


class Column(NamedTuple):
    """A column by name."""

    name: str


class Applied(NamedTuple):
    """A function of numbers: a name of ``FUNCTIONS``, ``+ - * /`` or ``NEG``."""

    function: str
    arguments: tuple[Number, ...]


class Truth(NamedTuple):
    """TRUE or FALSE."""

    value: bool


class Compared(NamedTuple):
    """A comparison: a name of ``DENIED``."""

    comparison: str
    left: Number
    right: Number


class IsNull(NamedTuple):
    """Whether a number is NULL."""

    operand: Number


class Not(NamedTuple):
    """Where the other is false."""

    operand: Boolean


class Both(NamedTuple):
    """AND."""

    left: Boolean
    right: Boolean


class Either(NamedTuple):
    """OR."""

    left: Boolean
    right: Boolean


Number = Constant | Column | Applied
Boolean = Truth | Compared | IsNull | Not | Both | Either


def parse_numeric(tokens: Sequence[Token], params: Mapping[str, float]) -> Boolean | None:
    """The tree of a checked condition; None when it needs Polars (text, LIKE, IN, CASE, %, ROUND …).

    ``params`` are put in as numbers; every other name is a column.
    """
    try:
        return _Parser(tokens, params).condition()
    except _NotNumericError:
        return None


def columns_of(tree: Boolean | Number) -> frozenset[str]:
    """The columns that a condition or a number is made of."""
    match tree:
        case Column(name):
            return frozenset({name})
        case Applied(_, arguments):
            return frozenset().union(*map(columns_of, arguments))
        case Compared(_, left, right) | Both(left, right) | Either(left, right):
            return columns_of(left) | columns_of(right)
        case IsNull(operand) | Not(operand):
            return columns_of(operand)
    return frozenset()


class _NotNumericError(Exception):
    """Something that only Polars understands."""


class _Parser:
    """Recursive descent over the checked tokens of a condition."""

    def __init__(self, tokens: Sequence[Token], params: Mapping[str, float]) -> None:
        self._tokens = tokens
        self._params = params
        self._at = 0

    def condition(self) -> Boolean:
        made = self._or()
        if self._at != len(self._tokens):
            raise _NotNumericError
        return made

    # --- tokens --------------------------------------------------------------------------------------------------

    def _peek(self) -> str:
        if self._at >= len(self._tokens):
            return ""
        token = self._tokens[self._at]
        if token.kind == "string":
            raise _NotNumericError
        return token.text.upper() if token.kind == "name" and self._is_word(token.text) else token.text

    def _is_word(self, text: str) -> bool:
        return text.upper() in {"AND", "OR", "NOT", "IS", "NULL", "BETWEEN", "TRUE", "FALSE"}

    def _take(self, *texts: str) -> bool:
        if self._peek() in texts:
            self._at += 1
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise _NotNumericError

    # --- booleans ------------------------------------------------------------------------------------------------

    def _or(self) -> Boolean:
        made = self._and()
        while self._take("OR"):
            made = Either(made, self._and())
        return made

    def _and(self) -> Boolean:
        made = self._not()
        while self._take("AND"):
            made = Both(made, self._not())
        return made

    def _not(self) -> Boolean:
        if self._take("NOT"):
            return Not(self._not())
        return self._test()

    def _test(self) -> Boolean:
        if self._take("TRUE"):
            return Truth(value=True)
        if self._take("FALSE"):
            return Truth(value=False)
        begin = self._at
        if self._peek() == "(":
            # a parenthesis opens a condition or a number; try the condition first
            try:
                self._at += 1
                made = self._or()
                self._expect(")")
            except _NotNumericError:
                self._at = begin
            else:
                if self._peek() in {"", ")", "AND", "OR"}:
                    return made
                self._at = begin
        return self._comparison()

    def _comparison(self) -> Boolean:
        left = self._sum()
        word = self._peek().replace("!=", "<>")
        if word in DENIED:
            self._at += 1
            return Compared(word, left, self._sum())
        if self._take("IS"):
            negated = self._take("NOT")
            self._expect("NULL")
            return Not(IsNull(left)) if negated else IsNull(left)
        negated = self._take("NOT")
        self._expect("BETWEEN")
        low = self._sum()
        self._expect("AND")
        made = Both(Compared(">=", left, low), Compared("<=", left, self._sum()))
        return Not(made) if negated else made

    # --- numbers -------------------------------------------------------------------------------------------------

    def _sum(self) -> Number:
        made = self._product()
        while (word := self._peek()) in {"+", "-"}:
            self._at += 1
            made = Applied(word, (made, self._product()))
        return made

    def _product(self) -> Number:
        made = self._unary()
        while (word := self._peek()) in {"*", "/"}:
            self._at += 1
            made = Applied(word, (made, self._unary()))
        return made

    def _unary(self) -> Number:
        if self._take("-"):
            return Applied("NEG", (self._unary(),))
        if self._take("+"):
            return self._unary()
        return self._atom()

    def _atom(self) -> Number:
        if self._take("("):
            made = self._sum()
            self._expect(")")
            return made
        if self._at >= len(self._tokens) or self._is_word(self._tokens[self._at].text):
            raise _NotNumericError
        token = self._tokens[self._at]
        self._at += 1
        if token.kind == "number":
            return Constant(float(token.text))
        if token.kind != "name":
            raise _NotNumericError
        if self._peek() == "(":
            return self._call(token.text.upper())
        if token.text in self._params:
            return Constant(float(self._params[token.text]))
        return Column(token.text)

    def _call(self, name: str) -> Number:
        self._expect("(")
        arguments = [self._sum()]
        while self._take(","):
            arguments.append(self._sum())
        self._expect(")")
        fewest, most = FUNCTIONS.get(name, (0, -1))
        if not fewest <= len(arguments) <= most:
            raise _NotNumericError
        return Applied(name, tuple(arguments))
