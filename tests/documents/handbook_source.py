"""Reads the text of a generated document: a small Markdown file in, a title and blocks out.

The first heading is the title and the italic line under it says number, edition and date.
`---` begins a new page, so that the page numbers in `questions.json` stay where they are.
"""

from __future__ import annotations

from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode


@dataclass(frozen=True, slots=True)
class Run:
    """A piece of text in one style."""

    text: str
    bold: bool = False
    italic: bool = False


Line = tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class Heading:
    level: int
    line: Line


@dataclass(frozen=True, slots=True)
class Paragraph:
    line: Line


@dataclass(frozen=True, slots=True)
class Bullets:
    items: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of equal length; the first is the header."""

    rows: tuple[tuple[Line, ...], ...]


@dataclass(frozen=True, slots=True)
class PageBreak:
    pass


SourceBlock = Heading | Paragraph | Bullets | Table | PageBreak


@dataclass(frozen=True, slots=True)
class Source:
    """A document before it is set: `reference` is its number, edition and date."""

    title: str
    reference: str
    blocks: tuple[SourceBlock, ...]


def read_source(text: str) -> Source:
    """Return the document written in `text`; raises ValueError for Markdown that is not supported here."""
    title, reference, *rest = SyntaxTreeNode(MarkdownIt("commonmark").enable("table").parse(text)).children
    return Source(plain(_line(title)), plain(_line(reference)), tuple(_block(node) for node in rest))


def plain(line: Line) -> str:
    """The text of a line without its styles."""
    return "".join(run.text for run in line)


def _block(node: SyntaxTreeNode) -> SourceBlock:
    match node.type:
        case "heading":
            return Heading(int(node.tag[1:]), _line(node))
        case "paragraph":
            return Paragraph(_line(node))
        case "bullet_list":
            return Bullets(tuple(_line(item.children[0]) for item in node.children))
        case "table":
            rows = (row for part in node.children for row in part.children)
            return Table(tuple(tuple(_line(cell) for cell in row.children) for row in rows))
        case "hr":
            return PageBreak()
        case other:
            raise ValueError(f"a source document may not contain {other!r}")


def _line(node: SyntaxTreeNode) -> Line:
    inline = node.children[0] if node.children else None
    return tuple(run for child in inline.children for run in _runs(child)) if inline else ()


def _runs(node: SyntaxTreeNode) -> Line:
    match node.type:
        case "text":
            return (Run(node.content),)
        case "softbreak":
            return (Run(" "),)
        case "strong":
            return tuple(Run(child.content, bold=True) for child in node.children)
        case "em":
            return tuple(Run(child.content, italic=True) for child in node.children)
        case other:
            raise ValueError(f"a line may not contain {other!r}")
