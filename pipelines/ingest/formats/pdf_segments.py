"""A line of a PDF in, its segments out: the runs of words that a wide gap separates, as cells of a table are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from pipelines.ingest.formats.clean import clean_line
from pipelines.ingest.formats.pdf_lines import GAP, Line, Word

GAP_OF_NUMBERS = 0.45
"""Of the height of a line: between two numbers so wide a gap divides; "10 000" stays whole."""
GAP_OF_CURRENCY = 0.15
"""Between a number and a currency, which begins the next number."""

_MONTH = (
    r"(?:jan|feb|mar|mär|apr|may|mai|jun|jul|aug|sep|sept|oct|okt|nov|dec|dez)"
    r"(?:uary|uar|ruary|ch|z|il|e|y|i|ust|tember|ober|ember)?\b"
)
_DATE = re.compile(
    rf"\b{_MONTH}|(?:[QH][1-4]|FY|YTD)\b|(?:\w+\s+)?(?:19|20)\d\d(?:\s*/\s*\d\d)?\Z|\d{{1,2}}[./]\d{{1,2}}[./]\d{{2,4}}",
    re.IGNORECASE,
)
_AMOUNT = re.compile(r"(?:[A-Z]{1,3})?[($€£¥±+\-\u2010-\u2015−<>≤≥~≈*\s]*\d[\d.,:'’\s]*.{0,14}\Z")
_NUMBER = re.compile(r"(?:[A-Z]{1,3})?[$€£¥]?\s?[(+\-\u2010-\u2015−]?[$€£¥]?\d[\d.,]*\s?[)%]*(?:\s?\(\d\))?\Z")
_NOTHING = re.compile(r"[$€£¥]?\s*(?:[-\u2010-\u2015−]+|\*|n/?[am]\.?|nil)\s*[%)]*\Z", re.IGNORECASE)
_CURRENCY = re.compile(r"(?:[A-Z]{1,3})?[$€£¥]\Z")
_CLOSING = re.compile(r"\s?[)%]+\Z|\s?(?:pts|ppt)\Z")
_MARKER = re.compile(r"[•‣▪●○■◦*–▪-]\Z|[0-9a-zA-Z]{1,4}[.)]\Z|[(][a-zA-Z]{1,4}[)]\Z|\d{1,2}(?:\.\d{1,2}){1,3}\Z")
_LEADER = re.compile(r"(?:[.…·_]\s?){4,}")
_AFTER_CURRENCY = re.compile(r"(?<=[$€£¥]) (?=[\d(.,\u2010-\u2015-])")
_BEFORE_BRACKET = re.compile(r"(?<=\d) (?=[)])")
_NUMBER_ENDS = tuple("0123456789)%—–")


@dataclass(frozen=True, slots=True)
class Segment:
    """Words side by side; points from the lower left corner of the page."""

    text: str
    left: float
    right: float
    bottom: float
    top: float
    style: int

    @property
    def middle(self) -> float:
        return (self.left + self.right) / 2

    @property
    def height(self) -> float:
        return self.top - self.bottom

    @property
    def is_amount(self) -> bool:
        """Whether it is a value of a table, with its unit perhaps, and neither a year nor a date."""
        return is_amount(self.text)


def segments(line: Line) -> tuple[Segment, ...]:
    """`line` from left to right; as one segment where its words run otherwise, or dots lead to a page number."""
    words = line.words
    if _LEADER.search(" ".join(word.text for word in words)) or _runs_back(words):
        whole = _segment(words, line.style)
        ends = (min(word.left for word in words), max(word.right for word in words))
        return (replace(whole, left=ends[0], right=ends[1]),)
    runs: list[list[Word]] = [[words[0]]]
    for word in words[1:]:
        if _divides(runs[-1][-1], word):
            runs.append([word])
        else:
            runs[-1].append(word)
    return _joined([_segment(run, line.style) for run in runs])


def is_amount(text: str) -> bool:
    """Whether `text` is a number, perhaps with a unit, or stands for none; a year or a date is not."""
    if _NOTHING.match(text):
        return True
    # "31," is what is left of a date.
    return _AMOUNT.match(text) is not None and not text.endswith(",") and not _DATE.search(text)


def is_number(text: str) -> bool:
    """Whether `text` is a number and nothing else, but for a currency, brackets or a percent sign."""
    return _NOTHING.match(text) is not None or (_NUMBER.match(text) is not None and is_amount(text))


def is_date(text: str) -> bool:
    return _DATE.search(text) is not None


def _divides(before: Word, word: Word) -> bool:
    gap = word.left - before.right
    height = max(before.top - before.bottom, word.top - word.bottom)
    if gap > GAP * height:
        return True
    if not before.text.endswith(_NUMBER_ENDS):
        return False
    if _CURRENCY.match(word.text):
        return gap > GAP_OF_CURRENCY * height
    return is_amount(before.text) and gap > GAP_OF_NUMBERS * height and is_number(word.text)


def _runs_back(words: Sequence[Word]) -> bool:
    """Whether it is written from right to left or downwards: gaps tell nothing about it."""
    return any(after.right < before.left for before, after in pairwise(words))


def _segment(words: Sequence[Word], style: int) -> Segment:
    return Segment(
        clean_line(" ".join(word.text for word in words)),
        words[0].left,
        words[-1].right,
        # Those of the first word: a footnote's number behind it stands higher.
        words[0].bottom,
        words[0].top,
        style,
    )


def _joined(parts: list[Segment]) -> tuple[Segment, ...]:
    """Join "$" to the number behind it, ")" and "%" to the one before, and the marker of an item to the item."""
    joined: list[Segment] = []
    for part in parts:
        before = joined[-1] if joined else None
        if before is None:
            joined.append(part)
        elif _CURRENCY.match(before.text) and is_amount(part.text):
            joined[-1] = _both(before, part, "")
        elif _CLOSING.match(part.text) and before.text.endswith(_NUMBER_ENDS):
            joined[-1] = _both(before, part, " " if part.text[0] == "p" else "")
        elif len(joined) == 1 and _MARKER.match(before.text) and not is_amount(part.text):
            joined[-1] = _both(before, part, " ")
        else:
            joined.append(part)
    return tuple(joined)


def _both(before: Segment, part: Segment, between: str) -> Segment:
    return Segment(
        before.text + between + part.text,
        min(before.left, part.left),
        max(before.right, part.right),
        min(before.bottom, part.bottom),
        max(before.top, part.top),
        before.style,
    )


def tidy_amount(text: str) -> str:
    """ "$ (5,644 )" is written "$(5,644)", and "12 %" by itself "12%"."""
    joined = _AFTER_CURRENCY.sub("", _BEFORE_BRACKET.sub("", text))
    return joined.replace(" %", "%") if is_number(joined) else joined
