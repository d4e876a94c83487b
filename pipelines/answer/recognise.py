"""Recognises which documents a question names: a question and the catalog go in, preferred documents come out.

Documents are named by their organisation, their title, their file name, their kind and their period, as learned at
ingestion; no list of companies or products is known here. What a question prefers is ranked once more by the search,
never searched alone, so that a wrong guess costs places and not the answer.
"""

from __future__ import annotations

import math
import re
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pipelines.answer.words import significant_words, stem, words
from pipelines.domain import Document
from pipelines.periods import coarser, read_periods
from pipelines.stores.catalog import Catalog

COMMON_SHARE = 0.5
"""A word that names more than this share of the documents tells none of them apart."""
NEAR_BEST = 0.6
"""Documents named with at least this share of the best one's weight are named too."""
MAX_RARITY = 3.0
"""ln(20): a word in one document of twenty and one in one of a thousand name it alike."""
NAME_WEIGHT = 2.0
"""What a word of an organisation's name counts, and again what a word counts that the question writes as a name."""
MAX_PREFERRED = 200
REMEMBERED_READERS = 64

_LATEST = re.compile(
    r"\b(?:latest|newest|most recent(?:ly)?|(?:neu|aktuell|jüng|letzt)\w*st\w*|neueste\w*|aktuelle\w*|"
    r"current (?:report|version|edition|policy|rules?|filing|list|quarter|period|year))\b",
    re.IGNORECASE,
)
_TIMES = r"(?:\w+ ){0,2}(?:quarter|period|year|month|edition|version|report)s?"
_OVER_TIME = re.compile(
    rf"\b(?:over (?:time|{_TIMES})|(?:across|each|every) {_TIMES}|previous|prior|earlier|past|historical\w*|trends?|"
    r"evol(?:ve|ution)\w*|früher\w*|vorherig\w*|entwick\w+|im lauf)\b",
    re.IGNORECASE,
)
_GENERIC_WORDS = """
document documents file files report reports page pages form version copy final draft filed company group the and
dokument datei bericht seite fassung unternehmen gruppe
"""
_GENERIC = frozenset(map(stem, _GENERIC_WORDS.split()))
"""Words of titles that name nothing."""


@dataclass(frozen=True, slots=True)
class Preference:
    """Documents that a question seems to be about, best first; `sure` when it names them by a name or a period."""

    documents: tuple[str, ...] = ()
    sure: bool = False


NO_PREFERENCE = Preference()


class Recogniser:
    """Keeps the names of all documents of one index at hand. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._catalog: Catalog | None = None
        self._known: _Names = _Names({})
        self._revision = -1

    def recognise(self, text: str, catalog: Catalog, scopes: Sequence[str]) -> Preference:
        """The documents that `text` names among those that any of `scopes` may read; others have no influence."""
        return self._names(catalog).recognise(text, tuple(sorted(scopes)))

    def _names(self, catalog: Catalog) -> _Names:
        with self._lock:
            if catalog is not self._catalog or catalog.revision != self._revision:
                kept = self._known.entries if catalog is self._catalog else {}
                revision, documents = catalog.snapshot()
                self._known = _Names({each.id: _entry(each, kept.get(each.id)) for each in documents})
                self._catalog, self._revision = catalog, revision
            return self._known


@dataclass(frozen=True, slots=True)
class _Entry:
    """What one document is named by: words with their weight, kinds, times."""

    document: Document
    terms: Mapping[str, float]


def _entry(document: Document, known: _Entry | None) -> _Entry:
    if known and known.document is document:
        return known
    terms = dict.fromkeys(_terms((document.title, document.name.rpartition(".")[0] or document.name)), 1.0)
    # By its first word an organisation is known; the others, as in "Stock Market LLC", are anybody's.
    heads = (next(_terms((name,)), "") for name in document.facts.names)
    terms.update({head: NAME_WEIGHT for head in heads if head})
    terms.update(dict.fromkeys(map(_kind, document.facts.kinds), 1.0))
    return _Entry(document, terms)


class _Names:
    """The names of the documents at one moment."""

    def __init__(self, entries: Mapping[str, _Entry]) -> None:
        self.entries = entries
        self._naming: dict[str, list[str]] = defaultdict(list)
        for id_, entry in entries.items():
            for term in entry.terms:
                self._naming[term].append(id_)
        self._readable = lru_cache(REMEMBERED_READERS)(self._find_readable)

    def recognise(self, text: str, scopes: tuple[str, ...]) -> Preference:
        readable = self._readable(scopes)
        named, by_name = self._named(text, readable)
        found = self._of_period(read_periods(text), named or readable)
        if len(found) > COMMON_SHARE * len(readable) and not named:
            found = []
        sure = by_name or bool(found)
        chosen: Iterable[str] = found or named
        if _LATEST.search(text) and not _OVER_TIME.search(text) and named and not found:
            chosen, sure = self._latest(named), True
        documents = tuple(chosen)
        return Preference(documents, sure) if 0 < len(documents) <= MAX_PREFERRED else NO_PREFERENCE

    def _find_readable(self, scopes: tuple[str, ...]) -> frozenset[str]:
        held = set(scopes)
        return frozenset(id_ for id_, each in self.entries.items() if held.intersection(each.document.access))

    def _named(self, text: str, readable: frozenset[str]) -> tuple[dict[str, float], bool]:
        """The documents named by words, best first, with their weight; and whether a name is among the words."""
        weights: dict[str, float] = defaultdict(float)
        by_name = False
        for term, written_as_name in _asked(text):
            naming = [id_ for id_ in self._naming.get(term, ()) if id_ in readable]
            if not naming or len(naming) > max(COMMON_SHARE * len(readable), 1):
                continue
            rarity = min(math.log(len(readable) / len(naming)), MAX_RARITY)
            for id_ in naming:
                weight = self.entries[id_].terms[term] * (NAME_WEIGHT if written_as_name else 1.0)
                weights[id_] += rarity * weight
                by_name = by_name or weight > 1
        best = max(weights.values(), default=0.0)
        near = [(weight, id_) for id_, weight in weights.items() if weight >= NEAR_BEST * best]
        near.sort(key=lambda each: (-each[0], each[1]))
        return {id_: weight for weight, id_ in near}, by_name

    def _of_period(self, asked: Sequence[str], among: Iterable[str]) -> list[str]:
        """Those of the times asked for; where there are none, those of the months, quarters or years these lie in."""
        listed = list(among)
        while asked:
            if found := [id_ for id_ in listed if set(asked) & set(self.entries[id_].document.facts.periods)]:
                return found
            asked = [wider for period in asked for wider in coarser(period)[:1]]
        return []

    def _latest(self, named: Mapping[str, float]) -> Iterator[str]:
        """The newest of the documents that are named alike."""
        alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for id_ in named:
            document = self.entries[id_].document
            alike[tuple(sorted(_terms(document.facts.names))) or (_undated(document.title),)].append(id_)
        for ids in alike.values():
            newest = max(self.entries[id_].document.facts.dated for id_ in ids)
            yield from (id_ for id_ in ids if self.entries[id_].document.facts.dated == newest)


def _asked(text: str) -> Iterator[tuple[str, bool]]:
    """The words of a question that may name a document, each with whether it is written as a name."""
    all_words = words(text)
    names = {word for before, word in zip(["", *all_words], all_words, strict=False) if before and not word.islower()}
    seen: set[str] = set()
    for word in significant_words(text):
        term = stem(word)
        if _may_name(term) and term not in seen:
            seen.add(term)
            yield term, word in names and not word.isdigit()
    yield from ((_kind(match), False) for match in re.findall(r"\b\d{1,2}-?[A-Z]\b", text))


def _terms(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        for word in significant_words(text.replace("_", " ").replace(".", " ")):
            if _may_name(term := stem(word)):
                yield term


def _may_name(term: str) -> bool:
    return term not in _GENERIC and not (term.isdigit() and (len(term) < 3 or bool(read_periods(term))))


def _kind(kind: str) -> str:
    return f"kind:{re.sub(r'[^a-z0-9]', '', kind.lower().removeprefix('form '))}"


def _undated(title: str) -> str:
    return " ".join(word for word in words(title.casefold()) if not any(map(str.isdigit, word)))
