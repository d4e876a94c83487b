"""CSV or TSV in, its rows as a table under their header out."""

from __future__ import annotations

import csv
from collections import Counter

from pipelines.domain import ParsedDocument
from pipelines.ingest.formats.grid import grid_blocks
from pipelines.ingest.formats.text import decode

DELIMITERS = (",", ";", "\t", "|")
SAMPLE_LINES = 50


def parse(data: bytes) -> ParsedDocument:
    """The delimiter is the one that cuts most lines into the same number of cells.

    Raises:
        UnreadableDocument: the bytes are not text.
        DocumentTooLarge: it has more cells than are read.
    """
    lines = decode(data).splitlines(keepends=True)
    delimiter = _delimiter(lines[:SAMPLE_LINES])
    try:
        rows = list(csv.reader(lines, delimiter=delimiter))
    except csv.Error:
        # A quote that is never closed takes all that follows into one cell, up to the reader's limit.
        rows = list(csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE))
    return ParsedDocument(tuple(grid_blocks(rows)))


def _delimiter(lines: list[str]) -> str:
    # csv.Sniffer takes letters for delimiters and stalls on some quoted texts (Python 3.11).
    def agreement(delimiter: str) -> tuple[int, int]:
        widths = Counter(len(row) for row in csv.reader(lines, delimiter=delimiter) if len(row) > 1)
        width, count = max(widths.items(), key=lambda item: (item[1], item[0]), default=(0, 0))
        return count, width

    return max(DELIMITERS, key=agreement)
