"""The blocks of a document in, each table with its caption out: what it shows, and in which unit.

A table's title and unit stand above it, or in the corner of its header, and no row repeats them. What is taken is one
title and the notes about units next to it, whichever of the two comes first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pipelines.domain import Block
from pipelines.ingest.formats.table import SEPARATOR
from pipelines.ingest.sentences import SENTENCE_ENDED, sentences
from pipelines.ingest.window import Window

MOST_LINES = 4
"""Lines above a table in which its title and its unit are looked for."""
LONGEST_TITLE = 120
"""Characters of a line that is a title; what is longer is prose, and says what is shown only before a colon."""
MOST_NAME_WORDS = 3
"""Behind a note in the corner of a table: the name of the rows' names, and not that of a column."""
LONGEST_INTRO = 400
"""Characters of the prose over a table that is passed over in search of its title."""
LONGEST_NOTE = 80
"""Characters of a sentence such as "All amounts in thousands of euros."."""

_BRACKETS = re.compile(r"[(\[][^()\[\]]*[)\]]")
_NOTES = re.compile(r"(?:[(\[][^()\[\]]*[)\]]\s*)+")
_NOTE = re.compile(_NOTES.pattern + r"\Z")
"""Nothing but brackets."""
_UNIT = re.compile(
    r"""
    \b(?:in|per|pro|je)\s(?:\S+\s){0,2}?(?:hundreds?|thousands?|millions?|billions?|hundert|tausend|tsd|mio|mrd
        |million(?:en)?|milliarden|percent|prozent|euros?|dollars?|pounds?|francs?|franken|yen)\b
    | \bin\s(?:[%€$£¥‰]|T€|(?-i:[A-Z]{3}|k[A-Z€$]\w*)\b|[µkmcd]?(?-i:[mgsWVAJNlL]|Hz|Pa|bar|Nm|Wh)[²³2]?(?![\w’']))
    | \b(?:amounts?|figures?|values?|dimensions?|measurements?|prices?|units?
        |angaben?|beträge?|werte?|maße?|preise?|einheit(?:en)?)\b(?:\sare|\s:)?[^.:]{0,20}(?:\bin\b|:)\s
    | \bunaudited\b | \bungeprüft\b | \bnicht\sgeprüft\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""How units of figures are said, in English and in German."""
_FIGURES = re.compile(r"[\d$€£%.,()—–-]+")
_FIGURE = re.compile(r"\W*\d")


@dataclass(frozen=True, slots=True)
class Captioned:
    """A block; for a table, what names it: short texts in reading order. The corner of its header is among them."""

    block: Block
    caption: tuple[str, ...] = ()


def captioned(blocks: Sequence[Block]) -> list[Captioned]:
    """Every block in turn, the tables with their captions.

    A table right under another shares what it does not say itself. One without a header at the top of the next page,
    with as many columns, is more of the same table.
    """
    found: list[Captioned] = []
    for at, block in enumerate(blocks):
        if block.kind != "table":
            found.append(Captioned(block))
            continue
        before = found[-1] if found and found[-1].block.kind == "table" else None
        table = _continued(block, before.block) if before else block
        corner, header = _corner(table)
        above = list(_above(blocks[max(at - MOST_LINES, 0) : at], block))
        if before and not above:
            above = [part for part in before.caption if not (corner and is_unit(part))]
        caption = dict.fromkeys((*above, corner) if corner else above)
        found.append(Captioned(replace(table, header=header), tuple(caption)))
    return found


def fitting(caption: Sequence[str], place: str, window: Window) -> tuple[str, ...]:
    """What of a caption has room in a chunk, and is not said by the `place` the chunk stands in; units first."""
    left = window.caption_tokens
    kept: dict[int, str] = {}
    parts = [part for whole in caption for part in _parted(whole)]
    for at, part in sorted(enumerate(parts), key=lambda item: (not is_unit(item[1]), item[0])):
        short = next(window.cut(part, left), "").strip() if left > 0 else ""
        if short and part.casefold() not in place.casefold():
            kept[at] = short
            left -= window.count(short)
    return tuple(kept[at] for at in sorted(kept))


def is_unit(text: str) -> bool:
    """Whether a text says what figures are counted in, or is a remark in brackets."""
    return _NOTE.match(text) is not None or _UNIT.search(text) is not None


def _above(blocks: Sequence[Block], table: Block) -> Iterator[str]:
    """The lines above a table that name it, from the top."""
    found: list[str] = []
    has_title = has_unit = has_intro = False
    for line in _lines_upwards(blocks, table):
        *earlier, last = list(sentences(line)) or [""]
        is_title = not has_title and _is_title(last)
        if not is_title and (has_intro or not _is_note(last)):
            if has_title or has_intro or table.section or len(line) > LONGEST_INTRO:
                break
            # Without headings to go by: a sentence or two may stand between a title and its table.
            has_intro = True
            continue
        found.append(last)
        has_title, has_unit = has_title or is_title, has_unit or is_unit(last)
        if earlier or (has_title and has_unit):
            break
    yield from reversed(found)


def _lines_upwards(blocks: Sequence[Block], table: Block) -> Iterator[str]:
    lines: list[str] = []
    for block in reversed(blocks):
        if block.kind != "paragraph" or (block.page, block.section) != (table.page, table.section):
            break
        lines.extend(reversed(block.text.split("\n")))
    yield from lines[:MOST_LINES]


def _is_title(line: str) -> bool:
    """Whether a line is the name of what follows: a sentence before a colon, or words that are no sentence."""
    is_name = line.endswith(":") or (len(line) <= LONGEST_TITLE and not SENTENCE_ENDED.search(line))
    return is_name and _has_words(line) and not _NOTE.match(line) and not _UNIT.match(line)


def _has_words(line: str) -> bool:
    """Whether it is words rather than figures."""
    words = [word for word in line.split() if not _FIGURES.fullmatch(word)]
    return 2 * sum(map(len, words)) > len(line.replace(" ", "")) and any(len(word) > 2 for word in words)


def _is_note(line: str) -> bool:
    """Whether a line is a remark in brackets, or a short sentence about units."""
    return _NOTE.match(line) is not None or (len(line) <= LONGEST_NOTE and is_unit(line))


def _corner(table: Block) -> tuple[str, str]:
    """The note above the names of the rows, which is of all columns, and the header without it."""
    first, separator, rest = table.header.partition(SEPARATOR)
    if not (separator and is_unit(first) and _has_words(first)):
        return "", table.header
    if not _NOTE.match(first) and any(_FIGURE.match(row) for row in table.text.split("\n")):
        # "Weight in kg" above weights is the name of its own column.
        return "", table.header
    name = _BRACKETS.sub("", first).strip() if _NOTES.match(first) else ""
    if not name or len(name.split()) > MOST_NAME_WORDS:
        return first, separator + rest
    return first.removesuffix(name).strip(), name + separator + rest


def _continued(table: Block, before: Block) -> Block:
    follows = table.page is not None and before.page is not None and table.page == before.page + 1
    is_alike = table.text.split("\n", 1)[0].count(SEPARATOR) == before.text.split("\n", 1)[0].count(SEPARATOR)
    return replace(table, header=before.header) if follows and is_alike and not table.header else table


def _parted(text: str) -> list[str]:
    """A long text and the unit in brackets within it apart, so that the one can be cut and the other stays."""
    unit = next((match for match in _BRACKETS.finditer(text) if _UNIT.search(match[0])), None)
    if unit is None or _NOTE.match(text):
        return [text]
    return [part for part in (text[: unit.start()].strip(), unit[0]) if part]
