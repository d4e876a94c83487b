"""Text as a format gives it in, text fit to search and to quote out."""

from __future__ import annotations

import re
import unicodedata

# NFKC would turn 10² into 102 and 2½ into 21⁄2, which changes what a text says.
_KEEP = re.compile(r"([²³¹⁰-₟¼-¾⅐-⅟]+)")
_INVISIBLE = {"Cc", "Cf", "Cs"}
"""Control, format (zero-width, bidirectional, soft hyphen, tags) and surrogate characters: hidden from a reader."""


def clean_line(text: str) -> str:
    """`text` on one line: normalised (NFKC but for super- and subscripts and fractions), without hidden characters."""
    parts = _KEEP.split(text)
    normal = "".join(part if index % 2 else unicodedata.normalize("NFKC", part) for index, part in enumerate(parts))
    spaced = " ".join(normal.split())
    if spaced.isascii() and spaced.isprintable():
        return spaced
    return " ".join("".join(char for char in spaced if unicodedata.category(char) not in _INVISIBLE).split())


def clean_lines(text: str) -> str:
    """`text` with every line cleaned and empty lines dropped."""
    return "\n".join(line for line in map(clean_line, text.splitlines()) if line)
