"""Cuts passages into what can be quoted: the prompt's passages go in, sentences and table rows come out.

Each piece keeps what it needs to be understood alone: the document's name, the heading above it, its table's header.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from pipelines.answer.prompt import PromptPassage

HEADING_CHARACTERS = 60
ROW_CHARACTERS = 80
"""Wrapped prose has longer lines than this; the rows of a table in a PDF, where no cell borders are left, have not."""
ROWS_OF_A_TABLE = 3

QUOTE_CHARACTERS = 300
"""What is longer is not a sentence but a table that lost its lines; it has every word and answers nothing."""

_SENTENCE_END = re.compile(r"(?<=[.!?])[\"'”’)]*\s+(?=[\"'“‘(]?[A-ZÀ-Þ0-9])")
_ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|etc|approx|incl|max|min|no|nr|vs|dr|mr|mrs|ms|st|p|z\.B|ca|bzw)\.$", re.I)
_LIST_MARK = re.compile(r"^(?:[-*•–]|\d{1,2}[.)])\s+")
_NUMBERED_HEADING = re.compile(r"^\d{1,2}(?:\.\d{1,2})*\.?\s+\D+$")
_FIGURE = re.compile(r"(?<![\w-])\d[\d.,:]*(?![\w-])")
_UNIT = re.compile(r"\([^()]*\b(?:in|per|pro|je)\s[^()]*\)", re.I)
"""Of the figures of a table, in the line that names it."""
_RULE = re.compile(r"^[\s|:+=-]+$")
_LEANS = re.compile(r"(?:It|Its|They|Their|This|These|Those|Sie|Diese[rs]?|Dies)\b")


@dataclass(frozen=True, slots=True)
class Quote:
    """Something that can be quoted, under the citation's `name` and perhaps a heading.

    `section` is the prose under the same heading in the same passage, however much of the document that holds. The
    rows of a table are no part of it: each speaks of something else.
    """

    number: int
    text: str
    name: str
    heading: str
    section: str
    row: bool = False

    @property
    def context(self) -> str:
        """What stands above it."""
        return f"{self.name} › {self.heading}" if self.heading else self.name


def quotes_of(passages: Sequence[PromptPassage]) -> list[Quote]:
    """Every sentence and table row of the passages, once, in their order."""
    quotes: dict[str, Quote] = {}
    for passage in passages:
        for quote in _Reading(passage).quotes():
            quotes.setdefault(quote.text.casefold(), quote)
    return [quote for quote in quotes.values() if len(quote.text) <= QUOTE_CHARACTERS]


class _Reading:
    """Reads one passage from top to bottom."""

    def __init__(self, passage: PromptPassage) -> None:
        self._passage = passage
        self._lines = [line.strip() for line in passage.text.splitlines() if line.strip()]
        self._heading = ""
        self._headings = 0
        self._prose = ""
        self._header: tuple[str, ...] = ()

    def quotes(self) -> Iterator[Quote]:
        for _, section in groupby(self._read(), key=lambda numbered: numbered[0]):
            quotes = [quote for _, quote in section]
            prose = "\n".join(quote.text for quote in quotes if not quote.row)
            yield from (replace(quote, section=prose) for quote in quotes)

    def _read(self) -> Iterator[tuple[int, Quote]]:
        """Every quote, with the number of the section it stands in."""
        place = 0
        while place < len(self._lines):
            line = self._lines[place]
            rows = self._unruled_rows(place)
            if rows:
                yield from self._table(self._lines[place : place + rows])
                place += rows
                continue
            if _has_cells(line):
                yield from self._cells(line)
            elif self._is_caption(place):
                yield from self._sentences()
                self._begin(line)
            elif _LIST_MARK.match(line) and not line.isupper():
                yield from self._sentences(then=_LIST_MARK.sub("", line))
            elif _is_heading(line) and place + 1 < len(self._lines) and _ended(self._prose):
                yield from self._sentences()
                self._begin(line.strip("# *"))
            else:
                self._prose = f"{self._prose} {line}".strip()
                self._header = ()
            place += 1
        yield from self._sentences()

    def _cells(self, line: str) -> Iterator[tuple[int, Quote]]:
        yield from self._sentences(keep_header=True)
        if _RULE.match(line):
            return
        cells = tuple(cell.strip(" *") for cell in re.split(r"[|\t]", line.strip("| ")))
        if _names_columns(cells):
            unit = _UNIT.search(self._heading)
            yield self._quote("; ".join(cells) + (f" {unit[0]}" if unit else ""), row=True)
            return
        another_table = len(cells) != len(self._header) and not any(map(str.isdigit, line))
        if self._header and not another_table:
            yield self._quote(_row(self._header, cells), row=True)
        else:
            self._header = cells

    def _table(self, lines: Sequence[str]) -> Iterator[tuple[int, Quote]]:
        """Rows of a table whose cells are no longer told apart: each is quoted under the table's first line."""
        yield from self._sentences()
        header, *rows = lines
        for row in rows:
            yield self._quote(f"{row} ({header})", row=True)

    def _is_caption(self, place: int) -> bool:
        """Whether this line names the table under it, as chunks do."""
        line, below = self._lines[place], self._lines[place + 1 : place + 2]
        return bool(below) and line[-1] not in ".!?" and " | " in below[0] and _names_columns(below[0].split(" | "))

    def _unruled_rows(self, place: int) -> int:
        """How many lines from here are such a table, header included; 0 when they are not."""
        end = place
        while end < len(self._lines) and _may_be_row(self._lines[end]):
            end += 1
        count = end - place
        header = self._lines[place]
        if count < ROWS_OF_A_TABLE or not _ended(self._prose) or _NUMBERED_HEADING.match(header):
            return 0
        if not _FIGURE.search(self._lines[place + 1]):  # then this is the heading, and the next line the header
            return 0
        with_figures = sum(any(map(str.isdigit, row)) for row in self._lines[place + 1 : end])
        return count if 2 * with_figures > count - 1 else 0

    def _sentences(self, *, then: str = "", keep_header: bool = False) -> Iterator[tuple[int, Quote]]:
        before = ""
        for sentence in _split(self._prose):
            # "They may be read by two persons" says nothing without the sentence before it.
            whole = f"{before} {sentence}" if before and _LEANS.match(sentence) else sentence
            yield self._quote(whole if len(whole) <= QUOTE_CHARACTERS else sentence)
            before = sentence
        self._prose = then
        if not keep_header:
            self._header = ()

    def _begin(self, heading: str) -> None:
        self._heading = heading
        self._headings += 1

    def _quote(self, text: str, *, row: bool = False) -> tuple[int, Quote]:
        return self._headings, Quote(self._passage.number, text, self._passage.name, self._heading, "", row)


def _split(prose: str) -> Iterator[str]:
    held = ""
    for part in _SENTENCE_END.split(prose):
        held = f"{held} {part}".strip()
        if held and not _ABBREVIATION.search(held):
            yield held
            held = ""
    if held:
        yield held


def _ended(prose: str) -> bool:
    return not prose or prose[-1] in ".!?:;"


def _has_cells(line: str) -> bool:
    return " | " in line or "\t" in line or (line.startswith("|") and line.endswith("|"))


def _names_columns(cells: Sequence[str]) -> bool:
    """Whether each cell says the name of its column, as chunks write rows; a row's own name may stand without."""
    return len(cells) > 1 and all(": " in cell for cell in cells[1:])


def _may_be_row(line: str) -> bool:
    plain = not (_has_cells(line) or _LIST_MARK.match(line) or line.startswith("#") or line.isupper())
    return plain and len(line) <= ROW_CHARACTERS and line[-1] not in ".!?:;," and ". " not in line


def _is_heading(line: str) -> bool:
    if line.startswith("#") or line.isupper():
        return True
    short = len(line) <= HEADING_CHARACTERS and line[-1] not in ".!?:;," and ". " not in line
    return short and (line[0].isupper() or line[0].isdigit())


def _row(header: tuple[str, ...], cells: tuple[str, ...]) -> str:
    if len(header) != len(cells):
        return "; ".join(cell for cell in cells if cell)
    named = (f"{name}: {cell}" if name else cell for name, cell in zip(header, cells, strict=True) if cell)
    return "; ".join(named)
