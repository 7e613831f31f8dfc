# SPDX-License-Identifier: Apache-2.0
"""Report pages: self-contained, well formed, escaped, and honest about what was only modelled."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from wav2small_micro import html

VOID = {"meta", "link", "br"}
NASTY = '<script>alert("1")</script> & "quotes" \x27</pre>'


class Checker(HTMLParser):
    """Holds that every element is closed in order, and notes what the page would fetch."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        if identifier := values.get("id"):
            self.ids.append(identifier)
        for name in ("src", "href", "xlink:href"):
            target = values.get(name) or "#"
            if not target.startswith(("#", "data:")):
                self.fetched.append(target)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def figure(origin: html.Badge) -> object:
    drawn = html.drawing()
    axes = drawn.subplots()
    axes.bar(["a", "b"], [1, 2], label="bars", **html.bar_style(origin))
    axes.plot([0, 1], [2, 1], label="line", **html.line_style(origin))
    axes.set(title=NASTY, xlabel="seconds")
    axes.legend()
    return drawn


@pytest.fixture(scope="module")
def page() -> html.Page:
    page = html.Page(NASTY, verdict=html.bad(NASTY), lead=NASTY, footer=NASTY)
    page.facts({NASTY: NASTY, "modelled": html.Value(NASTY, html.MODELLED)})
    for origin in (html.MEASURED, html.MODELLED):
        section = page.section(NASTY)
        section.text(NASTY)
        section.code(NASTY)
        section.badges([html.good(NASTY)])
        section.table([NASTY, "n"], [(NASTY, 12345), ("b", None)], caption=NASTY, folded=NASTY)
        section.figure(figure(origin), caption=NASTY, origin=origin)
    return page


def test_a_page_is_well_formed_and_fetches_nothing(page: html.Page) -> None:
    text = page.render()
    checker = Checker(text)
    assert not checker.open
    assert not checker.fetched
    assert len(checker.ids) == len(set(checker.ids))
    assert "script" not in checker.tags
    assert not re.search(r"url\((?!#)", text)
    assert "12,345" in text


def test_measured_and_modelled_do_not_look_alike(page: html.Page) -> None:
    text = page.render()
    measured, modelled = text.split('<figure class="modelled">')
    assert '<figure class="measured">' in measured
    assert "<pattern" in modelled
    assert "<pattern" not in measured
    assert re.search(r"figure\.modelled \{[^}]*dashed", text)
    assert modelled.count('<span class="badge modelled">modelled</span>') == 1


def test_links_inside_a_page_lead_somewhere(page: html.Page) -> None:
    text = page.render()
    targets = re.findall(r'href="#([^"]+)"', text) + re.findall(r"url\(#([^)]+)\)", text)
    assert set(targets) <= set(Checker(text).ids)
    assert len(targets) > 6


def test_numbers_stand_on_the_right(tmp_path: Path) -> None:
    page = html.Page("t")
    page.section("s").table(
        ["name", "count", "size", "word"], [("a", 1234, "1.5 kB", "yes"), ("b", None, "2 kB", "no")]
    )
    page.write(tmp_path / "folder" / "page.html")
    text = (tmp_path / "folder" / "page.html").read_text()
    assert text.count('<td class="number">') == 4
    assert '<td class="number">1,234</td>' in text
    assert '<td class="number">–</td>' in text
