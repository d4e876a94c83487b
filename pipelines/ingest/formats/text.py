"""Plain text in, paragraphs out; headings where they are underlined or in capitals."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from itertools import takewhile

from pipelines.domain import Block, ParsedDocument
from pipelines.errors import UnreadableDocument
from pipelines.ingest.formats.clean import clean_line
from pipelines.ingest.formats.flow import full_width, join_lines
from pipelines.ingest.formats.outline import MAX_HEADING, Outline

CAPITALS_LEVEL = 2
"""A line in capitals stands below a title underlined with ===."""

_UNDERLINES = {"=": 1, "-": 2, "~": 3}
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def parse(data: bytes) -> ParsedDocument:
    """Paragraphs are parted by empty lines and may begin with headings: a line over === or ---, or one in capitals.

    Raises:
        UnreadableDocument: the bytes are not text.
    """
    # One empty line parts paragraphs as well as a million do.
    lines = [clean_line(line) for line in re.sub(r"\n{3,}", "\n\n", decode(data)).split("\n")]
    width = full_width([line for line in lines if line])
    outline = Outline()
    blocks: list[Block] = []
    titles: list[str] = []
    for paragraph in _paragraphs(lines):
        level, heading, body = _split_heading(paragraph)
        if heading:
            outline.enter(level, heading)
            blocks.append(Block(heading, kind="heading", section=outline.path))
        if level == 1:
            titles.append(heading)
        blocks += [Block(text, section=outline.path) for text in join_lines(body, width)]
    return ParsedDocument(tuple(blocks), title=titles[0] if len(titles) == 1 else "")


def decode(data: bytes) -> str:
    """Text of unknown encoding: as its byte order mark says, else UTF-8, else Windows' Latin.

    Raises:
        UnreadableDocument: the bytes are not text.
    """
    encoding = next((name for mark, name in _BOMS if data.startswith(mark)), "utf-8")
    if encoding != "utf-16" and b"\x00" in data:
        raise UnreadableDocument("The file is called a text but holds binary data.")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        # Five bytes mean nothing in cp1252; a text with one of them is still worth reading.
        text = data.decode("cp1252", errors="replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _paragraphs(lines: Sequence[str]) -> list[list[str]]:
    paragraphs: list[list[str]] = [[]]
    for line in lines:
        if line:
            paragraphs[-1].append(line)
        elif paragraphs[-1]:
            paragraphs.append([])
    return [paragraph for paragraph in paragraphs if paragraph]


def _split_heading(paragraph: Sequence[str]) -> tuple[int, str, Sequence[str]]:
    """The level and text of the heading a paragraph begins with (0 and "" without one), and the lines under it."""
    if len(paragraph) > 1 and re.fullmatch(r"={3,}|-{3,}|~{3,}", paragraph[1]):
        return _UNDERLINES[paragraph[1][0]], paragraph[0], paragraph[2:]
    capitals = list(takewhile(_is_in_capitals, paragraph))
    heading = " ".join(capitals)
    return (CAPITALS_LEVEL if heading else 0), heading, paragraph[len(capitals) :]


def _is_in_capitals(line: str) -> bool:
    return line.isupper() and len(line) <= MAX_HEADING and line[-1].isalnum()
