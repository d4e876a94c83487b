"""What a question asks for: a prompt and its quotes go in, how well each quote fits comes out.

What is near in meaning to a question may still be about another city, product or property. So a quote has to have
what makes the question this one: its names, the thing asked for, and an answer of the kind asked for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from pipelines.answer.prompt import ParsedPrompt
from pipelines.answer.understand import is_follow_up
from pipelines.answer.words import STOP_WORDS, akin, significant_words, stem, words
from pipelines.providers.extractive.answer_kind import asks_for_figure, asks_for_name, has_kind, thing_asked_for
from pipelines.providers.extractive.quotes import Quote

NAME_WEIGHT = 2.0
EARLIER = 0.6
"""What a word weighs that a follow-up takes over from the question before it."""
ABOVE = 0.75
"""What a word counts that stands not in the quote but in the document's name or the heading above."""
NEARBY = 0.5
"""What a word counts that stands elsewhere under the same heading."""
MIN_SUBJECT = 1 / 3
"""Of a question with names, the other words must stand there too, the rare ones before all: France has many pages,
and none of them its capital."""

TELLING_DIGITS = 3
"""A year or a model's number has at least this many."""
COMPOUND_LETTERS = 5
"""The parts of a German compound have at least this many."""

_PLACE = re.compile(r"(?<![\w-])(?:in|at|for) (\w+)", re.IGNORECASE)
_AMOUNT = re.compile(r"\d+(?:[.,:]\d+)+")
_INSTEAD = re.compile(r"^\W*(?:and|but|what about|how about|und|aber|wie sieht es|was ist)\b", re.IGNORECASE)
_POINTS = re.compile(
    r"\b(?:it|its|they|them|their|this|that|these|those|sie|ihn|ihnen|es|dies\w*)\b",
    re.IGNORECASE,
)
_GERMAN = re.compile(
    r"\b(?:der|die|das|den|dem|des|eine?[nmrs]?|für|und|im|ist|wird|werden|wie|wann|wo|wer|welche[rsnm]?|ich)\b"
)
_HEAD = re.compile(
    r"\b(?:what|who|how \w+|when|where|wie \w+|was|wer|wann|wo) (?:is|are|was|were|ist|sind|war) "
    r"(?:the|der|die|das) ([\w' -]+)",
    re.IGNORECASE,
)
_HEAD_ENDS = re.compile(
    r"\b(?:of|for|in|at|on|per|with|from|to|during|between|by|before|after|under|when|if|that|which|must|may|can|be|"
    r"von|vom|für|im|am|bei|beim|pro|je|zum|zur|auf|an)\b.*",
    re.IGNORECASE,
)
_FIGURE_WITH_UNIT = re.compile(r"[^\w\s]*\d\S*(?: \S+)?")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A quote with the stems of its words, of those above it and of those beside it."""

    quote: Quote
    own: Set[str]
    above: Set[str]
    beside: Set[str]

    @classmethod
    def of(cls, quotes: Sequence[Quote]) -> list[Candidate]:
        """All quotes of a prompt; what several share is read once."""
        shared = {text: _stems(text) for quote in quotes for text in (quote.context, quote.section)}
        return [cls(quote, _stems(quote.text), shared[quote.context], shared[quote.section]) for quote in quotes]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked: its text, its words by stem with their weight, and those that no quote may lack.

    `names` must stand in or beside a quote, `head`, the thing asked for, in it or above it. `rarity` is how much a
    word tells one quote from the others.
    """

    text: str
    weights: Mapping[str, float]
    names: frozenset[str]
    head: str
    german: bool
    rarity: Mapping[str, float]

    @classmethod
    def read(cls, prompt: ParsedPrompt, candidates: Sequence[Candidate]) -> Asked:
        """Understand the question; one that leans on the turn before it takes over that turn's subject."""
        now = prompt.question
        german = len(_GERMAN.findall(now.lower())) > 1
        names = _names(now, german=german)
        if _INSTEAD.match(now) and not _POINTS.search(now):
            # "And on a public holiday?": what is said takes the place of what was said there before.
            names = names or _stems(" ".join(significant_words(now)))
        text = now
        for message in reversed(prompt.history):
            if not is_follow_up(text.splitlines()[0]):
                break
            if message.role == "user":
                text = f"{_without_names(message.content, german=german) if names else message.content}\n{text}"
        names = names or _names(text, german=german)
        said_now = _stems(now)
        weights = {
            word: (NAME_WEIGHT if word in names else 1.0) * (1.0 if word in said_now else EARLIER)
            for word in map(stem, significant_words(text))
        }
        rarity = {word: _rarity(word, candidates, german=german) for word in weights}
        return cls(text, weights, names, _head(text, weights), german, rarity)

    def cover(self, candidate: Candidate) -> float:
        """The share of the question's words that the quote has; 0 when it cannot be an answer."""
        found = {word: self._share(candidate, word) for word in self.weights}
        # What a sentence is about it says itself; the name of a table may stand beside it.
        least = NEARBY if candidate.quote.row else ABOVE
        if max(found.values(), default=0.0) < ABOVE or not all(found[name] for name in self.names):
            return 0.0
        if self.head and found[self.head] < least:
            return 0.0
        subject = [word for word in self.weights if word not in self.names]
        told = sum(found[word] * self.rarity[word] for word in subject)
        if self.names and subject and told <= MIN_SUBJECT * sum(self.rarity[word] for word in subject):
            return 0.0
        return sum(found[word] * weight for word, weight in self.weights.items()) / sum(self.weights.values())

    def has_answer(self, candidate: Candidate) -> bool:
        """Whether the quote has an answer of the kind asked for."""
        quote = candidate.quote
        if not has_kind(self.text, quote):
            return False
        if quote.row and thing_asked_for(self.text) and not self._names_something(quote.text):
            return False
        return not asks_for_name(self.text) or self._has_new_name(quote.text)

    def wants_figure(self) -> bool:
        """Whether a figure answers it best."""
        return asks_for_figure(self.text)

    def meant(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The quotes without the other rows of a table that has a row of the name asked for."""
        named = {id(each) for each in candidates if self.names <= each.own | each.above}
        tables = {_table(each.quote) for each in candidates if each.quote.row and id(each) in named}
        return [
            each for each in candidates if id(each) in named or not (each.quote.row and _table(each.quote) in tables)
        ]

    def _share(self, candidate: Candidate, word: str) -> float:
        places = ((1.0, candidate.own), (ABOVE, candidate.above), (NEARBY, candidate.beside))
        return next((share for share, stems in places if _has(stems, word, german=self.german)), 0.0)

    def _names_something(self, row: str) -> bool:
        """Whether a row says more in answer to "which hotel" than a figure: a hotel's limit is no hotel."""
        cells = (cell.partition(": ")[2] or cell for cell in row.split("; "))
        said = " ".join(_FIGURE_WITH_UNIT.sub(" ", cell) for cell in cells)
        return any(not _has(self.weights.keys(), stem(word), german=self.german) for word in significant_words(said))

    def _has_new_name(self, text: str) -> bool:
        return any(_is_name(*around) and stem(around[1]) not in self.weights for around in _around(words(text)))


def _stems(text: str) -> frozenset[str]:
    return frozenset(map(stem, words(text)))


def _has(stems: Set[str], word: str, *, german: bool) -> bool:
    if word in stems or not word.isalpha():
        return word in stems
    return any(akin(word, other) or (german and _compounded(word, other)) for other in stems)


def _compounded(one: str, other: str) -> bool:
    """Whether one German word is a part of the other: Sonntag in Sonntagsarbeit."""
    short, long = sorted((one, other), key=len)
    return len(short) >= COMPOUND_LETTERS and (long.startswith(short) or long.endswith(short))


def _rarity(word: str, candidates: Sequence[Candidate], *, german: bool) -> float:
    """Inverse document frequency as BM25 has it (Robertson and Zaragoza 2009), over the quotes of one prompt.

    One is added: the passages were found for this question, so its words are common in them without telling less.
    """
    having = sum(_has(each.own, word, german=german) or _has(each.above, word, german=german) for each in candidates)
    return 1 + math.log(1 + (len(candidates) - having + 0.5) / (having + 0.5))


def _head(text: str, weights: Mapping[str, float]) -> str:
    """The thing asked for: what follows "which", or the last noun after "what is the", before any preposition."""
    thing = stem(thing_asked_for(text))
    if thing in weights:
        return thing
    found = _HEAD.search(text)
    phrase = words(_HEAD_ENDS.sub("", found[1])) if found else []
    return next((word for word in map(stem, reversed(phrase)) if word in weights), "")


def _table(quote: Quote) -> tuple[int, str, str]:
    return quote.number, quote.heading, quote.section


def _without_names(question: str, *, german: bool) -> str:
    names = _names(question, german=german)
    return " ".join(word for word in words(question) if stem(word) not in names)


def _names(question: str, *, german: bool) -> frozenset[str]:
    """Stems of what makes it this city, this year, this product: names, telling numbers, and what follows `in`."""
    named = {
        around[1]
        for around in _around(words(question))
        # In German every noun has a capital.
        if _is_name(*around) and not (german and around[1].isalpha())
    }
    # A place is a place in small letters too.
    places = {word for word in _PLACE.findall(question) if word.lower() not in STOP_WORDS}
    return frozenset(map(stem, named | places))


def _around(said: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    return zip(["", *said], said, [*said[1:], ""], strict=False)


def _is_name(before: str, word: str, after: str) -> bool:
    if word.lower() in STOP_WORDS or _AMOUNT.fullmatch(word):
        return False
    if word.isdecimal() and len(word) < TELLING_DIGITS:
        # "tier 2" names something, "for 2 nights" and "leave 18 months after" do not.
        return bool(before) and before.lower() not in STOP_WORDS and not after.endswith("s")
    # A capital at the beginning says nothing.
    return any(map(str.isdigit, word)) or (word[0].isupper() and bool(before))
