"""Finds the typed parts of a question that another question may exchange: text goes in, spans come out.

A year goes with a year, a part of a year with a part of a year, a day of the week with another, `section 5` with
`section 7`, `300-H` with `300-S`, `3 nights` with `5 nights`, and a name with a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pipelines.answer.words import STOP_WORDS, stem

Kind = Literal["year", "span", "day", "label", "code", "amount", "name"]

_MONTH = (
    r"(?:jan(?:uary|uar)?|feb(?:ruary|ruar)?|mar(?:ch)?|märz|apr(?:il)?|june?|juni|july?|juli|aug(?:ust)?|"
    r"sept?(?:ember)?|o[ck]t(?:ober)?|nov(?:ember)?|de[cz](?:ember)?|mai|(?<=in )may|(?<=of )may)"
)
_ORDINAL = r"(?:first|second|third|fourth|last|this|next|previous|1st|2nd|3rd|4th|[1-4]\.)"
_ORDINAL_DE = r"(?:erste|zweite|dritte|vierte|letzte|diese|nächste)[nrsm]?"
_FIND: dict[Kind, re.Pattern[str]] = {
    "year": re.compile(
        r"(?<![\w.,/-])(?:FY ?)?(?:19|20)\d\d(?:/\d{2,4})?"
        r"(?![\w-]|[.,/]\d| ?[€$%]| (?:EUR|USD|GBP|CHF|kg|mm|km|rpm|hours|Stunden)\b)"
        r"|\b(?:last|this|next|the previous) year\b|\b(?:letzte|diese|nächste)[nsm] Jahr\b",
        re.IGNORECASE,
    ),
    "span": re.compile(
        rf"\b(?:[qh][1-4]|(?:{_ORDINAL}|{_ORDINAL_DE}) (?:(?:fiscal )?quarter|half|month|week|quartal|"
        r"halbjahr|monat|woche)"
        rf"|(?:\d{{1,2}}\.? )?{_MONTH}(?: \d{{1,2}}(?!\d))?)\b"
        r"|\b\d{4}-\d{2}-\d{2}\b|\b\d{1,2}\.\d{1,2}\.\d{4}\b",
        re.IGNORECASE,
    ),
    "day": re.compile(
        r"\b(?:(?:mon|tues|wednes|thurs|fri|satur|sun|week)days?|weekends?|(?:public |bank )?holidays?|"
        r"(?:mon|diens|donners|frei|sams|sonn|feier|werk)tage?n?s?|mittwochs?|wochenenden?)\b",
        re.IGNORECASE,
    ),
    "label": re.compile(r"(?:\b[^\W\d_]{3,}\.?|§{1,2}) ?\d{1,6}(?:\.\d{1,6}){0,5}[a-z]?(?![\w%€$-])"),
    "code": re.compile(r"(?<![\w-])(?=[\w/-]{0,12}\d)(?=[\w/-]{0,12}[^\W\d_])\w+(?:[/-]\w+)*"),
    "amount": re.compile(r"(?<![\w.,-])\d{1,12}(?:[.,]\d{1,12}){0,4} ?(?:[^\W\d_]+|[%€$])"),
    "name": re.compile(
        r"(?<![\w'’-])(?:[A-ZÀ-Þ][\w&-]*|[a-z]{1,3}[A-Z]\w*)(?:\s{1,2}(?:& )?(?:[A-ZÀ-Þ][\w&-]*|\d[\w-]*))*"
    ),
}
_PERIODS: tuple[Kind, ...] = ("year", "span")
_NO_NAMES: tuple[Kind, ...] = (*_PERIODS, "day")
_UNIT = re.compile(r"[^\W\d_]+|[%€$§]+")
_SENTENCE_START = re.compile(r"(?:^|[.!?:\n])[\s\"'„“(]*$")
_GERMAN = re.compile(
    r"\b(?:der|das|und|wie|ist|sind|für|mit|von|vom|im|bei|gibt|welche[rsnm]?|wann|wer|wo|eine?[rsnm]?|den|dem|des|"
    r"nicht|auch|zur|zum|hat|haben|habe|wird|werden|gilt|gelten)\b",
    re.IGNORECASE,
)
_ENGLISH = re.compile(r"\b(?:the|is|of|what|and|how|are|to|does|do|which|has|have|with)\b", re.IGNORECASE)
_BARE_BEFORE = re.compile(
    r"\b(?:von|bei|in|für|aus|nach|mit|gegen|zwischen|gegenüber|an|zu|und|oder|als)\s$", re.IGNORECASE
)
_TITLE_CASE = 0.8
"""Where more of the longer words than this begin with a capital, capitals tell no names."""
_TITLE_CASE_WORDS = 5


@dataclass(frozen=True, slots=True)
class Part:
    """A span of a text; `unit` is what an amount counts or a label numbers, as a stem, else empty."""

    kind: Kind
    start: int
    end: int
    text: str
    unit: str = ""


def parts_of(text: str, kind: Kind) -> list[Part]:
    """The parts of one kind, in order."""
    found = _names(text) if kind == "name" else _typed(text, kind)
    return list(found)


def periods_of(text: str) -> list[Part]:
    """Years and parts of years, in order."""
    return sorted((part for kind in _PERIODS for part in parts_of(text, kind)), key=lambda part: part.start)


def is_german(text: str) -> bool:
    """Whether a text's small words are German; a German text writes every noun like a name."""
    return len(_GERMAN.findall(text)) > len(_ENGLISH.findall(text))


def _typed(text: str, kind: Kind) -> Iterator[Part]:
    for match in _FIND[kind].finditer(text):
        said = match[0]
        unit = ""
        if kind in ("label", "amount"):
            word = _UNIT.search(said)
            unit = stem(word[0]) if word else ""
            if not unit or unit in STOP_WORDS or (kind == "label" and word and word[0].lower() in STOP_WORDS):
                continue
            if any(_FIND[period].search(said) for period in _PERIODS):
                continue
        if kind == "code" and any(_FIND[period].fullmatch(said) for period in _PERIODS):
            continue
        yield Part(kind, match.start(), match.end(), said, unit)


def _names(text: str) -> Iterator[Part]:
    if _is_title_case(text):
        return
    german = is_german(text)
    for match in _FIND["name"].finditer(text):
        start, said = match.start(), match[0]
        # A capital at the beginning of a sentence says nothing, but for `Apple's` and `NVIDIA`.
        while said and _says_nothing(text, start, said, german=german):
            first, gap, said = said.partition(" ")
            start += len(first) + len(gap)
            said, start = said.lstrip(), start + len(said) - len(said.lstrip())
        said = _without_period(said)
        if said:
            yield Part("name", start, start + len(said), said)


def _without_period(said: str) -> str:
    """`Apple Q2 2023` is the name Apple; a month or a weekday is none."""
    found = [match.start() for kind in _NO_NAMES if (match := _FIND[kind].search(said))]
    return said[: min(found)].rstrip() if found else said


def _says_nothing(text: str, start: int, said: str, *, german: bool) -> bool:
    first = said.split(" ", 1)[0]
    if first.lower() in STOP_WORDS:
        return True
    if any(letter.isupper() or letter.isdigit() for letter in first[1:]):
        return False
    before = text[max(0, start - 16) : start]
    if _SENTENCE_START.search(before):
        return not text.startswith(("'s", "’s"), start + len(first))
    return german and not _BARE_BEFORE.search(before)


def _is_title_case(text: str) -> bool:
    long = re.findall(r"[^\W\d_]{4,}", text)
    capital = sum(word[0].isupper() for word in long)
    return len(long) >= _TITLE_CASE_WORDS and capital > _TITLE_CASE * len(long) and not is_german(text)
