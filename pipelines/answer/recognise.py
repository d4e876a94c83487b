"""Recognises which documents a question names: a question and the catalog go in, preferred documents come out.

Documents are named by their organisation, their title, their file name and their period, as learned at ingestion; no
list of companies or products is known here. A document is preferred where the question says whose it is or of which
time. Ordinary words of a title are not enough: both rankings see them anyway, in the context of each chunk. What a
question prefers is ranked once more by the search, never searched alone, so that a wrong guess costs places and not
the answer.
"""

from __future__ import annotations

import math
import re
import threading
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice

from pipelines.answer.words import significant_words, stem, words
from pipelines.domain import Document
from pipelines.kinds import read_kinds
from pipelines.periods import coarser, read_periods, without_periods
from pipelines.stores.catalog import Catalog

COMMON_SHARE = 0.5
"""A word that names more than this share of the documents tells none of them apart."""
NEAR_BEST = 0.6
"""Documents named with at least this share of the best one's weight are named too."""
MAX_RARITY = 3.0
"""ln(20): a word in one document of twenty and one in one of a thousand name it alike."""
NAME_WEIGHT = 2.0
"""What a word of an organisation's name counts, and again what a word counts that the question writes as a name."""
TITLE_WORDS = 2
"""A title of one word, such as "Leave", is a word like others."""
NO_TITLE = frozenset({""})
MAX_PREFERRED = 200
REMEMBERED_READERS = 1_000

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
    """Documents that a question names, best first; `focus` is what it asks of them, without what names them."""

    documents: tuple[str, ...] = ()
    focus: str = ""


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
    """What one document is named by: the first words of organisations, and all words of its title and file name.

    `title` is what a question must say of its title to name it by that alone.
    """

    document: Document
    organisations: frozenset[str]
    terms: frozenset[str]
    title: frozenset[str]


def _entry(document: Document, known: _Entry | None) -> _Entry:
    if known and known.document is document:
        return known
    # By its first word an organisation is known; the others, as in "Stock Market LLC", are anybody's.
    heads = frozenset(head for name in document.facts.names for head in islice(_terms((name,)), 1))
    title = frozenset(_terms((document.title,)))
    terms = heads | title | frozenset(_terms((document.name.rpartition(".")[0] or document.name,)))
    return _Entry(document, heads, terms, title if len(title) >= TITLE_WORDS else NO_TITLE)


@dataclass(slots=True)
class _Naming:
    """How a question names documents: the weight of each, the words it is done by, and whether they say whose."""

    weights: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    terms: set[str] = field(default_factory=set)
    says_whose: bool = False

    def best(self) -> list[str]:
        """The documents named about as well as the best, in a stable order."""
        best = max(self.weights.values(), default=0.0)
        near = [(-weight, id_) for id_, weight in self.weights.items() if weight >= NEAR_BEST * best]
        return [id_ for _, id_ in sorted(near)]


@dataclass(frozen=True, slots=True)
class _Readable:
    """What a reader may read: by which kinds of access, how many documents, and how many that say whose they are."""

    access: frozenset[tuple[str, ...]]
    count: int
    signed: int


class _Names:
    """The names of the documents at one moment."""

    def __init__(self, entries: Mapping[str, _Entry]) -> None:
        self.entries = entries
        self._naming: dict[str, list[str]] = defaultdict(list)
        for id_, entry in entries.items():
            for term in entry.terms:
                self._naming[term].append(id_)
        self._openness = Counter(each.document.access for each in entries.values())
        self._signed = Counter(each.document.access for each in entries.values() if each.organisations)
        self._readable = lru_cache(REMEMBERED_READERS)(self._find_readable)

    def recognise(self, text: str, scopes: tuple[str, ...]) -> Preference:
        naming = self._named(text, self._readable(scopes))
        named = naming.best()
        named = self._of_kind(read_kinds(text), named) or named
        chosen = self._of_period(read_periods(text), named)
        if not chosen and _LATEST.search(text) and not _OVER_TIME.search(text):
            chosen = self._latest(named)
        if not chosen and naming.says_whose:
            chosen = named
        if not 0 < len(chosen) <= MAX_PREFERRED:
            return NO_PREFERENCE
        return Preference(tuple(chosen), _focus(text, naming.terms))

    def _find_readable(self, scopes: tuple[str, ...]) -> _Readable:
        held = set(scopes)
        access = frozenset(each for each in self._openness if held.intersection(each))
        return _Readable(
            access, sum(self._openness[each] for each in access), sum(self._signed[each] for each in access)
        )

    def _named(self, text: str, readable: _Readable) -> _Naming:
        naming = _Naming()
        for term, written_as_name in _asked(text):
            here = [id_ for id_ in self._naming.get(term, ()) if self.entries[id_].document.access in readable.access]
            of_organisation = [id_ for id_ in here if term in self.entries[id_].organisations]
            # What all who say whose they are have in common, such as one's own company, tells none apart.
            if not here or len(here) > COMMON_SHARE * (readable.signed if of_organisation else readable.count):
                continue
            rarity = min(math.log(readable.count / len(here)), MAX_RARITY)
            weight = rarity * (NAME_WEIGHT if of_organisation else 1.0) * (NAME_WEIGHT if written_as_name else 1.0)
            for id_ in here:
                naming.weights[id_] += weight
            naming.terms.add(term)
            naming.says_whose |= bool(of_organisation) or (written_as_name and self._is_series(here))
        naming.says_whose |= any(self.entries[id_].title <= naming.terms for id_ in naming.weights)
        return naming

    def _is_series(self, ids: Sequence[str]) -> bool:
        """Whether these are documents of different times under one name, as the reports of a company are."""
        return len({self.entries[id_].document.facts.dated for id_ in ids}) > 1

    def _of_kind(self, asked: Sequence[str], named: Sequence[str]) -> list[str]:
        """Those of the kinds asked for; where there are some, without those that say they are of another kind."""
        kinds = {id_: self.entries[id_].document.facts.kinds for id_ in named}
        if all(set(asked).isdisjoint(kinds[id_]) for id_ in named):
            return []
        return [id_ for id_ in named if not kinds[id_] or not set(asked).isdisjoint(kinds[id_])]

    def _of_period(self, asked: Sequence[str], named: Sequence[str]) -> list[str]:
        """Those of the times asked for; where there are none, those of the months, quarters or years these lie in."""
        while asked and named:
            if found := [id_ for id_ in named if set(asked) & set(self.entries[id_].document.facts.periods)]:
                return found
            asked = [wider for period in asked for wider in coarser(period)[:1]]
        return []

    def _latest(self, named: Sequence[str]) -> list[str]:
        """The newest of the documents that are named alike."""
        alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for id_ in named:
            entry = self.entries[id_]
            alike[tuple(sorted(entry.organisations)) or (_undated(entry.document.title),)].append(id_)
        return [newest for ids in alike.values() for newest in self._newest(ids)]

    def _newest(self, ids: Sequence[str]) -> Iterator[str]:
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


def _focus(text: str, naming: Collection[str]) -> str:
    rest = [word for word in words(without_periods(text)) if stem(word) not in naming and not _LATEST.fullmatch(word)]
    return " ".join(rest)


def _terms(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        for word in significant_words(text.replace("_", " ").replace(".", " ")):
            if _may_name(term := stem(word)):
                yield term


def _may_name(term: str) -> bool:
    return term not in _GENERIC and not (term.isdigit() and (len(term) < 3 or bool(read_periods(term))))


def _undated(title: str) -> str:
    return " ".join(word for word in words(title.casefold()) if not any(map(str.isdigit, word)))
