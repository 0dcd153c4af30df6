"""The page of a report: HTML that holds all it shows, runs nothing, and asks nobody for anything.

What is no `Html` is escaped wherever it is put in, so that a title with markup in it is read as it is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

# Styles and pictures of the page alone: a browser would refuse a script even if one came in.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
STYLE = """
:root { color-scheme: light dark;
  --ground: light-dark(#f6f7f5, #15191a); --card: light-dark(#ffffff, #1f2526); --ink: light-dark(#1b2321, #e8edeb);
  --quiet: light-dark(#55615d, #a5b1ac); --edge: light-dark(#c3ccc8, #46514e); --band: light-dark(#e6e6e6, #38413f);
  font: 16px/1.55 system-ui, sans-serif; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 64rem; padding: 1rem clamp(.75rem, 3vw, 2rem) 3rem; background: var(--ground);
  color: var(--ink); overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .5rem 0; }
h2 { font-size: 1.25rem; margin: 0 0 .25rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 .25rem; }
.lead { margin: 0 0 .75rem; max-width: 44rem; }
.quiet, figcaption, footer { color: var(--quiet); font-size: .875rem; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; list-style: none; margin: 0 0 1rem; padding: 0; }
a { color: inherit; }
section { background: var(--card); border: 1px solid var(--edge); border-radius: .6rem; margin: 1rem 0;
  padding: 1rem clamp(.75rem, 2.5vw, 1.5rem); }
.beside { display: grid; gap: 0 1rem; grid-template-columns: repeat(auto-fit, minmax(min(19rem, 100%), 1fr)); }
figure { margin: .75rem 0; }
.scroll { overflow-x: auto; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--ink); }
table { border-collapse: collapse; font-size: .9rem; margin: .5rem 0; min-width: min(100%, 24rem); }
th, td { border-bottom: 1px solid var(--edge); overflow-wrap: break-word; padding: .3rem .9rem .3rem 0;
  text-align: left; vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
@media print {
  :root { color-scheme: light; }
  body { background: none; max-width: none; padding: 0; font-size: 10.5pt; }
  section { border: 0; padding: 0; }
  nav { display: none; }
  figure, tr { break-inside: avoid; }
  h2, h3, .lead { break-after: avoid; }
  svg { min-width: 0 !important; max-width: 100%; max-height: 20cm; }
}
""".strip()


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Parameters
    ----------
    title : str
    lead : str
        What one sees here, in plain words, for somebody who was not there.
    body : tuple of Html
    """

    title: str
    lead: str
    body: tuple[Html, ...]


def shown(value: Any) -> Html:
    """Any value as text of the page, markup as it is."""
    if isinstance(value, Html):
        return value
    if isinstance(value, bool | np.bool_):
        return Html("yes" if value else "no")
    if isinstance(value, int | np.integer):
        return Html(f"{value:,}")
    if isinstance(value, float | np.floating):
        return Html(f"{value:.4g}".replace("-", "−"))
    return Html(escape(str(value)))


def paragraph(text: Any, kind: str = "") -> Html:
    """A paragraph, of the class `kind`."""
    return Html(f"<p{f' class={kind}' if kind else ''}>{shown(text)}</p>")


def lines(texts: Iterable[Any]) -> Html:
    """One below the other."""
    return Html("<br>".join(shown(text) for text in texts))


def heading(text: Any) -> Html:
    """Of a part of a section."""
    return Html(f"<h3>{shown(text)}</h3>")


def bullets(texts: Iterable[Any]) -> Html:
    """A list."""
    return Html(f"<ul>{''.join(f'<li>{shown(text)}</li>' for text in texts)}</ul>")


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Html:
    """A table whose numbers stand at the right."""
    rows = [list(row) for row in rows]
    numbers = [bool(rows) and all(_is_number(row[column]) for row in rows) for column in range(len(head))]

    def cell(tag: str, value: Any, number: bool) -> str:
        return f"<{tag}{' class=number' * number}>{shown(value)}</{tag}>"

    first = "".join(cell("th", name, number) for name, number in zip(head, numbers, strict=True))
    body = "".join(
        f"<tr>{''.join(cell('td', value, number) for value, number in zip(row, numbers, strict=True))}</tr>"
        for row in rows
    )
    return Html(f"<div class=scroll><table><thead><tr>{first}</tr></thead><tbody>{body}</tbody></table></div>")


def _is_number(value: Any) -> bool:
    return value == "" or (isinstance(value, int | float | np.number) and not isinstance(value, bool))


def beside(parts: Iterable[Html]) -> Html:
    """Parts next to each other where there is room."""
    return Html(f"<div class=beside>{''.join(parts)}</div>")


def page(title: str, lead: str, sections: Sequence[Section], foot: str) -> str:
    """The whole file.

    Examples
    --------
    >>> from fmkit.report.page import Section, page, paragraph
    >>> "&lt;b&gt;" in page("<b>", "a model", [Section("what", "you see", (paragraph("x"),))], "fmkit")
    True
    """
    links = "".join(f'<li><a href="#part{n}">{shown(one.title)}</a></li>' for n, one in enumerate(sections))
    parts = "\n".join(
        f'<section id="part{n}"><h2>{shown(one.title)}</h2>\n{paragraph(one.lead, "lead")}\n'
        f"{''.join(one.body)}</section>"
        for n, one in enumerate(sections)
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{shown(title)}</title>
<style>
{STYLE}
</style>
</head>
<body>
<header><h1>{shown(title)}</h1>
{paragraph(lead, "lead")}
<nav aria-label="Parts of this report"><ul>{links}</ul></nav></header>
<main>
{parts}
</main>
<footer>{paragraph(foot)}</footer>
</body>
</html>
"""
