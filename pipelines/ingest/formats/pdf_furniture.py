"""The lines of all pages in, which of them are page furniture out: running headers and footers, page numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

EDGE_LINES = 3
"""At the top and at the foot of a page, this many lines may be furniture."""

_NUMBERED_PAGE = re.compile(r"(?:page\s+)?\d{1,5}\s*(?:of|/)\s*\d{1,5}|page\s+\d{1,5}", re.IGNORECASE)
_NUMBER_AT_AN_END = re.compile(r"\A\d{1,5}\b|\b\d{1,5}(?:\s*(?:of|/)\s*\d{1,5})?\Z")


def furniture(pages: Sequence[Sequence[str]]) -> list[set[int]]:
    """For each page the positions of what stands at the top or foot of most pages, and of bare page numbers.

    A page without lines is no page here: it neither repeats anything nor fails to.
    """
    edges = [_edges(len(lines)) for lines in pages]
    shapes = [
        {_shape(lines[position]) for position in positions} for lines, positions in zip(pages, edges, strict=True)
    ]
    seen = Counter(shape for page in shapes for shape in page)
    with_text = sum(map(bool, pages))
    repeated = {shape for shape, count in seen.items() if count >= 2 and count > with_text / 2}
    found = [
        {
            position
            for position in positions
            if _shape(lines[position]) in repeated or _is_page_number(lines[position], number)
        }
        for number, (lines, positions) in enumerate(zip(pages, edges, strict=True), start=1)
    ]
    # Where every line looks like furniture, none is.
    is_all = all(len(positions) == len(lines) for lines, positions in zip(pages, found, strict=True))
    return [set() for _ in pages] if is_all else found


def _edges(count: int) -> set[int]:
    return {*range(min(EDGE_LINES, count)), *range(max(count - EDGE_LINES, 0), count)}


def _shape(line: str) -> str:
    """A line without the number at either end, which is what differs between the headers of two pages."""
    return _NUMBER_AT_AN_END.sub("#", line.casefold())


def _is_page_number(line: str, page: int) -> bool:
    return line.strip("-–— ") == str(page) or _NUMBERED_PAGE.fullmatch(line) is not None
