"""RTF in, its paragraphs and tables out. Headings are not told from other paragraphs: few writers mark them."""

from __future__ import annotations

import re
from itertools import groupby

from striprtf.striprtf import rtf_to_text

from pipelines.domain import Block, ParsedDocument
from pipelines.errors import UnreadableDocument
from pipelines.ingest.formats.broken import refuse_broken
from pipelines.ingest.formats.clean import clean_line
from pipelines.ingest.formats.table import table_block

MAGIC = b"{\\rtf"

_TITLE = re.compile(r"\{\\title\s([^{}]{1,1000})\}")


def parse(data: bytes) -> ParsedDocument:
    """Text boxes, pictures, footnotes and the headers of pages are not read.

    Raises:
        UnreadableDocument: it is no RTF, or broken.
    """
    if not data.lstrip().startswith(MAGIC):
        raise UnreadableDocument("The file is called RTF but holds something else.")
    # RTF is ASCII; what some writers put beside it is in Windows' Latin.
    source = data.decode("cp1252", errors="replace")
    blocks: list[Block] = []
    for is_table, lines in groupby(_plain(source).split("\n"), key=lambda line: line.rstrip().endswith("|")):
        if is_table:
            rows = [line.rstrip().removesuffix("|").split("|") for line in lines]
            block = table_block(rows, section=())
            blocks += [block] if block else []
        else:
            blocks += [Block(text) for text in map(clean_line, lines) if text]
    title = _TITLE.search(source)
    return ParsedDocument(tuple(blocks), title=clean_line(_plain(f"{{\\rtf1 {title[1]}}}")) if title else "")


def _plain(source: str) -> str:
    with refuse_broken("RTF file"):
        # The space keeps striprtf 0.0.35 from its own reading of links, which prints the address behind the text and
        # takes a time that grows with the square of a line's length. The text of a link is read all the same.
        return str(rtf_to_text(source.replace("{\\field{", "{\\field {"), errors="replace"))  # type: ignore[no-untyped-call]
