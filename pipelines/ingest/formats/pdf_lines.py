"""A page of a PDF in, its lines with the place of every word out, in the order in which the page was written."""

from __future__ import annotations

import ctypes
import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pypdfium2
import pypdfium2.raw as pdfium

from pipelines.ingest.formats.clean import clean_line

# PDFium gives U+FFFE (older: U+0002) for a hyphen at the end of a line, and no line end behind it.
_TOKEN = re.compile("[^\\s\ufffe\x02]*[\ufffe\x02]|[^\\s\ufffe\x02]+|[\r\n]+")
_HYPHENS = "\ufffe\x02"

GAP = 0.75
"""Of the height of a line: words further apart than this are cells, not text; justified prose seldom spaces so."""

_Box = tuple[float, float, float, float]
"""Left, right, bottom and top."""


@dataclass(frozen=True, slots=True)
class Word:
    """Text without spaces and its box: points from the lower left corner of the page as it is shown."""

    text: str
    left: float
    right: float
    bottom: float
    top: float


@dataclass(frozen=True, slots=True)
class Line:
    """Words that stand side by side. `style` is the same for lines that begin in the same font and colour."""

    words: tuple[Word, ...]
    style: int

    @property
    def text(self) -> str:
        return clean_line(" ".join(word.text for word in self.words))


@dataclass(frozen=True, slots=True)
class PageText:
    """The lines of a page, small enough to be kept for thousands of pages.

    `boxes` holds left, right, bottom and top of every word of every text in turn. `gaps` counts the places where
    words of a line stand apart, as cells of a table do.
    """

    texts: tuple[str, ...]
    boxes: array[float]
    styles: array[int]
    gaps: int = 0

    def lines(self) -> list[Line]:
        lines: list[Line] = []
        start = 0
        for text, style in zip(self.texts, self.styles, strict=True):
            words = text.split(" ")
            places = self.boxes[start : start + 4 * len(words)]
            start += 4 * len(words)
            lines.append(Line(tuple(Word(word, *places[4 * at : 4 * at + 4]) for at, word in enumerate(words)), style))
        return lines


class Styles:
    """Numbers the fonts and colours of a document, in which headers differ from what stands under them."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[bytes, int, tuple[int, ...]], int] = {}
        self._name = ctypes.create_string_buffer(64)
        self._flags = ctypes.c_int()
        self._colour = tuple(ctypes.c_uint() for _ in range(4))

    def number(self, text_page: pypdfium2.PdfTextPage, index: int) -> int:
        """The style of the character at `index`."""
        pdfium.FPDFText_GetFontInfo(text_page, index, self._name, len(self._name), self._flags)
        pdfium.FPDFText_GetFillColor(text_page, index, *self._colour)
        weight = pdfium.FPDFText_GetFontWeight(text_page, index)
        style = (self._name.value, weight, tuple(part.value for part in self._colour))
        return self._numbers.setdefault(style, len(self._numbers))


def page_text(page: pypdfium2.PdfPage, text_page: pypdfium2.PdfTextPage, styles: Styles) -> PageText:
    """The lines of `page`, none of them empty."""
    text, indexes = _characters(text_page)
    rotation = page.get_rotation()
    box = pdfium.FS_RECTF()
    lines: list[list[str]] = [[]]
    boxes, line_styles = array("f"), array("L")
    gaps = 0
    for match in _TOKEN.finditer(text):
        token, start, last = match.group(), match.start(), match.end() - 1
        if token[0] in "\r\n":
            lines.append([])
            continue
        is_divided = token[-1] in _HYPHENS
        # The box of a hyphen that PDFium put in is that of the line's end.
        last -= is_divided and len(token) > 1
        left, right, bottom, top = _turn(_span(text_page, indexes[start], indexes[last], box), rotation)
        if not lines[-1]:
            line_styles.append(styles.number(text_page, indexes[start]))
        else:
            gaps += left - boxes[-3] > GAP * (top - bottom)
        lines[-1].append(token[:-1] + "-" if is_divided else token)
        boxes.extend((left, right, bottom, top))
        if is_divided:
            lines.append([])
    return PageText(tuple(" ".join(words) for words in lines if words), boxes, line_styles, gaps)


def _characters(text_page: pypdfium2.PdfTextPage) -> tuple[str, Sequence[int]]:
    """The text of a page and, for each character of it, its index in PDFium's list."""
    count = text_page.count_chars()
    text = _text(text_page, count)
    if len(text) == count:
        return text, range(count)
    # Characters beyond U+FFFF, or without any code, shift the one against the other.
    codes = [pdfium.FPDFText_GetUnicode(text_page, index) for index in range(count)]
    found: list[tuple[str, int]] = []
    for index, (code, following) in enumerate(pairwise((*codes, 0))):
        if 0xD800 <= code < 0xDC00 and 0xDC00 <= following < 0xE000:
            found.append((chr(0x10000 + ((code - 0xD800) << 10) + (following - 0xDC00)), index))
        elif code and not 0xD800 <= code < 0xE000:
            found.append((chr(code), index))
    return "".join(character for character, _ in found), [index for _, index in found]


def _text(text_page: pypdfium2.PdfTextPage, count: int) -> str:
    # Not get_text_range() of pypdfium2 5.15: it steps over characters without a code by calling itself, too deep for
    # a page of them.
    start, end = 0, count - 1
    while start <= end and pdfium.FPDFText_GetTextIndexFromCharIndex(text_page, start) == -1:
        start += 1
    while start <= end and pdfium.FPDFText_GetTextIndexFromCharIndex(text_page, end) == -1:
        end -= 1
    if start > end:
        return ""
    first, last = (pdfium.FPDFText_GetTextIndexFromCharIndex(text_page, index) for index in (start, end))
    buffer = (ctypes.c_ushort * (last - first + 2))()
    units = pdfium.FPDFText_GetText(text_page, start, end - start + 1, buffer)
    return bytes(memoryview(buffer)[: max(units - 1, 0)]).decode("utf-16-le", errors="ignore")


def _span(text_page: pypdfium2.PdfTextPage, first: int, last: int, box: pdfium.FS_RECTF) -> _Box:
    """Left, right, bottom and top of the characters from `first` to `last`."""
    pdfium.FPDFText_GetLooseCharBox(text_page, first, box)
    left, right, bottom, top = box.left, box.right, box.bottom, box.top
    if last != first:
        pdfium.FPDFText_GetLooseCharBox(text_page, last, box)
        left, right = min(left, box.left), max(right, box.right)
        bottom, top = min(bottom, box.bottom), max(top, box.top)
    return left, right, bottom, top


def _turn(box: _Box, rotation: int) -> _Box:
    """PDFium tells places on the page as it was written; this is how they are shown, but for where they begin."""
    left, right, bottom, top = box
    match rotation:
        case 90:
            return bottom, top, -right, -left
        case 180:
            return -right, -left, -top, -bottom
        case 270:
            return -top, -bottom, left, right
        case _:
            return box
