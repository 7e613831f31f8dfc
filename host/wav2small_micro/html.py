# SPDX-License-Identifier: Apache-2.0
"""Reports as one HTML file: no script, nothing to fetch, every text escaped.

A page has a title with a verdict, facts, and sections of paragraphs, tables and figures. It reads
on a screen, light or dark, on paper, and with a keyboard alone. What was measured and what a model
says never look alike: :data:`MEASURED` figures and values have a solid frame, :data:`MODELLED`
ones a dashed one and slanted digits, and both carry the word.

>>> page = Page("Latency of a board", verdict=good("PASS"), lead="Each block is in time.")
>>> page.facts({"board": "stm32f407_discovery", "blocks": 250})
>>> section = page.section("Layers")
>>> section.table(["layer", "cycles"], [("l1", Value("81,204", MODELLED)), ("l2", 99)])
>>> "<script" in page.render(), "dashed" in page.render()
(False, True)
"""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK = "#0d0e0f"
"""Colour of a figure's text and axes: it becomes the page's own, dark on light or light on dark."""
COLOURS = ("#4a7fb5", "#cf6f3c", "#5f9e55", "#a264a8", "#2f9c9c", "#b8912f")
"""Colours of data that are legible on light and on dark."""


@dataclass(frozen=True)
class Badge:
    """A word in a coloured frame. ``kind``: good, bad, warning, note, measured or modelled."""

    text: str
    kind: str

    def render(self) -> str:
        """As HTML."""
        return f'<span class="badge {self.kind}">{escape(self.text)}</span>'


def good(text: str) -> Badge:
    """A verdict that holds."""
    return Badge(text, "good")


def bad(text: str) -> Badge:
    """A verdict that does not hold."""
    return Badge(text, "bad")


def warning(text: str) -> Badge:
    """Something to know that decides nothing."""
    return Badge(text, "warning")


def note(text: str) -> Badge:
    """A neutral word, such as `skipped`."""
    return Badge(text, "note")


MEASURED = Badge("measured", "measured")
"""Origin of a figure that an instrument, a counter or a clock gave."""
MODELLED = Badge("modelled", "modelled")
"""Origin of a figure that was computed from others by a model."""


@dataclass(frozen=True)
class Value:
    """A number in a table or among the facts, with where it comes from."""

    text: str
    origin: Badge

    def render(self) -> str:
        """As HTML."""
        digits = f'<span class="value {self.origin.kind}">{escape(self.text)}</span>'
        return f"{self.origin.render()}&nbsp;{digits}"


Cell = str | int | float | None | Badge | Value
"""What a table or a fact shows. Numbers get separators of thousands; None is a dash."""


class Section:
    """A part of a page, with a heading; :meth:`Page.section` makes it."""

    def __init__(self, page: Page, title: str, anchor: str) -> None:
        self.title = title
        self.anchor = anchor
        self._page = page
        self._parts: list[str] = []

    def text(self, paragraph: str) -> None:
        """A paragraph of plain text."""
        self._parts.append(f"<p>{escape(paragraph)}</p>")

    def code(self, text: str) -> None:
        """Text as a terminal shows it: commands, logs."""
        self._parts.append(f'<pre tabindex="0">{escape(text)}</pre>')

    def badges(self, badges: Iterable[Badge]) -> None:
        """A line of badges."""
        self._parts.append(f"<p>{' '.join(badge.render() for badge in badges)}</p>")

    def table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[Cell]],
        *,
        caption: str = "",
        folded: str = "",
    ) -> None:
        """A table; its first column names the rows, columns of numbers stand on the right.

        With ``folded`` it is hidden behind these words until somebody opens it.
        """
        cells = [list(row) for row in rows]
        table = _table(columns, cells, caption)
        if folded:
            table = f"<details><summary>{escape(folded)}</summary>{table}</details>"
        self._parts.append(table)

    def figure(
        self, drawing: Figure | str, *, caption: str, origin: Badge | None = None, alt: str = ""
    ) -> None:
        """A figure of matplotlib (see :func:`drawing`) or SVG text that the caller vouches for.

        ``caption`` says what to see. ``alt`` is for those who cannot: the caption if it is empty.
        """
        svg = drawing if isinstance(drawing, str) else to_svg(drawing)
        svg = _own_ids(svg, self._page.next_figure())
        svg = svg.replace("<svg ", f'<svg role="img" aria-label="{escape(alt or caption)}" ', 1)
        kind = origin.kind if origin else "plain"
        words = f"{origin.render()} " if origin else ""
        self._parts.append(
            f'<figure class="{kind}">{svg}<figcaption>{words}{escape(caption)}</figcaption>'
            "</figure>"
        )

    def render(self) -> str:
        """As HTML."""
        head = f'<section id="{self.anchor}"><h2>{escape(self.title)}</h2>'
        return head + "\n".join(self._parts) + "</section>"


class Page:
    """A report. ``lead`` is the sentence under the title; ``footer`` says how to make it again."""

    def __init__(
        self, title: str, *, verdict: Badge | None = None, lead: str = "", footer: str = ""
    ) -> None:
        self.title = title
        self.verdict = verdict
        self.lead = lead
        self.footer = footer
        self._facts: list[tuple[str, Cell]] = []
        self._sections: list[Section] = []
        self._figures = itertools.count(1)

    def facts(self, facts: Mapping[str, Cell]) -> None:
        """Adds names and values to the list under the title."""
        self._facts += facts.items()

    def section(self, title: str) -> Section:
        """Adds a section."""
        section = Section(self, title, f"part-{len(self._sections) + 1}")
        self._sections.append(section)
        return section

    def next_figure(self) -> str:
        """A prefix for the ids inside the next figure, so that no two figures share one."""
        return f"figure{next(self._figures)}-"

    def render(self) -> str:
        """The whole document."""
        verdict = self.verdict.render() if self.verdict else ""
        lead = f'<p class="lead">{escape(self.lead)}</p>' if self.lead else ""
        facts = "".join(
            f"<div><dt>{escape(name)}</dt><dd>{_cell(value)}</dd></div>"
            for name, value in self._facts
        )
        links = "".join(
            f'<li><a href="#{part.anchor}">{escape(part.title)}</a></li>' for part in self._sections
        )
        return _DOCUMENT.format(
            title=escape(self.title),
            style=_STYLE,
            verdict=verdict,
            lead=lead,
            facts=f"<dl>{facts}</dl>" if facts else "",
            links=f'<nav aria-label="Sections"><ul>{links}</ul></nav>'
            if len(self._sections) > 1
            else "",
            sections="\n".join(part.render() for part in self._sections),
            footer=f"<footer><pre>{escape(self.footer)}</pre></footer>" if self.footer else "",
        )

    def write(self, path: Path) -> None:
        """Saves the document; folders are made."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.render(), "utf-8")


# --- Figures ------------------------------------------------------------------------------------


def drawing(width: float = 9.0, height: float = 3.6) -> Figure:
    """An empty figure of matplotlib, in inches, in the style of the pages: draw on
    ``.subplots()`` with :data:`COLOURS`, and give it to :meth:`Section.figure`."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def bar_style(origin: Badge, colour: str = COLOURS[0]) -> dict[str, Any]:
    """Arguments of ``Axes.bar`` and ``barh``: filled where measured, hatched where modelled."""
    if origin == MODELLED:
        return {"facecolor": "none", "edgecolor": colour, "hatch": "////", "linestyle": "--"}
    return {"facecolor": colour, "edgecolor": colour}


def line_style(origin: Badge, colour: str = COLOURS[0]) -> dict[str, Any]:
    """Arguments of ``Axes.plot``: drawn through where measured, dashed where modelled."""
    return {"color": colour, "linestyle": "--" if origin == MODELLED else "-"}


def to_svg(figure: Figure) -> str:
    """A figure as an SVG element without background, its text as text, in the page's ink."""
    import matplotlib

    for axes in figure.axes:
        _in_ink(axes)
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "w2s"}):
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg ") :].replace(INK, "currentColor")
    points = re.search(r' width="([\d.]+)pt"', text)
    assert points
    text = re.sub(r' (width|height)="[\d.]+pt"', "", text, count=2)
    # As wide as it was drawn, or as the page if that is narrower.
    return text.replace("<svg ", f'<svg style="width:{float(points[1]) * 4 / 3:.0f}px" ', 1)


def _in_ink(axes: Any) -> None:
    """Text and axes of a plot in :data:`INK`, the frame open above and on the right."""
    axes.patch.set_alpha(0)
    for spine in axes.spines.values():
        spine.set_color(INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK, which="both")
    texts = [axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
    legend = axes.get_legend()
    if legend is not None:
        legend.get_frame().set_alpha(0)
        texts += [*legend.get_texts(), legend.get_title()]
    for text in texts:
        if text.get_color() == "black":
            text.set_color(INK)


def _own_ids(svg: str, prefix: str) -> str:
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}\1"', svg)
    return re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}\1)", svg)


# --- Tables -------------------------------------------------------------------------------------


def _cell(value: Cell) -> str:
    if isinstance(value, Badge | Value):
        return value.render()
    return escape(_plain(value)).replace("\n", "<br>")


def _plain(value: str | int | float | None) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else value


def _table(columns: Sequence[str], rows: list[list[Cell]], caption: str) -> str:
    numbers = [_is_numeric(column) for column in itertools.zip_longest(*rows)] if rows else []
    numbers += [False] * (len(columns) - len(numbers))
    right = [' class="number"' if number else "" for number in numbers]
    head = "".join(
        f'<th scope="col"{css}>{escape(c)}</th>' for c, css in zip(columns, right, strict=False)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<th scope="row">{_cell(value)}</th>'
            if i == 0
            else f"<td{right[i]}>{_cell(value)}</td>"
            for i, value in enumerate(row)
        )
        + "</tr>\n"
        for row in rows
    )
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    # The frame takes the keyboard, so that a wide table can be scrolled without a mouse.
    return (
        f'<div class="table" tabindex="0"><table>{title}<thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


_NUMBER = re.compile(r"[-+±]?[\d,.]+( ?(%|[µnmkMGT]?[A-Za-z]{1,3}))?")


def _is_numeric(column: Iterable[Cell]) -> bool:
    """Whether all that is there are numbers, with a unit or without."""
    filled = [cell for cell in column if cell not in (None, "", "–")]
    return bool(filled) and all(
        isinstance(cell, int | float | Value)
        or (isinstance(cell, str) and _NUMBER.fullmatch(cell) is not None)
        for cell in filled
    )


# --- The document ---------------------------------------------------------------------------------

# The policy forbids whatever a text that slipped through might want to fetch or run.
_DOCUMENT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header>
<h1>{title} {verdict}</h1>
{lead}
{facts}
{links}
</header>
<main id="content" tabindex="-1">
{sections}
</main>
{footer}
</body>
</html>
"""

_STYLE = """
:root { --ink: #1d2127; --quiet: #57606c; --paper: #ffffff; --panel: #f4f6f8; --line: #d5dae0;
  --link: #1f5fa8; --good: #1c6b34; --good-bg: #dcf3e2; --bad: #a11a1a; --bad-bg: #fbe1e1;
  --warning: #7a4d00; --warning-bg: #fdefcf; --measured: #1f5fa8; --modelled: #8a3d8f; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e7eb; --quiet: #a3adba; --paper: #15181c; --panel: #1e2329; --line: #363d46;
    --link: #86b7ee; --good: #86dba0; --good-bg: #14361f; --bad: #ff9f9f; --bad-bg: #491b1b;
    --warning: #f2c46d; --warning-bg: #3d2d0c; --measured: #86b7ee; --modelled: #d99be0; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 66rem; color: var(--ink);
  background: var(--paper); font: 1rem/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .5rem; }
h1 .badge { font-size: 1.1rem; vertical-align: .15em; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem; padding-top: .75rem;
  border-top: 1px solid var(--line); }
p { max-width: 46rem; margin: .5rem 0; }
.lead { font-size: 1.1rem; color: var(--quiet); }
a { color: var(--link); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
main:focus { outline: none; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: .5rem; background: var(--paper); padding: .25rem .5rem; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: .6rem 1.5rem;
  margin: 1rem 0; padding: 1rem; background: var(--panel); border-radius: .5rem; }
dt { font-size: .8rem; color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: 1rem 0 0; padding: 0;
  list-style: none; }
.table { overflow-x: auto; margin: .75rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .93rem; }
caption { text-align: left; color: var(--quiet); padding-bottom: .35rem; }
th, td { padding: .35rem .8rem .35rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }
thead th { font-size: .82rem; color: var(--quiet); white-space: nowrap; vertical-align: bottom; }
tbody th { font-weight: 600; white-space: nowrap; }
.number { text-align: right; white-space: nowrap; }
.badge { display: inline-block; padding: 0 .5em; border-radius: .3em; font-size: .8rem;
  font-weight: 600; white-space: nowrap; border: 1px solid transparent; }
.badge.good { color: var(--good); background: var(--good-bg); border-color: var(--good); }
.badge.bad { color: var(--bad); background: var(--bad-bg); border-color: var(--bad); }
.badge.warning { color: var(--warning); background: var(--warning-bg);
  border-color: var(--warning); }
.badge.note { color: var(--quiet); background: var(--panel); border-color: var(--line); }
.badge.measured { color: var(--paper); background: var(--measured); }
.badge.modelled { color: var(--modelled); border: 1px dashed var(--modelled);
  font-style: italic; }
.value.modelled { font-style: italic; color: var(--modelled);
  border-bottom: 1px dashed var(--modelled); }
figure { margin: 1rem 0; padding: .75rem; border: 1px solid var(--line); border-radius: .5rem;
  break-inside: avoid; }
figure.measured { border: 2px solid var(--measured); }
figure.modelled { border: 2px dashed var(--modelled); }
figure svg { display: block; max-width: 100%; height: auto; color: var(--ink); }
figure svg text { font-family: inherit !important; }
figcaption { margin-top: .5rem; color: var(--quiet); font-size: .93rem; max-width: 46rem; }
pre { overflow-x: auto; padding: .75rem; background: var(--panel); border-radius: .5rem;
  font: .87rem/1.45 ui-monospace, "DejaVu Sans Mono", monospace; }
details { margin: .75rem 0; }
summary { cursor: pointer; color: var(--link); }
footer { margin-top: 3rem; color: var(--quiet); }
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav, .skip { display: none; }
  .badge, figure, dl { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  tr { break-inside: avoid; } h2 { break-after: avoid; }
}
"""
