"""Quotes from two editions of one document that contradict each other go in, each with the newer one first comes out.

A prompt says of a document its name and some of its text. That tells the newer of two editions where the name has a
year, or the text says since when it holds; where neither does, nothing is claimed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.answer.prompt import PromptPassage
from pipelines.answer.words import significant_words, stem
from pipelines.periods import read_periods
from pipelines.providers.extractive.answer_kind import figures
from pipelines.providers.extractive.quotes import Quote

ALIKE = 0.6
"""The share of words (Dice's coefficient, figures left out) from which two sentences say the same of something."""
SAME_NAME = 0.5

_PAGE = re.compile(r" p\.\d+$")
_SUFFIX = re.compile(r"\.\w{1,5}$")
_SINCE = re.compile(
    r"\b(?:effective|valid|in force|applies|approved|issued|dated|as of|since|version|edition|updated|gültig|stand|"
    r"in kraft|gilt|fassung)\b[^.\n]{0,60}",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Cited:
    """A quote as it is given; `older` marks one that a newer document contradicts."""

    quote: Quote
    older: bool = False


def newest_first(chosen: Sequence[Quote], others: Sequence[Quote], passages: Sequence[PromptPassage]) -> list[Cited]:
    """Put in front of each quote what a newer edition says instead, wherever among `chosen` and `others` it stands.

    Of two editions the newer one comes first also where they say nothing that can be compared.
    """
    dates = _dates(passages)
    cited: dict[int, Cited] = {}
    for quote in _by_edition(chosen, dates):
        newer = [other for other in (*chosen, *others) if _replaces(other, quote, dates)]
        latest = max(newer, key=lambda other: dates[_document(other.name)], default=None)
        if latest:
            cited.setdefault(id(latest), Cited(latest))
        cited.setdefault(id(quote), Cited(quote, older=latest is not None))
    return list(cited.values())


def _by_edition(quotes: Sequence[Quote], dates: dict[str, str]) -> list[Quote]:
    """The quotes in their order, each one behind those of newer editions of its document."""
    ordered: list[Quote] = []
    for quote in quotes:
        place = next((at for at, other in enumerate(ordered) if _is_newer(quote, other, dates)), len(ordered))
        ordered.insert(place, quote)
    return ordered


def _is_newer(newer: Quote, quote: Quote, dates: dict[str, str]) -> bool:
    """Whether one quote comes from a newer edition of the other's document."""
    one, other = _document(newer.name), _document(quote.name)
    later = bool(dates[other]) and dates[one] > dates[other]
    return later and _dice(_words(_SUFFIX.sub("", one)), _words(_SUFFIX.sub("", other))) >= SAME_NAME


def _replaces(newer: Quote, quote: Quote, dates: dict[str, str]) -> bool:
    alike = _is_newer(newer, quote, dates) and _same_subject(newer, quote)
    return alike and figures(newer.text) != figures(quote.text)


def _same_subject(one: Quote, other: Quote) -> bool:
    if one.row or other.row:
        return one.text.partition("; ")[0] == other.text.partition("; ")[0]
    return _dice(_words(one.text), _words(other.text)) >= ALIKE


def _dates(passages: Sequence[PromptPassage]) -> dict[str, str]:
    """The time of each document of the prompt, as its name says it, or else as its text does; empty when unknown."""
    texts: dict[str, str] = {}
    for passage in passages:
        name = _document(passage.name)
        texts[name] = f"{texts.get(name, '')}\n{passage.text}"
    return {
        name: max(read_periods(name) or read_periods("\n".join(_SINCE.findall(text))), default="")
        for name, text in texts.items()
    }


def _document(name: str) -> str:
    return _PAGE.sub("", name)


def _words(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in significant_words(text.replace("_", " ")) if word not in figures(text))


def _dice(one: frozenset[str], other: frozenset[str]) -> float:
    return 2 * len(one & other) / (len(one) + len(other)) if one and other else 0.0
