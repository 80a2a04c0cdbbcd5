"""What stands where a condition must, in a text that is no condition: for the message alone, nothing is decided here.

where conditions must stand    the whole text, what AND, OR and NOT join, what stands between WHEN and THEN
what is one                    a comparison, IS, IN, BETWEEN, LIKE, TRUE, FALSE, a column that is true or false
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rules.tokens import Token

MAKES: Final = frozenset({"=", "<>", "!=", "<", "<=", ">", ">=", "IS", "IN", "BETWEEN", "LIKE"})
"""What makes a condition of numbers and text."""
ALONE: Final = frozenset({"TRUE", "FALSE", "NULL"})
OPENS: Final = frozenset({"(", "CASE"})
ENDS: Final = frozenset({")", "END"})


def strangers(tokens: Sequence[Token], columns: Mapping[str, pl.DataType]) -> list[tuple[str, str]]:
    """Numbers and text where a condition must stand, each with the remedy; none where that is not what is wrong."""
    found: dict[str, str] = {}
    if not _closed(tokens):
        return []
    for operand in _conditions(tokens):
        words = [_word(token) for token, depth in _deep(operand) if depth == 0]
        if not operand or MAKES & {*words} or (len(operand) == 1 and words[0] in ALONE):
            continue
        kind = columns.get(operand[0].text, pl.Float64()) if len(operand) == 1 else pl.Float64()
        if words[0] == "CASE" or kind == pl.Boolean():
            continue
        text = _text(operand)
        is_text = operand[0].kind == "string" or kind == pl.String()
        what = "text" if is_text else "a number"
        name = len(operand) == 1 and operand[0].kind == "name"
        example = f"{text} = '…'" if is_text else f"{text} = 1 or {text} > 0" if name else f"{text} > 0"
        remedy = f"compare it, e.g. {example}"
        if len(operand) == 1 and not name:
            remedy = f"compare something with it, e.g. {'utility =' if is_text else 'value >'} {text}"
        found.setdefault(f"{text} is {what} where a condition must stand", remedy)
    return list(found.items())


def _conditions(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """The smallest parts that must be conditions."""
    for word in ("OR", "AND"):
        parts = _split(tokens, word)
        if len(parts) > 1:
            for part in parts:
                yield from _conditions(part)
            return
    if tokens and _word(tokens[0]) == "NOT":
        yield from _conditions(tokens[1:])
    elif _enclosed(tokens):
        yield from _conditions(tokens[1:-1])
    elif tokens and _word(tokens[0]) == "CASE":
        yield from _cases(tokens)
    else:
        yield tokens


def _cases(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """Conditions between WHEN and THEN; of ``CASE x WHEN`` none is one."""
    if len(tokens) < 2 or _word(tokens[1]) != "WHEN":
        return
    starts = [k for k, (token, depth) in enumerate(_deep(tokens)) if depth == 1 and _word(token) in {"WHEN", "THEN"}]
    for a, b in pairwise(starts):
        if (_word(tokens[a]), _word(tokens[b])) == ("WHEN", "THEN"):
            yield from _conditions(tokens[a + 1 : b])


def _split(tokens: Sequence[Token], word: str) -> list[Sequence[Token]]:
    """The parts that OR or AND joins; the AND of a BETWEEN joins nothing."""
    parts, start, between = [], 0, 0
    for k, (token, depth) in enumerate(_deep(tokens)):
        if depth:
            continue
        between += _word(token) == "BETWEEN"
        if _word(token) == "AND" and between:
            between -= 1
        elif _word(token) == word:
            parts.append(tokens[start:k])
            start = k + 1
    return [*parts, tokens[start:]]


def _enclosed(tokens: Sequence[Token]) -> bool:
    """Whether one pair of parentheses holds all of it."""
    deep = [depth for _, depth in _deep(tokens)]
    return len(tokens) > 1 and tokens[0].text == "(" and tokens[-1].text == ")" and 0 not in deep[1:-1]


def _closed(tokens: Sequence[Token]) -> bool:
    """Whether parentheses and CASEs that are opened are closed, and no others."""
    open_ = [""]
    for word in map(_word, tokens):
        if word in OPENS:
            open_.append(word)
        elif word in ENDS and open_.pop() != ("(" if word == ")" else "CASE"):
            return False
    return open_ == [""]


def _deep(tokens: Sequence[Token]) -> Iterator[tuple[Token, int]]:
    """Each token with how many parentheses and CASEs it stands in; those themselves are outside."""
    depth = 0
    for token in tokens:
        depth -= _word(token) in ENDS
        yield token, depth
        depth += _word(token) in OPENS


def _word(token: Token) -> str:
    return token.text.upper() if token.kind in {"name", "op"} else ""


def _text(tokens: Sequence[Token]) -> str:
    """As people write it."""
    text = " ".join(token.text for token in tokens)
    return text.replace("( ", "(").replace(" )", ")").replace(" (", "(").replace(" ,", ",")
