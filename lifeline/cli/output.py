"""How answers leave: JSON for programs, rich tables for people, errors on stderr with the right exit status."""

from __future__ import annotations

import codecs
import io
import json
import os
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import Console

    Part = str | tuple[str, str]
    """Text as it is, or text and its style."""

ConfigFile = Annotated[
    Path,
    typer.Option("-c", "--config", help="The configuration; `lifeline init DIR` writes one.", show_default=True),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.")]
DEFAULT_CONFIG = Path("lifeline.toml")
PIPED_COLUMNS = 200
GOOD, BAD, DOUBT = ("✓", "green"), ("✗", "red"), ("!", "yellow")
"""What a line of ``say`` begins with."""
WHOLE = frozenset({"id", "event_id", "alarm_id", "level", "status", "state", "raised_at", "cleared_at", "due_at", "at"})
"""Columns that are never folded: they are copied, or compared from row to row."""


def console(*, stderr: bool = False) -> Console:
    """A rich console; piped, lines are as long as they need to be, so that ``grep`` finds whole ids.

    Without markup: remedies name ``[[sink]]``, and what citizens and devices write is nobody's to style. Styles come as
    ``Text`` (``say``).
    """
    from rich.console import Console

    piped = not (sys.stderr if stderr else sys.stdout).isatty()
    width = PIPED_COLUMNS if piped and "COLUMNS" not in os.environ else None
    return Console(
        stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=piped and not stderr, width=width
    )


def say(*parts: Part, stderr: bool = False) -> None:
    """A line for people, put together from parts of which each may have a style."""
    from rich.text import Text

    shown = [printable(part) if isinstance(part, str) else (printable(part[0]), part[1]) for part in parts]
    console(stderr=stderr).print(Text.assemble(*shown), soft_wrap=True)


def site_zone(config: Path) -> tzinfo:
    """The time zone of a site's screens; UTC where the configuration cannot be read (its errors are told elsewhere)."""
    from zoneinfo import ZoneInfo

    from lifeline.config import load
    from lifeline.core.errors import ConfigurationError

    try:
        return ZoneInfo(load(config).site.timezone)
    except ConfigurationError:
        return UTC


def bear_any_terminal() -> None:
    r"""What a terminal's encoding does not have (GBK and ASCII have no ✓) is written as ``\\u2713``; nothing fails."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in {
            "strict",
            "surrogateescape",
        }:  # the latter in locale C
            stream.reconfigure(errors="backslashreplace")


def print_json(document: object) -> None:
    """One JSON document on stdout; times become ISO 8601, bytes become text (``text_of``).

    In UTF-8; a stdout of another encoding gets escapes, which mean the same.
    """
    ascii_only = codecs.lookup(sys.stdout.encoding or "utf-8").name != "utf-8"
    sys.stdout.write(json.dumps(document, ensure_ascii=ascii_only, default=_plain) + "\n")
    sys.stdout.flush()


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes):
        return text_of(value)
    if hasattr(value, "item"):
        return value.item()
    return str(value)


def table(
    title: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]], *, empty: str, zone: tzinfo = UTC
) -> None:
    """A table for people: chosen columns of rows, times in ``zone``, or the sentence ``empty``.

    On a terminal too narrow for it a paragraph a row: a table of columns three letters wide is nobody's to read.
    """
    from rich.table import Table
    from rich.text import Text

    out = console()
    if not rows:
        out.print(empty)
        return
    cells = [[_cell(row.get(column), column, Text, zone) for column in columns] for row in rows]
    if out.is_terminal and _least_width(columns, cells) > out.width:
        _paragraphs(title, columns, cells, out)
        return
    drawn = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column in columns:
        drawn.add_column(column, overflow="fold", no_wrap=column in WHOLE)
    for line in cells:
        drawn.add_row(*line)
    out.print(drawn)


def _least_width(columns: Sequence[str], cells: Sequence[Sequence[Any]]) -> int:
    """Characters that a table needs in which only long texts are folded."""
    widths: list[int] = [max(len(name), *(line[k].cell_len for line in cells)) for k, name in enumerate(columns)]
    least = [width if name in WHOLE else min(width, FOLDED) for name, width in zip(columns, widths, strict=True)]
    return sum(least) + 2 * (len(columns) - 1)


def _paragraphs(title: str, columns: Sequence[str], cells: Sequence[Sequence[Any]], out: Console) -> None:
    """A row a paragraph: what it is first, the rest by name below."""
    from rich.padding import Padding
    from rich.text import Text

    if title:
        out.print(title)
    head = {0, *(k for k, name in enumerate(columns) if name in HEADING)}
    for line in cells:
        first = Text("  ").join(line[k] for k in sorted(head) if line[k].plain)
        first.stylize("bold")
        out.print(first)
        rest = [(columns[k], line[k]) for k in range(len(columns)) if k not in head and line[k].plain]
        told = Text(" · ").join(Text.assemble((f"{name} ", "dim"), cell) for name, cell in rest)
        out.print(Padding(told, (0, 0, 0, 2)))


def records(
    head: Sequence[str], body: Sequence[str], rows: Sequence[Mapping[str, Any]], *, empty: str, zone: tzinfo = UTC
) -> None:
    """Rows with text too long for a table: a line of the ``head`` columns, below it one for each of ``body``."""
    from rich.text import Text

    out = console()
    if not rows:
        out.print(empty)
    for row in rows:
        line = Text("  ").join(_cell(row.get(column), column, Text, zone) for column in head)
        line.stylize("bold")
        out.print(line, soft_wrap=True)
        for column in body:
            out.print(Text("  ") + _cell(row.get(column), column, Text, zone), soft_wrap=True)


FOLDED = 24
"""Width at which a long text may be folded in a table."""
HEADING = frozenset({"level", "status", "state"})
"""Columns that stand beside a row's first where rows are paragraphs."""
_LEVEL_STYLE = {"red": "bold white on red", "orange": "black on dark_orange", "yellow": "black on yellow3"}


def shown_time(at: datetime, zone: tzinfo) -> str:
    """A time on a screen: the site's clock, without the year."""
    return f"{at.astimezone(zone):%m-%d %H:%M:%S}"


def _cell(value: object, column: str, text: Any, zone: tzinfo) -> Any:
    if value is None:
        return text("")
    if column == "level":
        return text(f" {value} ", style=_LEVEL_STYLE.get(str(value), "white on blue"))
    if isinstance(value, datetime):
        return text(shown_time(value, zone))
    if isinstance(value, float):
        return text(f"{value:g}")
    return text(printable(text_of(value) if isinstance(value, bytes) else plain(value)))


def plain(value: object) -> str:
    """A value in words: yes and no, and no brackets about what has several parts."""
    if isinstance(value, bool):
        return "yes 是" if value else "no 否"
    if isinstance(value, dict):
        return ", ".join(f"{name} {plain(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        nested = any(isinstance(one, list | tuple) for one in value)
        return (", " if nested else " ").join(map(plain, value))
    return "–" if value is None else str(value)


def printable(text: str) -> str:
    """Text that does nothing to the terminal: control characters as their escapes."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def text_of(data: bytes) -> str:
    """Bytes that a device sent: the text that they are, else ``hex:`` and their digits."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return f"hex:{data.hex()}"


@contextmanager
def failures(*, as_json: bool = False) -> Iterator[None]:
    """Turn errors raised on purpose into a message and an exit status; anything else is a defect and stays loud."""
    from lifeline.core.errors import ConfigurationError, LifelineError

    try:
        yield
    except ConfigurationError as error:
        if as_json:
            print_json({"error": "configuration", "problems": [str(problem) for problem in error.problems]})
        for problem in error.problems:
            say(BAD, f" {problem.file}: ", (problem.key, "bold"), f": {problem.message}", stderr=True)
            if problem.remedy:
                say(f"  → {problem.remedy}", stderr=True)
        raise typer.Exit(error.exit_status) from error
    except LifelineError as error:
        if as_json:
            print_json({"error": type(error).__name__, "message": str(error)})
        say(BAD, f" {error}", stderr=True)
        raise typer.Exit(error.exit_status) from error
    except BrokenPipeError:
        raise typer.Exit(0) from None
