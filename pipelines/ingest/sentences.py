"""A line of text in, its sentences out."""

from __future__ import annotations

import re
from collections.abc import Iterator

SENTENCE_ENDED = re.compile(r"""[.!?。！？]["'”’)\]]*\Z""")
"""Matches in a text whose last sentence is whole."""

SHORTEST = 4
"""Characters of a sentence, the space behind it included: "3. " begins one."""

_ABBREVIATED = re.compile(
    r"\b(?:(?:[^\W\d_]\.){2,}|(?:No|Nos|Nr|Fig|Tab|Abb|vs|approx|ca|bzw|inkl|exkl|Tsd|Mio|Mrd|Mill)\.)\Z"
)
"""What ends in a dot that ends no sentence: "U.S. Dollar", "in Mio. EUR"."""
_LOOK_BACK = 12
"""No abbreviation is longer."""

_END = re.compile(r"""(?<=[。！？])|(?<=[.!?])["'”’)\]]*\s+""")


def sentences(line: str) -> Iterator[str]:
    """The sentences of a line, in order; the last may be the beginning of one."""
    start = 0
    for match in _END.finditer(line):
        if match.end() - start > SHORTEST and not _goes_on(line, match):
            yield line[start : match.end()].rstrip()
            start = match.end()
    if line[start:]:
        yield line[start:]


def _goes_on(line: str, end: re.Match[str]) -> bool:
    """Whether this is no end: a small letter follows, as behind "e.g. ", or what ends there is an abbreviation."""
    if line[end.end() : end.end() + 1].islower():
        return True
    return _ABBREVIATED.search(line, max(end.start() - _LOOK_BACK, 0), end.start()) is not None
