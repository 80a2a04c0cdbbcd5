"""The results as one static HTML page: the picture, all targets, then every figure with spread and peers. No script."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING, Any, Final

from benchmarks import summary
from benchmarks.picture import describe
from benchmarks.report import number, spread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

STYLE: Final = """\
body { font: 14px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 68rem; padding: 0 1rem; color: #212529 }
img { max-width: 100% } table { border-collapse: collapse; margin: .5rem 0 1rem; width: 100% }
td, th { padding: .15rem .6rem; border-bottom: 1px solid #e9ecef; text-align: right }
td:first-child, th:first-child, td:nth-child(4), th:nth-child(4) { text-align: left }
.met { color: #2b8a3e } .missed, .error { color: #c92a2a } .peer td { color: #495057 } .note { color: #495057 }
code { background: #f1f3f5; padding: 0 .25rem }
"""


def write(document: Mapping[str, Any], picture: Path, path: Path) -> None:
    """The page beside its picture, which is inside it: one file that can be sent to somebody."""
    image = base64.b64encode(picture.read_bytes()).decode("ascii")
    body = "\n".join(_body(document))
    path.write_text(
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>Lifeline benchmarks</title>\n'
        f"<style>\n{STYLE}</style>\n<h1>Lifeline benchmarks</h1>\n"
        f"<p>{escape(describe(document['machine']))}. Reproduce: <code>python -m benchmarks run</code></p>\n"
        f'<img alt="comparison with peers and targets" src="data:image/png;base64,{image}">\n{body}\n</html>\n',
        encoding="utf-8",
    )


def _body(document: Mapping[str, Any]) -> Iterator[str]:
    if lines := summary.lines(document["results"]):
        yield "<h2>All targets and peers</h2>"
        yield "<table><tr><th>figure<th>ours<th>spread<th>unit<th>target<th><th>peers of the same run</tr>"
        for line in lines:
            row = _row(f"{line.workload} · {line.name}", line.figure).removesuffix("</tr>")
            yield f"{row}<td>{escape(line.verdict)}<td>{escape(summary.told(line.peers))}</tr>"
        yield "</table>"
    for result in document["results"]:
        yield f"<h2>{escape(result['workload'])} <small>scale {result['scale']:g}</small></h2>"
        if "error" in result:
            yield f'<pre class="error">{escape(result["error"])}</pre>'
            continue
        yield "<table><tr><th>figure<th>median<th>spread<th>unit<th>target</tr>"
        for name, figure in result["figures"].items():
            yield _row(name, figure)
        for peer, figures in result["peers"].items():
            if "skipped" in figures:
                yield f'<tr class="peer"><td colspan="5">{escape(peer)}: skipped, {escape(figures["skipped"])}</tr>'
                continue
            yield f'<tr class="peer"><td colspan="5"><b>{escape(peer)}</b></tr>'
            for name, figure in figures.items():
                yield _row(name, figure, "peer")
        yield "</table>"
        for note in result["notes"]:
            yield f'<p class="note">{escape(note)}</p>'
        yield f'<p class="note">result hash <code>{escape(result["hash"])}</code></p>'


def _row(name: str, figure: Mapping[str, Any], kind: str = "") -> str:
    aim = ""
    if figure.get("target") is not None:
        sign = "≥" if figure["better"] == "higher" else "≤"
        aim = f'<span class="{"met" if figure["met"] else "missed"}">{sign} {number(figure["target"])}</span>'
    cells = (escape(name), number(figure["value"]), spread(figure), escape(figure["unit"]), aim)
    return f'<tr class="{kind}">' + "".join(f"<td>{cell}" for cell in cells) + "</tr>"
