"""HTML in, what a reader of the page would see as blocks out: no scripts, no navigation, nothing hidden."""

from __future__ import annotations

import re

import lxml.html
from lxml import etree

from pipelines.domain import Block, ParsedDocument
from pipelines.errors import UnreadableDocument
from pipelines.ingest.formats.clean import clean_line, clean_lines
from pipelines.ingest.formats.outline import Outline
from pipelines.ingest.formats.table import table_block

_DROPPED = {"script", "style", "noscript", "template", "nav", "head", "svg", "iframe", "object", "button", "select"}
# fmt: off
_BLOCKS = {
    "address", "article", "aside", "blockquote", "body", "caption", "dd", "details", "div", "dl", "dt", "fieldset",
    "figcaption", "figure", "footer", "form", "header", "hr", "html", "li", "main", "ol", "p", "pre", "section",
    "summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
}
# fmt: on
_LISTS = ("ul", "ol")
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0", re.IGNORECASE)


def parse(data: bytes) -> ParsedDocument:
    """The title is the h1 where there is one; <title> often names the site too.

    Raises:
        UnreadableDocument: nothing in it can be read as HTML.
    """
    try:
        root = lxml.html.document_fromstring(data, parser=lxml.html.HTMLParser(encoding=_encoding(data)))
    except (etree.ParserError, etree.XMLSyntaxError) as error:
        raise UnreadableDocument("The file holds no readable HTML.") from error
    reader = _Reader()
    reader.read(root)
    title = reader.titles[0] if len(reader.titles) == 1 else clean_line(root.findtext(".//title") or "")
    return ParsedDocument(tuple(reader.blocks), title=title)


class _Reader:
    """Walks the tree in reading order, gathering text until an element that begins or ends a block."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.titles: list[str] = []
        self._outline = Outline()
        self._text: list[str] = []

    def read(self, root: lxml.html.HtmlElement) -> None:
        self._walk(root)
        self._flush()

    def _walk(self, element: lxml.html.HtmlElement) -> None:
        if _is_hidden(element):
            return
        tag = element.tag
        if tag in _HEADINGS:
            self._heading(_HEADINGS[tag], _text_of(element))
        elif tag in _LISTS:
            self._flush()
            self._add("\n".join(_list_lines(element)), is_list=True)
        elif tag == "table" and element.find(".//table") is None:
            self._table(element)
        elif tag == "br":
            self._text.append("\n")
        else:
            self._walk_inside(element, is_block=tag in _BLOCKS)

    def _walk_inside(self, element: lxml.html.HtmlElement, *, is_block: bool) -> None:
        if is_block:
            self._flush()
        keeps_lines = element.tag == "pre"
        self._gather(element.text, keeps_lines)
        for child in element:
            self._walk(child)
            self._gather(child.tail, keeps_lines)
        if is_block:
            self._flush()

    def _gather(self, text: str | None, keeps_lines: bool) -> None:
        if text:
            self._text.append(text if keeps_lines else re.sub(r"\s+", " ", text))

    def _flush(self) -> None:
        text, self._text = "".join(self._text), []
        self._add(text)

    def _add(self, text: str, *, is_list: bool = False) -> None:
        body = clean_lines(text)
        if body:
            self.blocks.append(Block(body, kind="list" if is_list else "paragraph", section=self._outline.path))

    def _heading(self, level: int, text: str) -> None:
        self._flush()
        heading = clean_line(text)
        if not heading:
            return
        if level == 1:
            self.titles.append(heading)
        self._outline.enter(level, heading)
        self.blocks.append(Block(heading, kind="heading", section=self._outline.path))

    def _table(self, table: lxml.html.HtmlElement) -> None:
        self._flush()
        for caption in table.findall("caption"):
            self._add(_text_of(caption))
        rows = [row for row in table.iter("tr") if not _is_hidden(row)]
        cells = [[_text_of(cell) for cell in row.iterchildren("td", "th") if not _is_hidden(cell)] for row in rows]
        first_is_header = bool(rows) and (rows[0].getparent().tag == "thead" or rows[0].find("td") is None)
        block = table_block(cells, section=self._outline.path, has_header=first_is_header)
        if block:
            self.blocks.append(block)


def _encoding(data: bytes) -> str | None:
    """UTF-8 where the bytes are; else None, which leaves it to the page's own declaration."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return "utf-8"


def _is_hidden(element: lxml.html.HtmlElement) -> bool:
    # Comments and processing instructions have a function for a tag.
    return (
        not isinstance(element.tag, str)
        or element.tag in _DROPPED
        or "hidden" in element.attrib
        or element.get("aria-hidden") == "true"
        or bool(_HIDDEN_STYLE.search(element.get("style", "")))
    )


def _text_of(element: lxml.html.HtmlElement, *, without: tuple[str, ...] = ()) -> str:
    """The text in an element, but for that in its children `without`."""
    pieces = [element.text or ""]
    for child in element:
        if not _is_hidden(child) and child.tag not in without:
            gap = " " if child.tag in _BLOCKS or child.tag == "br" else ""
            pieces += [gap, _text_of(child), gap]
        pieces.append(child.tail or "")
    return "".join(pieces)


def _list_lines(element: lxml.html.HtmlElement) -> list[str]:
    """One line an item; the items of a list within a list follow the item they are in."""
    lines: list[str] = []
    for number, item in enumerate(element.iterchildren("li"), start=1):
        if _is_hidden(item):
            continue
        mark = f"{number}. " if element.tag == "ol" else "- "
        lines.append(mark + " ".join(_text_of(item, without=_LISTS).split()))
        for child in item.iterchildren(*_LISTS):
            lines += _list_lines(child)
    return lines
