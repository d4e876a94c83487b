"""Lines as they were laid out in, paragraphs as they were written out: for formats that keep only lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

SHORT = 0.75
"""A line below this share of the full width was ended by its writer, not by the margin."""

_HYPHEN = re.compile(r"(?<=[^\W\d_])[-\u2010]\Z")
_NEXT_OF_PAIR = re.compile(r"(?:and|or|und|oder|et|ou)\b")
_ITEM = re.compile(r"(?:[-•‣▪●○*–]|\(?[0-9a-zA-Z]{1,3}[.)])\s")
_ROW_END = re.compile(r"[\d%)—-]\Z")
_SENTENCE_END = re.compile(r"""[.!?:。！？]["'”’)\]]*\Z""")


def full_width(lines: Sequence[str]) -> int:
    """Characters of a line that runs to the margin; the few longest lines may be of a smaller font."""
    lengths = sorted(map(len, lines))
    return lengths[int(0.95 * (len(lengths) - 1))] if lengths else 0


def join_lines(lines: Sequence[str], width: int) -> list[str]:
    """Join lines that fill the width; keep the breaks of short ones, which are rows, items or headings.

    A short line that ends a sentence ends its paragraph. Words divided at the end of a line are made whole; in
    "short-" and "and long-term" nothing is divided.
    """
    paragraphs: list[str] = []
    text = ""
    for line, following in pairwise((*lines, "")):
        is_short = len(line) < SHORT * width
        if _HYPHEN.search(line) and following[:1].isalnum() and not _NEXT_OF_PAIR.match(following):
            # A small letter goes on with a divided word; "COVID-19" and "Smith-Jones" keep their hyphen.
            text += line[:-1] if following[0].islower() else line
        elif is_short and _SENTENCE_END.search(line):
            paragraphs.append(text + line)
            text = ""
        else:
            is_row = _ROW_END.search(line) is not None and following[:1].isupper()
            text += line + ("\n" if is_short or is_row or _ITEM.match(following) else " ")
    return [paragraph.strip() for paragraph in [*paragraphs, text] if paragraph.strip()]
