"""``audit proof | consistency``: proofs for somebody who trusts a checkpoint and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lifeline.cli.output import DEFAULT_CONFIG, AsJson, ConfigFile, console, failures, print_json

if TYPE_CHECKING:
    from collections.abc import Mapping

app = typer.Typer(help="Proofs about the audit (RFC 9162). 审计证明。", no_args_is_help=True)

Size = Annotated[int | None, typer.Option(min=1, help="Of the tree, e.g. a checkpoint's; all entries when left out.")]


@app.command()
def proof(
    entry: Annotated[int, typer.Argument(min=0, help="Number of the entry.")],
    *,
    config: ConfigFile = DEFAULT_CONFIG,
    size: Size = None,
    json: AsJson = False,
) -> None:
    """Prove that an entry is in the tree that a checkpoint has signed: its leaf, the root, the hashes between them."""
    from lifeline.app.queue import open_desk

    with failures(as_json=json), open_desk(config) as desk:
        _tell(desk.prove_entry(entry, size), as_json=json)


@app.command()
def consistency(
    older: Annotated[int, typer.Argument(min=1, help="Entries of the older tree.")],
    *,
    config: ConfigFile = DEFAULT_CONFIG,
    size: Size = None,
    json: AsJson = False,
) -> None:
    """Prove that the audit begins with an older one: nothing before it was rewritten."""
    from lifeline.app.queue import open_desk

    with failures(as_json=json), open_desk(config) as desk:
        _tell(desk.prove_consistency(older, size), as_json=json)


def _tell(found: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    out = console()
    for name, value in found.items():
        for line in value if isinstance(value, list) else [value]:
            out.print(f"{name} {line}", soft_wrap=True)
