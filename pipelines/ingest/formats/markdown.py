"""Markdown in, its headings, paragraphs, lists, tables and code as blocks out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from markdown_it import MarkdownIt
from markdown_it.token import Token

from pipelines.domain import Block, ParsedDocument
from pipelines.errors import UnreadableDocument
from pipelines.ingest.formats import html
from pipelines.ingest.formats.clean import clean_line, clean_lines
from pipelines.ingest.formats.outline import Outline
from pipelines.ingest.formats.table import table_block
from pipelines.ingest.formats.text import decode

_FRONT_MATTER = re.compile(r"\A---[^\S\n]*\n(.*?\n)(?:---|\.\.\.)[^\S\n]*(?:\n|\Z)", re.DOTALL)
_FRONT_TITLE = re.compile(r"""^title:[^\S\n]*(["']?)(.+?)\1[^\S\n]*$""", re.MULTILINE)


def parse(data: bytes) -> ParsedDocument:
    """CommonMark with tables. The title is the front matter's, else the heading of the first level where there is one.

    Raises:
        UnreadableDocument: the bytes are not text.
    """
    text = decode(data)
    front = _FRONT_MATTER.match(text)
    named = _FRONT_TITLE.search(front[1]) if front else None
    reader = _Reader()
    reader.read(MarkdownIt("commonmark").enable("table").parse(text[front.end() :] if front else text))
    titles = [clean_line(named[2])] if named else reader.titles
    return ParsedDocument(tuple(reader.blocks), title=titles[0] if len(titles) == 1 else "")


class _Reader:
    """Walks the tokens of the top level; what a token opens is taken whole."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.titles: list[str] = []
        self._outline = Outline()

    def read(self, tokens: Sequence[Token]) -> None:
        position = 0
        while position < len(tokens):
            end = _end_of(tokens, position)
            self._take(tokens[position : end + 1])
            position = end + 1

    def _take(self, tokens: Sequence[Token]) -> None:
        match tokens[0].type:
            case "heading_open":
                self._heading(int(tokens[0].tag[1]), _plain(tokens[1]))
            case "bullet_list_open" | "ordered_list_open":
                self._add(_list_lines(tokens), kind_is_list=True)
            case "table_open":
                self._table(tokens)
            case "blockquote_open":
                self.read(tokens[1:-1])
            case "html_block":
                self._html(tokens[0].content)
            case "fence" | "code_block":
                self._add(tokens[0].content)
            case _:
                for token in tokens:
                    if token.type == "inline":
                        self._add(_plain(token))

    def _heading(self, level: int, text: str) -> None:
        heading = clean_line(text)
        if not heading:
            return
        if level == 1:
            self.titles.append(heading)
        self._outline.enter(level, heading)
        self.blocks.append(Block(heading, kind="heading", section=self._outline.path))

    def _add(self, text: str, *, kind_is_list: bool = False) -> None:
        body = clean_lines(text)
        if body:
            self.blocks.append(Block(body, kind="list" if kind_is_list else "paragraph", section=self._outline.path))

    def _table(self, tokens: Sequence[Token]) -> None:
        rows: list[list[str]] = []
        for token in tokens:
            if token.type == "tr_open":
                rows.append([])
            elif token.type == "inline":
                rows[-1].append(_plain(token))
        block = table_block(rows, section=self._outline.path)
        if block:
            self.blocks.append(block)

    def _html(self, content: str) -> None:
        try:
            inner = html.parse(content.encode())
        except UnreadableDocument:
            # Nothing but a comment or a tag.
            return
        self.blocks += [replace(block, section=self._outline.path) for block in inner.blocks]


def _end_of(tokens: Sequence[Token], start: int) -> int:
    """The position of the token that closes the one at `start`, which may be itself."""
    depth = 0
    for position in range(start, len(tokens)):
        depth += tokens[position].nesting
        if depth <= 0:
            return position
    return len(tokens) - 1


def _list_lines(tokens: Sequence[Token]) -> str:
    lines: list[str] = []
    counters: list[int | None] = []
    mark = ""
    for token in tokens:
        if token.type in ("bullet_list_open", "ordered_list_open"):
            ordered = token.type == "ordered_list_open"
            counters.append(int(token.attrs.get("start", 1)) if ordered else None)
        elif token.type in ("bullet_list_close", "ordered_list_close"):
            counters.pop()
        elif token.type == "list_item_open":
            number = counters[-1]
            mark = "- " if number is None else f"{number}. "
            counters[-1] = None if number is None else number + 1
        elif token.type in ("inline", "fence", "code_block", "html_block"):
            lines.append(mark + (_plain(token) if token.type == "inline" else token.content))
            mark = ""
    return "\n".join(lines)


def _plain(token: Token) -> str:
    """The text a reader sees: link texts without addresses, image descriptions, no markup."""
    pieces: list[str] = []
    for child in token.children or ():
        if child.type == "hardbreak":
            pieces.append("\n")
        elif child.type in ("softbreak", "html_inline"):
            pieces.append(" ")
        else:
            pieces.append(child.content)
    return "".join(pieces)
